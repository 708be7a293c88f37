"""Realised volatility: macros over the one-minute candles of complete days, nothing stored.

Formulas, sources, annualisation and what is left out: docs/volatility.md. Time is counted in
whole minutes since 1970-01-01 00:00 UTC, so that no session's time zone matters.
"""

from deribit_pipeline.warehouse.tables import View

# A price of zero or less, which combos have, has no logarithm: such a candle counts as lacking.
# The previous close is that of the candle directly before, or null.
_MOVES = """
select number, ln(open / before) as jump, ln(close / before) as move, ln(close / open) as body,
       ln(high / open) as up, ln(low / open) as down
from (
    select number, open, high, low, close,
           lag(close) over (order by number) as before,
           number - lag(number) over (order by number) as step
    from (
        select epoch_ms(opened_at) // (60000 * cast(sampling as bigint)) as number,
               open, high, low, close
        from sampled_candles(instrument, sampling)
        where least(open, high, low, close) > 0
    )
)
where step = 1"""

SAMPLED_CANDLES = View(
    name="sampled_candles",
    parameters=("instrument", "sampling"),
    description="One row for each candle of `sampling` minutes of an instrument of which every "
    "minute is held, on complete days: from sampled_candles('BTC-PERPETUAL', 60). Any whole number "
    "of minutes goes, counted from 1970-01-01 00:00 UTC. Minutes in which nobody traded, which "
    "repeat the last close, are in it and counted in `minutes_without_trades`.",
    query="""
select to_timestamp(number * cast(sampling as bigint) * 60) as opened_at,
       open, high, low, close, volume_base, volume_quote, minutes_without_trades
from (
    select epoch_ms(opened_at) // (60000 * cast(sampling as bigint)) as number,
           min_by(open, opened_at) as open, max(high) as high, min(low) as low,
           max_by(close, opened_at) as close, sum(volume_base) as volume_base,
           sum(volume_quote) as volume_quote,
           count(*) filter (volume_base = 0) as minutes_without_trades, count(*) as minutes
    from complete_candles
    where instrument_name = instrument and resolution = '1'
    group by number
)
where minutes = cast(sampling as bigint)
order by opened_at""",
)

REALISED_VOLATILITIES = View(
    name="realised_volatilities",
    parameters=("instrument", "sampling", "windows"),
    description="One row for each length of window out of a list and each end of such a window: "
    "from realised_volatilities('BTC-PERPETUAL', 60, [24, 168]). The columns are those of "
    "realised_volatility.",
    query=f"""
with moves as ({_MOVES}
), counted as (
    select samples, number, count(*) over rolling as held,
           avg(move * move) over rolling as close_to_close,
           avg((up - down) * (up - down)) over rolling / (4 * ln(2)) as parkinson,
           avg((up - down) * (up - down) / 2 - (2 * ln(2) - 1) * body * body) over rolling
               as garman_klass,
           avg(up * (up - body) + down * (down - body)) over rolling as rogers_satchell,
           var_samp(jump) over rolling as jumps,
           var_samp(body) over rolling as bodies,
           0.34 / (1.34 + (samples + 1) / nullif(samples - 1, 0)) as k
    from moves, (select unnest(cast(windows as bigint[])) as samples)
    window rolling as (
        partition by samples order by number
        range between samples - 1 preceding and current row
    )
)
select to_timestamp((number + 1) * cast(sampling as bigint) * 60) as ended_at, samples,
       annualised(close_to_close) as close_to_close
from counted
where held = samples
order by samples, ended_at""",
)
