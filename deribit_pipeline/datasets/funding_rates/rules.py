"""The rules for funding rates: each a query for the rows that break it."""

from deribit_pipeline.domain.rule import Rule

FUNDING_TOLERANCE = 1e-7
"""How far `interest_8h` may be from the result of eight `interest_1h`: of 17 recorded hours of
BTC-PERPETUAL, with rates around 1e-4, the farthest is 1.4e-8 off (assumption:funding-sums)."""

_HOURS_ONCE = Rule(
    name="hours_are_unique_and_full",
    description="Each hour is stored once, and ends at a full hour.",
    severity="ERROR",
    because="a response off the grid or with conflicting hours is rejected",
    query="""
select instrument_name, funded_at, count(*) as times
from funding_rates
group by all
having times > 1 or epoch_ms(funded_at) % 3600000 <> 0
order by all""",
)

_PRICES_CHAIN = Rule(
    name="index_prices_continue_hour_by_hour",
    description="An hour begins at the index at which the hour before it ended.",
    severity="WARN",
    because="prices are stored as the exchange publishes them",
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

# The eight-hour funding of an inverse position is the sum of rate over index; as a share of the
# position at the beginning, times the index then. For linear ones nothing is recorded: the same,
# its mirror image and the plain sum are all accepted.
_EIGHT_HOURS = Rule(
    name="eight_hour_funding_adds_up",
    description="If all eight hours are stored, `interest_8h` is the sum of their funding as a "
    f"share of the position at their beginning, within {FUNDING_TOLERANCE:.0e}.",
    severity="WARN",
    because="the exchange published both",
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

RULES = (_HOURS_ONCE, _PRICES_CHAIN, _EIGHT_HOURS)
