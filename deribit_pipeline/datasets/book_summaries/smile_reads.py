"""Read a snapshot, and its smiles, on an open connection."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline.warehouse.place import Connection

OPTIONS = (
    "index_name", "instrument_name", "expiry", "strike", "mark_iv", "bid_iv", "ask_iv", "delta",
    "open_interest",
)  # fmt: skip
EXPIRIES = (
    "index_name", "expiry", "days", "forward", "atm_iv", "risk_reversal_25", "butterfly_25",
    "risk_reversal_10", "butterfly_10",
)  # fmt: skip
STRIKES = ("index_name", "strike", "call_open_interest", "put_open_interest")

_OF_OPTIONS, _OF_EXPIRIES = ", ".join(OPTIONS), ", ".join(EXPIRIES)
_NAMED = "* replace (strftime(timezone('UTC', expiry), '%Y-%m-%d') as expiry)"

# Out of the money, where options are traded; further out, marks are the exchange's extrapolation.
_LEAST_DELTA = 0.01

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Smiles:
    """The smiles of a currency's snapshot, sorted: a row for each option out of the money, with the
    columns `OPTIONS`, for each expiry (`EXPIRIES`) and for each strike (`STRIKES`). The first
    column is the index; expiries are text."""

    currency: str
    snapshot_at: datetime
    received_at: datetime
    options: Sequence[Row]
    expiries: Sequence[Row]
    strikes: Sequence[Row]


def newest_snapshot(connection: Connection, currency: str, moment: datetime) -> datetime | None:
    """The instant of the newest snapshot that was received by a moment; None if there is none."""
    found = connection.execute(
        "select epoch_ms(snapshot_at) from book_summaries where currency = $currency "
        "and snapshot_at <= $moment and received_at <= $moment order by snapshot_at desc limit 1",
        {"currency": currency, "moment": moment},
    ).fetchall()
    return from_ms(found[0][0]) if found else None


def has_snapshot(connection: Connection, currency: str, start: datetime, end: datetime) -> bool:
    """Whether a snapshot from `start` on and before `end` is stored."""
    found = connection.execute(
        "select 1 from book_summaries where currency = $currency "
        "and snapshot_at >= $start and snapshot_at < $end limit 1",
        {"currency": currency, "start": start, "end": end},
    ).fetchall()
    return bool(found)


def smiles_at(connection: Connection, currency: str, moment: datetime) -> Smiles | None:
    """The smiles of the newest snapshot that was received by a moment; None if there is none."""
    values = {"currency": currency, "moment": moment}
    connection.execute(
        f"create or replace temp table chain as select {_NAMED} from option_chain($currency, "
        "$moment)",
        values,
    )
    at = connection.execute("select snapshot_at, received_at from chain limit 1").fetchall()
    if not at:
        return None
    options = connection.execute(
        f"""
        select {_OF_OPTIONS} from chain
        where mark_iv > 0 and abs(delta) >= {_LEAST_DELTA}
          and if(option_type = 'call', strike > forward, strike <= forward)
        order by index_name, expiry, strike
        """
    ).fetchall()
    expiries = connection.execute(
        f"select {_OF_EXPIRIES} from (select {_NAMED} from option_smile($currency, $moment)) "
        "order by index_name, expiry",
        values,
    ).fetchall()
    strikes = connection.execute(
        """
        select index_name, strike,
               coalesce(sum(open_interest) filter (option_type = 'call'), 0),
               coalesce(sum(open_interest) filter (option_type = 'put'), 0)
        from chain group by index_name, strike having sum(open_interest) > 0
        order by index_name, strike
        """
    ).fetchall()
    [(snapshot_at, received_at)] = at
    return Smiles(currency, snapshot_at, received_at, options, expiries, strikes)
