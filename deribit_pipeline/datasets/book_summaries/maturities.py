"""Series of implied volatility for a constant time to expiry, as macros: at the forward, and of a
strip of options, as the volatility index is made.

Total variance is linear in time between the expiries around the wanted time; an earlier time than
the first expiry, or a later one than the last, has no value.
"""

from deribit_pipeline.datasets.book_summaries.smiles import IN_SPAN, SPAN, between
from deribit_pipeline.domain.tables import View

_WANTED = "(cast(days as double) / 365)"

_AROUND_TIME = f"""
           arg_max({{'at': years, 'value': variance}}, years) filter (years <= {_WANTED})
               as nearer,
           arg_min({{'at': years, 'value': variance}}, years) filter (years > {_WANTED})
               as farther"""
_AT_TIME = f"""100 * sqrt((
           {between(_WANTED, "nearer", "farther")}
       ) / {_WANTED})"""

ATM_VOLATILITY = View(
    name="atm_volatility",
    parameters=("currency", "days", *SPAN),
    description="One row for each snapshot of a currency: `atm_iv`, the volatility at the forward "
    "of options that expire in `days`, in percent a year, with total variance linear in time "
    "between the expiries around it: from atm_volatility('BTC', 30, since := '2026-09-01'). A "
    "snapshot without expiries on either side has no row. Only snapshots from `since` on and "
    "before `until` are read.",
    query=f"""
with expiries as (
    select snapshot_at, received_at, index_name, years, (atm_iv / 100) ** 2 * years as variance
    from atm_volatilities(currency, since := since, until := until)
), around as (
    select snapshot_at, received_at, index_name,{_AROUND_TIME}
    from expiries
    group by snapshot_at, received_at, index_name
)
select snapshot_at, received_at, index_name,
       {_AT_TIME} as atm_iv
from around
where nearer is not null and farther is not null
order by snapshot_at, index_name""",
)

# The expiries on either side first: only their options are needed.
_STRIP = f"""
with quotes as (
    select snapshot_at, received_at, index_name, years, strike, max(forward) as forward,
           avg(mark * to_usd) filter (option_type = 'put') as put,
           avg(mark * to_usd) filter (option_type = 'call') as call
    from option_quotes(currency)
    where {IN_SPAN}
      and years > 0
    group by snapshot_at, received_at, index_name, years, strike
), chosen as (
    select *
    from quotes
    window snapshot as (partition by snapshot_at, index_name)
    qualify years = max(if(years <= {_WANTED}, years, null)) over snapshot
         or years = min(if(years > {_WANTED}, years, null)) over snapshot
), strips as (
    select *, max(if(strike <= forward, strike, null)) over expiry as centre,
           (coalesce(lead(strike) over by_strike, strike)
            - coalesce(lag(strike) over by_strike, strike))
           / if(lead(strike) over by_strike is null or lag(strike) over by_strike is null, 1, 2)
               as width
    from chosen
    window expiry as (partition by snapshot_at, index_name, years),
           by_strike as (partition by snapshot_at, index_name, years order by strike)
), expiries as (
    select snapshot_at, received_at, index_name, years,
           2 * sum(width / strike ** 2 * case
               when strike < centre then put
               when strike > centre then call
               else (put + call) / 2
           end) - (max(forward) / max(centre) - 1) ** 2 as variance
    from strips
    where centre is not null
    group by snapshot_at, received_at, index_name, years
), around as (
    select snapshot_at, received_at, index_name,{_AROUND_TIME}
    from expiries
    group by snapshot_at, received_at, index_name
), measured as (
    select opened_at + to_seconds(cast(resolution as bigint)) as measured_at,
           volatility_index.currency as of_currency,
           min_by(close, cast(resolution as bigint)) as dvol
    from volatility_index
    where opened_at >= cast(since as timestamptz) - interval 2 hours
      and opened_at < cast(until as timestamptz)
    group by all
)
select snapshot_at, received_at, index_name,
       {_AT_TIME} as strip_iv,
       if(measured_at >= snapshot_at - interval 1 hour, dvol, null) as dvol,
       strip_iv - if(measured_at >= snapshot_at - interval 1 hour, dvol, null) as difference
from around
asof left join measured
    on of_currency = upper(split_part(index_name, '_', 1)) and measured_at <= snapshot_at
where nearer is not null and farther is not null
order by snapshot_at, index_name"""

VOLATILITY_STRIP = View(
    name="volatility_strip",
    parameters=("currency", "days := 30", *SPAN),
    description="One row for each snapshot of a currency: `strip_iv`, the volatility in percent a "
    "year at which a strip of all options out of the money replicates the variance of the next "
    "`days`, the idea of Deribit's DVOL and of the VIX; the last `dvol` that was published in the "
    "hour before; and the difference in percentage points: from volatility_strip('BTC'). What "
    "differs from DVOL: docs/options.md. A snapshot without expiries on either side of `days` has "
    "no row. Only snapshots from `since` on and before `until` are read.",
    query=_STRIP,
)
