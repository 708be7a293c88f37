"""The rules for index prices: each a query for the rows that break it."""

from deribit_pipeline.domain.rule import Rule

_POSITIVE = Rule(
    name="prices_are_positive",
    description="An index price is above zero.",
    severity="WARN",
    because="prices are stored as the exchange publishes them",
    query="""
select index_name, priced_at, price
from index_prices
where not price > 0
order by index_name, priced_at""",
)

_ONE_STEP = Rule(
    name="points_are_evenly_spaced",
    description="The distance between points of an index is a multiple of the smallest distance.",
    severity="WARN",
    because="the exchange decides the distance and the alignment of points",
    query="""
with distant as (
    select index_name, priced_at,
           epoch_ms(priced_at) - epoch_ms(lag(priced_at) over (
               partition by index_name order by priced_at
           )) as apart_ms
    from index_prices
), steps as (
    select index_name, min(apart_ms) filter (apart_ms > 0) as step_ms
    from distant
    group by all
)
select index_name, priced_at, apart_ms, step_ms
from distant
join steps using (index_name)
where apart_ms = 0 or apart_ms % step_ms <> 0
order by index_name, priced_at""",
)

RULES = (_POSITIVE, _ONE_STEP)
