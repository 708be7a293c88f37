"""What must hold of settlements, delivery prices, historical volatility and index prices: each rule
a query for the rows that break it. No query has parameters."""

from collections.abc import Mapping

from deribit_pipeline.datasets.registry import (
    DELIVERY_PRICES,
    HISTORICAL_VOLATILITY,
    INDEX_PRICES,
    SETTLEMENTS,
)
from deribit_pipeline.datasets.settlements.delivered import INDEX_OF
from deribit_pipeline.engine.rules import Rule
from deribit_pipeline.instruments.history import SETTLES_IN

# Nobody can count settlements. Of a perpetual there is one a day all the same.
_DAILY_SETTLEMENT = Rule(
    name="perpetuals_settle_daily",
    description="A perpetual has one settlement on each complete day on which it is listed from "
    "midnight to midnight, as the table `instruments` lists it: of one that is not in there, "
    "nothing is looked at.",
    severity="WARN",
    because="pages that join told no such settlement, or two",
    query=f"""
with perpetuals as (
    select instrument_name, {SETTLES_IN} as currency, min(listed_at) as listed_at,
           min(expires_at) as expires_at
    from instruments
    where kind = 'future' and settlement_period = 'perpetual'
    group by all
), days as (
    select series as currency, day, timezone('UTC', cast(day as timestamp)) as midnight
    from dataset_days
    where dataset = 'settlements' and state = 'complete'
), settled as (
    select instrument_name, cast(timezone('UTC', settled_at) as date) as day, count(*) as times
    from settlements
    where type = 'settlement'
    group by all
)
select instrument_name, day, coalesce(times, 0) as settlements
from days
join perpetuals using (currency)
left join settled using (instrument_name, day)
where listed_at <= midnight
  and (expires_at is null or expires_at >= midnight + interval 1 day)
  and settlements <> 1
order by instrument_name, day""",
)

_SETTLED_AT_DELIVERY = Rule(
    name="expired_settle_at_the_delivery_price",
    description="What expires settles at the delivery price of its index on that day, where both "
    "are held.",
    severity="WARN",
    because="both are stored as two responses each say",
    query=f"""
with settled as (
    select settled_at, instrument_name, index_price, {INDEX_OF} as index_name,
           cast(timezone('UTC', settled_at) as date) as delivery_date
    from settlements
    where type in ('delivery', 'exercise') and index_price is not null
)
select instrument_name, settled_at, index_price, delivery_price
from settled
join delivery_prices using (index_name, delivery_date)
where index_price <> delivery_price
order by instrument_name, settled_at""",
)

_DELIVERED_DAILY = Rule(
    name="is_delivered_daily",
    description="Delivery prices follow one another day by day.",
    severity="WARN",
    because="the exchange lacks the price, or nobody asked for the days between: see dataset_gaps",
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

_VOLATILITY = Rule(
    name="is_positive_at_full_hours",
    description="Each hour is held once, at a full hour, and its volatility is above zero.",
    severity="WARN",
    because="values are stored as the exchange tells them",
    query="""
select currency, measured_at, min(volatility) as volatility, count(*) as times
from historical_volatility
group by all
having times > 1 or volatility <= 0 or epoch_ms(measured_at) % 3600000 <> 0
order by all""",
)

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

RULES: Mapping[str, tuple[Rule, ...]] = {
    SETTLEMENTS.name: (_DAILY_SETTLEMENT, _SETTLED_AT_DELIVERY),
    DELIVERY_PRICES.name: (_DELIVERED_DAILY,),
    HISTORICAL_VOLATILITY.name: (_VOLATILITY,),
    INDEX_PRICES.name: (_POSITIVE, _ONE_STEP),
}
"""By the dataset's name."""
