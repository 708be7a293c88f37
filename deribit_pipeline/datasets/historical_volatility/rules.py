"""The rules for historical volatility: each a query for the rows that break it."""

from deribit_pipeline.domain.rule import Rule

_VOLATILITY = Rule(
    name="hours_are_unique_and_positive",
    description="Each hour is stored once, at a full hour, and its volatility is above zero.",
    severity="WARN",
    because="values are stored as the exchange publishes them",
    query="""
select currency, measured_at, min(volatility) as volatility, count(*) as times
from historical_volatility
group by all
having times > 1 or volatility <= 0 or epoch_ms(measured_at) % 3600000 <> 0
order by all""",
)

RULES = (_VOLATILITY,)
