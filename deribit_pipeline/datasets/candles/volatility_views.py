"""Realised volatility: macros over the one-minute candles of complete days, without storage.

Formulas, sources, annualisation and exclusions: docs/volatility.md. Time is counted in whole
minutes since 1970-01-01 00:00 UTC, so that the time zone of a session does not matter.
"""

from deribit_pipeline.domain.tables import View

_SPAN = ("since := '-infinity'", "until := 'infinity'")


def _whole(name: str) -> str:
    """A number as an integer, or an error: rounding it silently would change the query."""
    return (
        f"if(cast({name} as double) = cast({name} as bigint) and cast({name} as bigint) > 0,\n"
        f"           cast({name} as bigint), error('{name} must be a whole number, 1 or more'))"
    )


SAMPLED_CANDLES = View(
    name="sampled_candles",
    parameters=("instrument", "sampling", *_SPAN),
    description="One row for each candle of `sampling` minutes of an instrument of which every "
    "minute is stored, on complete days: from sampled_candles('BTC-PERPETUAL', 60). Any whole "
    "number of minutes is valid, counted from 1970-01-01 00:00 UTC. Minutes without a trade repeat "
    "the last close; they are included, and counted in `minutes_without_trades`. Only minutes from "
    "`since` on and before `until` are read.",
    query=f"""
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
      and complete_candles.opened_at >= cast(since as timestamptz)
      and complete_candles.opened_at < cast(until as timestamptz)
    group by number
)
where minutes = {_whole("sampling")}
order by opened_at""",
)

# The minutes are bounded where they are read, so that a day's volatilities do not scan years.
# A candle whose predecessor is missing has no move, and so is in no window. A candle without a
# logarithm (prices of combos may be 0 or negative), or whose range does not contain its open and
# close, counts as missing.
REALISED_VOLATILITIES = View(
    name="realised_volatilities",
    parameters=("instrument", "sampling", "windows", *_SPAN),
    description="One row for each window length and each end of such a window: "
    "from realised_volatilities('BTC-PERPETUAL', 60, [24, 168]). Like realised_volatility, for a "
    "list of lengths.",
    query=f"""
with sampled as (
    select epoch_ms(opened_at) // (60000 * cast(sampling as bigint)) as number,
           open, high, low, close
    from sampled_candles(
        instrument, sampling,
        since := cast(since as timestamptz) - to_minutes(
            cast(sampling as bigint)
            * (cast(list_max(cast(windows as double[])) as bigint) + 1)
        ),
        until := until
    )
    where low > 0 and low <= least(open, close) and greatest(open, close) <= high
), following as (
    select *, lag(close) over (order by number) as before,
           number - lag(number) over (order by number) as step
    from sampled
), moves as (
    select number, ln(close / before) as move, ln(open / before) as jump, ln(close / open) as body,
           ln(high / open) as up, ln(low / open) as down
    from following
    where step = 1
), variances as (
    select samples, number, count(*) over rolling as moves,
           avg(move ** 2) over rolling as close_to_close,
           avg((up - down) ** 2) over rolling / (4 * ln(2)) as parkinson,
           avg((up - down) ** 2 / 2 - (2 * ln(2) - 1) * body ** 2) over rolling as garman_klass,
           avg(up * (up - body) + down * (down - body)) over rolling as rogers_satchell,
           var_samp(jump) over rolling as jumps, var_samp(body) over rolling as bodies,
           0.34 / (1.34 + (samples + 1) / nullif(samples - 1, 0)) as weight,
           365 * 24 * 60 / cast(sampling as bigint) as a_year
    from moves, (
        select {_whole("samples")} as samples
        from (select unnest(windows) as samples)
    )
    window rolling as (
        partition by samples
        order by number
        range between samples - 1 preceding and current row
    )
)
select to_timestamp((number + 1) * cast(sampling as bigint) * 60) as ended_at, samples,
       sqrt(a_year * close_to_close) as close_to_close, sqrt(a_year * parkinson) as parkinson,
       sqrt(a_year * garman_klass) as garman_klass,
       sqrt(a_year * rogers_satchell) as rogers_satchell,
       sqrt(a_year * (jumps + weight * bodies + (1 - weight) * rogers_satchell)) as yang_zhang
from variances
where moves = samples
  and ended_at >= cast(since as timestamptz) and ended_at < cast(until as timestamptz)
order by samples, ended_at""",
)

