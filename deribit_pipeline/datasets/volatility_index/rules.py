"""The rules for the volatility index: each a query for the rows that break it."""

from deribit_pipeline.domain.rule import Rule

_CANDLES_ONCE = Rule(
    name="candle_times_are_unique_and_regular",
    description="Each candle is stored once, and opens at a multiple of its length after midnight "
    "UTC.",
    severity="ERROR",
    because="a response off the grid or with conflicting candles is rejected",
    query="""
select currency, resolution, opened_at, count(*) as times
from volatility_index
group by all
having times > 1 or epoch_ms(opened_at) % (cast(resolution as bigint) * 1000) <> 0
order by all""",
)

_RANGE = Rule(
    name="values_are_in_range",
    description="`low` and `high` contain `open` and `close`.",
    severity="WARN",
    because="values are stored as the exchange publishes them",
    query="""
select currency, resolution, opened_at, open, high, low, close
from volatility_index
where not (low <= least(open, close) and greatest(open, close) <= high)
order by currency, resolution, opened_at""",
)

_MINUTES = Rule(
    name="agrees_with_one_minute_candles",
    description="If every minute of an hour is stored, they aggregate to the same open, high, low "
    "and close.",
    severity="WARN",
    because="the exchange published both, in different responses",
    query="""
with rolled_up as (
    select currency, epoch_ms(opened_at) // 3600000 as number,
           min_by(open, opened_at) as open, max(high) as high, min(low) as low,
           max_by(close, opened_at) as close
    from volatility_index
    where resolution = '60'
    group by all
    having count(*) = 60
)
select hour.currency, hour.opened_at,
       [hour.open, hour.high, hour.low, hour.close] as published,
       [ours.open, ours.high, ours.low, ours.close] as in_minutes
from volatility_index as hour
join rolled_up as ours
  on hour.currency = ours.currency
 and epoch_ms(hour.opened_at) = ours.number * 3600000
where hour.resolution = '3600'
  and published <> in_minutes
order by hour.currency, hour.opened_at""",
)

RULES = (_CANDLES_ONCE, _RANGE, _MINUTES)
