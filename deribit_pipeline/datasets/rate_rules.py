"""What must hold of funding and of the volatility index: each rule a query for the rows that break
it. No query has parameters."""

from collections.abc import Mapping

from deribit_pipeline.datasets.registry import FUNDING_RATES, VOLATILITY_INDEX
from deribit_pipeline.engine.rules import Rule

FUNDING_TOLERANCE = 1e-7
"""How far `interest_8h` may be from what eight `interest_1h` make: of 17 recorded hours of
BTC-PERPETUAL, whose rates are around 1e-4, the farthest is 1.4e-8 off (assumption:funding-sums)."""

_HOURS_ONCE = Rule(
    name="hours_stand_once",
    description="Each hour is held once, and ends at a full hour.",
    severity="ERROR",
    because="an answer that is off the grid or says an hour twice is never written",
    query="""
select instrument_name, funded_at, count(*) as times
from funding_rates
group by all
having times > 1 or epoch_ms(funded_at) % 3600000 <> 0
order by all""",
)

_PRICES_CHAIN = Rule(
    name="index_prices_chain",
    description="An hour begins at the index at which the hour before it ended.",
    severity="WARN",
    because="prices are stored as the exchange tells them",
    query="""
with chained as (
    select instrument_name, funded_at, prev_index_price,
           lag(index_price) over hours as index_price_before,
           funded_at - lag(funded_at) over hours as apart
    from funding_rates
    window hours as (partition by instrument_name order by funded_at)
)
select instrument_name, funded_at, prev_index_price, index_price_before
from chained
where apart = interval 1 hour
  and prev_index_price <> index_price_before
order by instrument_name, funded_at""",
)

# What an inverse position pays in eight hours is the sum of rate over index; as a share of the
# position at their beginning, times the index then. Of linear ones nothing is recorded: the same,
# its mirror image and the plain sum are all let pass.
_EIGHT_HOURS = Rule(
    name="eight_hours_add_up",
    description="Where all eight hours are held, `interest_8h` is what their `interest_1h` make "
    f"of the position at their beginning, to {FUNDING_TOLERANCE:.0e}.",
    severity="WARN",
    because="both are what the exchange told",
    query=f"""
with summed as (
    select instrument_name, funded_at, interest_8h,
           count(*) over eight as hours,
           sum(interest_1h / prev_index_price) over eight
           * first_value(prev_index_price) over eight as inverse,
           sum(interest_1h * prev_index_price) over eight
           / first_value(prev_index_price) over eight as linear,
           sum(interest_1h) over eight as plain
    from funding_rates
    window eight as (
        partition by instrument_name order by funded_at
        range between interval 7 hours preceding and current row
    )
)
select instrument_name, funded_at, interest_8h, inverse as made_of_eight_hours
from summed
where hours = 8
  and if(
      contains(instrument_name, '_'),
      least(abs(interest_8h - inverse), abs(interest_8h - linear), abs(interest_8h - plain)),
      abs(interest_8h - inverse)
  ) > {FUNDING_TOLERANCE}
order by instrument_name, funded_at""",
)

_CANDLES_ONCE = Rule(
    name="opens_on_the_grid_once",
    description="Each candle is held once, and opens at a multiple of its length after midnight "
    "UTC.",
    severity="ERROR",
    because="an answer that is off the grid or says a candle twice is never written",
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
    because="values are stored as the exchange tells them",
    query="""
select currency, resolution, opened_at, open, high, low, close
from volatility_index
where not (low <= least(open, close) and greatest(open, close) <= high)
order by currency, resolution, opened_at""",
)

_MINUTES = Rule(
    name="agrees_with_minutes",
    description="Where every minute of an hour is held, they make the same open, high, low and "
    "close.",
    severity="WARN",
    because="both are what the exchange told, in different answers",
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
       [hour.open, hour.high, hour.low, hour.close] as told,
       [ours.open, ours.high, ours.low, ours.close] as in_minutes
from volatility_index as hour
join rolled_up as ours
  on hour.currency = ours.currency
 and epoch_ms(hour.opened_at) = ours.number * 3600000
where hour.resolution = '3600'
  and told <> in_minutes
order by hour.currency, hour.opened_at""",
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    FUNDING_RATES.name: (_HOURS_ONCE, _PRICES_CHAIN, _EIGHT_HOURS),
    VOLATILITY_INDEX.name: (_CANDLES_ONCE, _RANGE, _MINUTES),
}
"""By the dataset's name."""