REALISED_VOLATILITY = View(
    name="realised_volatility",
    parameters=("instrument", "sampling", "samples", *_SPAN),
    description="One row for each end of a window of `samples` candles of `sampling` minutes: the "
    "realised volatility over it by five estimators, as annualised fractions (0.65 is 65 %): "
    "from realised_volatility('BTC-PERPETUAL', 60, 24). A window with a missing candle, or without "
    "the close before it, has no row. Only ends from `since` on and before `until` are returned, "
    "and only the candles required for them are read.",
    query="""
from realised_volatilities(instrument, sampling, [samples], since := since, until := until)""",
)

CONE = """
select samples, estimator, count(*) as windows, min(volatility) as lowest,
       quantile_cont(volatility, 0.1) as p10, quantile_cont(volatility, 0.25) as p25,
       quantile_cont(volatility, 0.5) as p50, quantile_cont(volatility, 0.75) as p75,
       quantile_cont(volatility, 0.9) as p90, max(volatility) as highest,
       max_by(volatility, ended_at) as latest, max(ended_at) as latest_ended_at
from (
    unpivot ({realised})
    on close_to_close, parkinson, garman_klass, rogers_satchell, yang_zhang
    into name estimator value volatility
)
group by samples, estimator
order by samples, estimator"""
"""The distribution of the rows of `realised_volatilities` that `realised` selects, in SQL."""

VOLATILITY_CONE = View(
    name="volatility_cone",
    parameters=("instrument", "sampling", "windows"),
    description="One row for each window length and estimator: the distribution of realised "
    "volatility over all windows of that length, and the latest value: "
    "from volatility_cone('BTC-PERPETUAL', 60, [24, 168, 720]).",
    query=CONE.format(realised="from realised_volatilities(instrument, sampling, windows)"),
)

AGAINST_DVOL = """
with realised as (
    select ended_at, close_to_close
    from {realised}
), dvol as (
    select opened_at + to_seconds(cast(resolution as bigint)) as measured_at,
           min_by(close, cast(resolution as bigint)) / 100 as implied
    from volatility_index
    where volatility_index.currency = {currency} and resolution in ('60', '3600')
    group by measured_at
)
select measured_at, implied, earlier.close_to_close as realised_before,
       later.close_to_close as realised_after, implied - later.close_to_close as premium
from dvol
left join realised as earlier on earlier.ended_at = measured_at
left join realised as later
    on later.ended_at = measured_at + to_minutes(cast({days} as bigint) * 1440)
where earlier.ended_at is not null or later.ended_at is not null
order by measured_at"""
"""Closes of a currency's DVOL beside the volatility that `realised` has, in SQL."""

REALISED_AGAINST_DVOL = View(
    name="realised_against_dvol",
    parameters=("instrument", "currency", "days", "sampling := 60"),
    description="One row for each close of a currency's DVOL: the implied volatility, and the "
    "close-to-close volatility realised over the `days` before and after, all as annualised "
    "fractions: from realised_against_dvol('BTC-PERPETUAL', 'BTC', 30). A realised volatility is "
    "null if a candle of its window is missing, and an instant without either has no row. "
    "`sampling`, in minutes, must divide a day.",
    query=AGAINST_DVOL.format(
        realised=f"""realised_volatility(
        instrument, sampling, {_whole("days")} * 1440 // cast(sampling as bigint)
    )""",
        currency="currency",
        days="days",
    ),
)

VIEWS = (
    SAMPLED_CANDLES,
    REALISED_VOLATILITIES,
    REALISED_VOLATILITY,
    VOLATILITY_CONE,
    REALISED_AGAINST_DVOL,
)
