"""The rules for settlements: each a query for the rows that break it."""

from deribit_pipeline.domain.rule import Rule
from deribit_pipeline.domain.specification import INDEX_OF, SETTLES_IN

# The exchange publishes no count of settlements, but each perpetual settles once a day.
_DAILY_SETTLEMENT = Rule(
    name="perpetuals_settle_daily",
    description="A perpetual has one settlement on each complete day on which it is listed from "
    "midnight to midnight, according to the table `instruments`: perpetuals that are not in that "
    "table are not checked.",
    severity="WARN",
    because="the joined pages have no such settlement, or two",
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
    description="An instrument that expires settles at the delivery price of its index on that "
    "day, if both are stored.",
    severity="WARN",
    because="both are stored as confirmed by two responses each",
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

RULES = (_DAILY_SETTLEMENT, _SETTLED_AT_DELIVERY)
