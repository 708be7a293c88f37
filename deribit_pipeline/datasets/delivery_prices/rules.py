"""The rule for delivery prices: a query for the rows that break it."""

from deribit_pipeline.domain.rule import Rule

_DELIVERED_DAILY = Rule(
    name="has_a_price_every_day",
    description="There is a delivery price for every day between the first and the last one.",
    severity="WARN",
    because="the exchange has no price, or the days between were not requested: see dataset_gaps",
    query="""
with following as (
    select index_name, delivery_date as last_before,
           lead(delivery_date) over (partition by index_name order by delivery_date) as first_after
    from delivery_prices
)
select index_name, last_before, first_after, first_after - last_before - 1 as missing
from following
where missing <> 0
order by index_name, last_before""",
)

RULES = (_DELIVERED_DAILY,)
