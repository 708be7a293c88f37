"""Smiles: volatilities of snapshots at the forward and at deltas, as macros.

Each is interpolated between two options, the last one before the wanted point and the first one
beyond it. Nothing is extrapolated, and no surface is fitted.
"""

from deribit_pipeline.datasets.book_summaries.chains import IS_NEWEST, NEWEST
from deribit_pipeline.domain.tables import View

SPAN = ("since := '-infinity'", "until := 'infinity'")
IN_SPAN = """snapshot_at >= cast(since as timestamptz)
      and snapshot_at < cast(until as timestamptz)"""
"""The parameters of a span of snapshots, and its condition."""


def between(wanted: str, before: str, beyond: str) -> str:
    """SQL for the value at `wanted`, linear between two structs of `at` and `value`."""
    return (
        f"{before}.value + ({beyond}.value - {before}.value)\n"
        f"           * ({wanted} - {before}.at) / ({beyond}.at - {before}.at)"
    )


# The put at or below the forward and the call above it: both are out of the money.
_AROUND_FORWARD = """
           arg_max({'at': ln(strike), 'value': mark_iv}, strike)
               filter (option_type = 'put' and strike <= forward) as below,
           arg_min({'at': ln(strike), 'value': mark_iv}, strike)
               filter (option_type = 'call' and strike > forward) as above"""
_AT_FORWARD = between("ln(forward)", "below", "above")

_DELTAS = {"call_25": 0.25, "put_25": -0.25, "call_10": 0.1, "put_10": -0.1}


def _around_delta(name: str, delta: float) -> str:
    option_type, _, _ = name.partition("_")
    return f""",
           arg_max({{'at': delta, 'value': mark_iv}}, delta)
               filter (option_type = '{option_type}' and delta <= {delta}) as {name}_below,
           arg_min({{'at': delta, 'value': mark_iv}}, delta)
               filter (option_type = '{option_type}' and delta > {delta}) as {name}_above"""


_AROUND_DELTAS = "".join(_around_delta(*each) for each in _DELTAS.items())
_AT_DELTAS = ",\n           ".join(
    f"{between(str(delta), f'{name}_below', f'{name}_above')} as {name}"
    for name, delta in _DELTAS.items()
)

OPTION_SMILE = View(
    name="option_smile",
    parameters=("currency", "moment"),
    description="One row for each expiry of the newest snapshot that was received by a moment: "
    "from option_smile('BTC', now()). `atm_iv` is the volatility at the forward, interpolated "
    "between the strikes around it, linear in the logarithm of the strike; a risk reversal is the "
    "volatility of the call of that delta minus that of the put, a butterfly their mean minus "
    "`atm_iv`, interpolated between the options around the delta, linear in delta. All are in "
    "percent a year, and null unless there are options on either side: nothing is extrapolated.",
    query=f"""
with {NEWEST}, deviations as (
    select *, mark_iv / 100 * sqrt(years) as deviation, if(option_type = 'call', 1, -1) as sign
    from option_quotes(currency)
    where {IS_NEWEST} and mark_iv > 0 and years > 0
), deltas as (
    select *, sign * normal_cdf(sign * (ln(forward / strike) / deviation + deviation / 2)) as delta
    from deviations
), around as (
    select index_name, expiry, snapshot_at, received_at, max(forward) as forward,{_AROUND_FORWARD}\
{_AROUND_DELTAS}
    from deltas
    group by index_name, expiry, snapshot_at, received_at
), volatilities as (
    select *, {_AT_FORWARD} as atm_iv,
           {_AT_DELTAS}
    from around
)
select index_name, expiry, (epoch_us(expiry) - epoch_us(snapshot_at)) / 86400e6 as days, forward,
       atm_iv, call_25 - put_25 as risk_reversal_25, (call_25 + put_25) / 2 - atm_iv
           as butterfly_25,
       call_10 - put_10 as risk_reversal_10, (call_10 + put_10) / 2 - atm_iv as butterfly_10,
       snapshot_at, received_at
from volatilities
order by index_name, expiry""",
)

ATM_VOLATILITIES = View(
    name="atm_volatilities",
    parameters=("currency", *SPAN),
    description="One row for each expiry of each snapshot of a currency: `atm_iv`, the volatility "
    "at the forward in percent a year, interpolated as in option_smile: "
    "from atm_volatilities('BTC', since := '2026-09-01'). An expiry without strikes on either side "
    "of its forward has no row. Only snapshots from `since` on and before `until` are read.",
    query=f"""
with around as (
    select snapshot_at, received_at, index_name, expiry, years, max(forward) as forward,\
{_AROUND_FORWARD}
    from option_quotes(currency)
    where {IN_SPAN}
      and mark_iv > 0 and years > 0
    group by snapshot_at, received_at, index_name, expiry, years
)
select snapshot_at, received_at, index_name, expiry, years, forward,
       {_AT_FORWARD} as atm_iv
from around
where below is not null and above is not null
order by snapshot_at, index_name, expiry""",
)
