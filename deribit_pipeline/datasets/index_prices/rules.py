"""What must hold of index prices: each rule a query for the rows that break it."""

from deribit_pipeline.domain.rule import Rule

_POSITIVE = Rule(
    name="prices_are_positive",
    description="An index is above zero.",
    severity="WARN",
    because="prices are stored as the exchange tells them",
    query="""
select index_name, priced_at, price
from index_prices
where not price > 0
order by index_name, priced_at""",
)

_ONE_STEP = Rule(
    name="points_stand_on_one_grid",
    description="The points of an index are as far apart as its nearest two, or a multiple of it.",
    severity="WARN",
    because="how far apart points are, and since when they are counted, the exchange alone decides",
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
