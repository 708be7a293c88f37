"""The rule for rebuilt candles: a query for the rows that break it."""

from deribit_pipeline.datasets.candles.rules import BASE_ROUNDING, QUOTE_ROUNDING
from deribit_pipeline.datasets.candles_rebuilt.queries import WAYS, differences_of, made_of
from deribit_pipeline.domain.rule import Rule

_DIFFERING_DAYS = "select distinct instrument_name, day from differing"
_TRADES_OF_ALL = """
    from trades
    semi join wanted using (instrument_name)"""

_DIFFERING = f"""
select made.instrument_name, cast(timezone('UTC', made.opened_at) as date) as day, made.opened_at,
       {differences_of("published", "made")} as differences
from candles_rebuilt as made
join candles as published
  on published.instrument_name = made.instrument_name and published.resolution = '1'
 and published.opened_at = made.opened_at
where differences <> ''"""

AGREES = Rule(
    name="agrees_with_exchange",
    description="A candle rebuilt from a complete day's trades has the published open, high, low "
    f"and close, and its volumes within {BASE_ROUNDING:.0e} of base and {QUOTE_ROUNDING:.0e} of "
    "quote currency, because the exchange rounds both; with or without block trades and legs of "
    "combos, because whether it counts these is not known (assumption:candles-blocks).",
    severity="WARN",
    because="the exchange published both, at different times",
    query=f"""
with differing as ({_DIFFERING}
), {made_of(_DIFFERING_DAYS, _TRADES_OF_ALL, WAYS)}, agreeing as (
    select made.instrument_name, made.opened_at
    from made
    join candles as published
      on published.instrument_name = made.instrument_name and published.resolution = '1'
     and published.opened_at = made.opened_at
    where {differences_of("published", "made")} = ''
)
select instrument_name, opened_at, differences
from differing
anti join agreeing using (instrument_name, opened_at)
order by instrument_name, opened_at""",
)

RULES = (AGREES,)
