"""Rules for the candles of a resolution, in addition to those for every dataset.

A query names its parameters: `$resolution`, `$minutes` (how long a candle lasts) and `$anchor`
(minutes after midnight UTC at which a candle opens, null if it is not known).
"""

from dataclasses import replace
from datetime import timedelta

from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.rule import Rule

PRICE_TOLERANCE = 1e-3
"""How far, relative to the price, volume_quote / volume_base may lie outside [low, high]. Amounts
are rounded: to 8 decimals in base currency, which is 4e-5 of BTC's smallest trade, and to 4 or
more in quote currency, which is 5e-4 of a trade for ten cents."""

BASE_ROUNDING, QUOTE_ROUNDING = 1e-8, 1e-4
"""How far volumes of two resolutions may differ for each summed minute: both are rounded."""

_MINUTE = timedelta(minutes=1)


# Days are filtered first, by a bit for each minute that has a candle: grouping by candle would take
# several times as long, and memory for all candles.
_GRID = Rule(
    name="candle_times_are_unique_and_regular",
    description="Each candle is stored once and opens at a multiple of its length, counted from "
    "midnight UTC; for 1D, from 08:00. The grid of 180, 360 and 720 is the one on which most of an "
    "instrument's candles open.",
    severity="ERROR",
    because="responses off the grid are rejected, and a repeated candle is stored once",
    query="""
with days as (
    select instrument_name, epoch_ms(opened_at) // 86400000 as day_number, count(*) as held,
           bit_count(bitstring_agg(
               cast(epoch_ms(opened_at) // 60000 % 1440 as smallint), 0::smallint, 1439::smallint
           )) as minutes,
           min(epoch_ms(opened_at) % ($minutes * 60000)) as first_phase,
           max(epoch_ms(opened_at) % ($minutes * 60000)) as last_phase
    from candles
    where resolution = $resolution
    group by all
), grids as (
    select instrument_name, coalesce($anchor * 60000, mode(first_phase)) as phase
    from days
    group by all
), suspects as (
    select instrument_name, day_number, phase
    from days
    join grids using (instrument_name)
    where held <> minutes or first_phase <> phase or last_phase <> phase
)
select instrument_name, opened_at, count(*) as times,
       epoch_ms(opened_at) % ($minutes * 60000) <> phase as is_off_the_grid
from candles
join suspects using (instrument_name)
where resolution = $resolution
  and epoch_ms(opened_at) // 86400000 = day_number
group by all
having times > 1 or is_off_the_grid
order by all""",
)

_PRICES = Rule(
    name="prices_are_in_range",
    description="`low` and `high` contain `open` and `close`.",
    severity="WARN",
    because="prices are stored as the exchange publishes them",
    query="""
select instrument_name, opened_at, open, high, low, close
from candles
where resolution = $resolution
  and not (low <= least(open, close) and greatest(open, close) <= high)
order by instrument_name, opened_at""",
)

_VOLUMES = Rule(
    name="volumes_match_prices",
    description="A candle with volume has one in both currencies, and their quotient, the average "
    f"price, lies between `low` and `high` with a tolerance of {PRICE_TOLERANCE:.1%}, because the "
    "exchange rounds amounts. In a candle without volume all prices are equal.",
    severity="WARN",
    because="volumes are stored as the exchange publishes them",
    query=f"""
select instrument_name, opened_at, open, high, low, close, volume_base, volume_quote,
       volume_quote / nullif(volume_base, 0) as average_price
from candles
where resolution = $resolution
  and not case
      when volume_base = 0 and volume_quote = 0
      then open = high and high = low and low = close
      else volume_base > 0
       and volume_quote > 0
       and volume_quote / volume_base >= low - {PRICE_TOLERANCE} * abs(low)
       and volume_quote / volume_base <= high + {PRICE_TOLERANCE} * abs(high)
  end
order by instrument_name, opened_at""",
)

# Whether the exchange includes minutes without a trade, which repeat the last close, is
# undocumented: a price may be that of all minutes or that of those with a trade.
_MINUTES = Rule(
    name="agrees_with_one_minute_candles",
    description="If every minute of a candle is stored, they aggregate to the same open, high, low "
    f"and close, and to its volumes within {BASE_ROUNDING:.0e} of base and {QUOTE_ROUNDING:.0e} of "
    "quote currency a minute, because the exchange rounds both.",
    severity="WARN",
    because="the exchange published both, at different times",
    query=f"""
with summed as (
    select instrument_name, (epoch_ms(opened_at) // 60000 - $anchor) // $minutes as number,
           min_by(open, opened_at) as open, max(high) as high, min(low) as low,
           max_by(close, opened_at) as close,
           min_by(open, opened_at) filter (volume_base > 0) as traded_open,
           max(high) filter (volume_base > 0) as traded_high,
           min(low) filter (volume_base > 0) as traded_low,
           round(sum(volume_base), 8) as volume_base,
           round(sum(volume_quote), 8) as volume_quote
    from candles
    where resolution = '1'
    group by all
    having count(*) = $minutes
), compared as (
    select published.instrument_name, published.opened_at, concat_ws('; ',
        if(published.open not in (ours.open, coalesce(traded_open, ours.open)),
           format('open {{}}, in minutes {{}}', published.open, ours.open), null),
        if(published.high not in (ours.high, coalesce(traded_high, ours.high)),
           format('high {{}}, in minutes {{}}', published.high, ours.high), null),
        if(published.low not in (ours.low, coalesce(traded_low, ours.low)),
           format('low {{}}, in minutes {{}}', published.low, ours.low), null),
        if(published.close <> ours.close,
           format('close {{}}, in minutes {{}}', published.close, ours.close), null),
        if(abs(published.volume_base - ours.volume_base) > {BASE_ROUNDING} * $minutes,
           format('volume_base {{}}, in minutes {{}}',
                  published.volume_base, ours.volume_base), null),
        if(abs(published.volume_quote - ours.volume_quote) > {QUOTE_ROUNDING} * $minutes,
           format('volume_quote {{}}, in minutes {{}}',
                  published.volume_quote, ours.volume_quote), null)
    ) as differences
    from candles as published
    join summed as ours
      on published.instrument_name = ours.instrument_name
     and epoch_ms(published.opened_at) // 60000 - $anchor = ours.number * $minutes
    where published.resolution = $resolution
)
select *
from compared
where differences <> ''
order by instrument_name, opened_at""",
)

_COMPARED_WITH_MINUTES = (Resolution.HOUR_1, Resolution.DAY_1)


def rules_of(resolution: Resolution) -> tuple[Rule, ...]:
    """The rules for candles of a resolution, with its parameters."""
    rules = [_GRID, _PRICES, _VOLUMES]
    if resolution in _COMPARED_WITH_MINUTES:
        rules.append(_MINUTES)
    anchor = resolution.anchor
    given = (
        ("resolution", resolution.value),
        ("minutes", resolution.duration // _MINUTE),
        ("anchor", None if anchor is None else anchor // _MINUTE),
    )
    return tuple(replace(rule, given=given) for rule in rules)
