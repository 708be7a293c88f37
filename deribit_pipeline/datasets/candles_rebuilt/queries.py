"""SQL to rebuild one-minute candles from trades, and to compare them with the published ones.

Whether the exchange counts block trades and legs of combos in its candles is not known
(assumption:candles-blocks): a candle counts as differing only if every way of counting differs.
"""

from deribit_pipeline.datasets.candles.rules import BASE_ROUNDING, QUOTE_ROUNDING
from deribit_pipeline.domain.candles import CANDLE_VALUES
from deribit_pipeline.domain.specification import COMBO, INVERSE

# A dated instrument expires at 08:00 UTC on the day at the end of its name, or before the strike;
# perpetuals have none.
_EXPIRY = r"-([0-9]{1,2}[A-Z]{3}[0-9]{2})(?:[-_]|$)"


WHOLE = "(0, true, true)"
WAYS = f"{WHOLE}, (1, false, true), (2, true, false), (3, false, false)"
"""Ways of counting: a number, and whether block trades and legs of combos are counted."""


_STEPS = f"""
wanted as (WANTED
), tape as not materialized (TAPE
), ways as (
    from (values WAYS) as ways(way, has_blocks, has_combos)
), spans as (
    select instrument_name, way, has_blocks, has_combos,
           day - date '1970-01-01' as day_number,
           least(
               day_number * 1440 + 1440,
               epoch_ms(
                   try_strptime(regexp_extract(instrument_name, '{_EXPIRY}', 1), '%d%b%y')
               ) // 60000 + 480
           ) as ends,
           regexp_matches(instrument_name, '{INVERSE}') as is_inverse,
           regexp_matches(instrument_name, '{COMBO}') as is_combo
    from wanted, ways
), traded as (
    select spans.instrument_name, day_number, way, epoch_ms(traded_at) // 60000 as minute,
           arg_min(price, trade_seq) as open, max(price) as high, min(price) as low,
           arg_max(price, trade_seq) as close,
           bool_or(is_combo) or min(price) <= 0 as is_unpriced,
           if(is_unpriced, null, round(sum(if(is_inverse, amount / price, amount)), 8))
               as volume_base,
           if(is_unpriced, null, round(sum(if(is_inverse, amount, amount * price)), 8))
               as volume_quote,
           count(*) as trades
    from tape
    join spans
      on spans.instrument_name = tape.instrument_name
     and day_number = epoch_ms(traded_at) // 86400000
     and (block_trade_id is null or has_blocks) and (combo_id is null or has_combos)
    group by all
), former as (
    select spans.instrument_name, day_number, way, has_blocks, has_combos,
           max(day - date '1970-01-01') as last_traded
    from spans
    join PROOFS as proofs
      on proofs.dataset = 'trades' and proofs.series = spans.instrument_name
     and proofs.day - date '1970-01-01' < day_number
     and proofs.state = 'complete' and proofs.received > 0
    group by all
), earlier as (
    select former.instrument_name, former.day_number, way, arg_max(price, trade_seq) as close
    from former
    join tape
      on tape.instrument_name = former.instrument_name
     and epoch_ms(traded_at) // 86400000 = last_traded
     and (block_trade_id is null or has_blocks) and (combo_id is null or has_combos)
    where former.day_number - last_traded - 1 = (
        select count(*) from PROOFS as proofs
        where proofs.dataset = 'trades' and proofs.series = former.instrument_name
          and proofs.day - date '1970-01-01' > last_traded
          and proofs.day - date '1970-01-01' < former.day_number
          and proofs.state = 'complete'
    )
    group by all
), minutes as (
    select instrument_name, day_number, way, is_combo,
           unnest(range(day_number * 1440, ends)) as minute
    from spans
), made as (
    select instrument_name, way, make_timestamptz(minute * 60000000) as opened_at,
           coalesce(
               last_value(traded.close ignore nulls) over (
                   partition by instrument_name, day_number, way order by minute
                   rows between unbounded preceding and current row
               ),
               earlier.close
           ) as last_close,
           coalesce(open, last_close) as open, coalesce(high, last_close) as high,
           coalesce(low, last_close) as low, last_close as close,
           if(trades is null and not is_combo, 0, volume_base) as volume_base,
           if(trades is null and not is_combo, 0, volume_quote) as volume_quote,
           coalesce(trades, 0) as trades
    from minutes
    left join traded using (instrument_name, day_number, way, minute)
    left join earlier using (instrument_name, day_number, way)
    qualify last_close is not null
)"""


def made_of(required: str, tape: str, ways: str, proofs: str = "dataset_days") -> str:
    """The common table expressions from `required`, a query for instruments and days, and `tape`,
    one for the trades of at least these days, to `made`: the rebuilt candles, separately for each
    way of counting. Days and minutes are counted from 1970, for speed.

    A minute without a trade repeats the last close. That of an earlier day is known if every day
    since that trade is complete, by the table `proofs`; minutes before the first known trade are
    not rebuilt.
    """
    steps = _STEPS.replace("WANTED", required).replace("TAPE", tape)
    return steps.replace("WAYS", ways).replace("PROOFS", proofs)


def differences_of(held: str, made: str) -> str:
    """An SQL expression that describes how a published candle differs from a rebuilt one."""
    prices = [
        f"if({held}.{name} <> {made}.{name}, "
        f"format('{name} {{}}, of trades {{}}', {held}.{name}, {made}.{name}), null)"
        for name in ("open", "high", "low", "close")
    ]
    # Both are rounded, and neither is exact as a double.
    volumes = [
        f"if(abs({held}.{name} - {made}.{name}) > {1.5 * rounding} + 1e-12 * abs({held}.{name}), "
        f"format('{name} {{}}, of trades {{}}', {held}.{name}, {made}.{name}), null)"
        for name, rounding in (("volume_base", BASE_ROUNDING), ("volume_quote", QUOTE_ROUNDING))
    ]
    return f"concat_ws('; ', {', '.join([*prices, *volumes])})"


_DAY = "select $instrument_name as instrument_name, cast($day as date) as day"
_TRADES = """
    from trades
    where instrument_name = $instrument_name and traded_at >= $start and traded_at < $end"""

MADE = f"""
with {made_of(_DAY, _TRADES, WHOLE)}
select epoch_ms(opened_at) as opened_at, {", ".join(CANDLE_VALUES)}, trades
from made
order by opened_at"""


_COMPARED = f"""
with STEPS, compared as (
    select made.opened_at, way, {differences_of("published", "made")} as differences
    from made
    join candles as published
      on published.instrument_name = made.instrument_name and published.resolution = '1'
     and published.opened_at = made.opened_at
    where published.instrument_name = $instrument_name
)
select strftime(timezone('UTC', opened_at), '%H:%M') as minute,
       arg_min(differences, (differences <> '', way)) as differences
from compared
group by all
order by minute"""


def compared(ways: str) -> str:
    """A query for each candle of a day that both have: its minute and the differences, in the way
    of counting with the fewest."""
    return _COMPARED.replace("STEPS", made_of(_DAY, _TRADES, ways))


MINUTES = f"""
with {made_of(_DAY, _TRADES, WHOLE)}
select minute * 60000 as opened_at from minutes order by minute"""
