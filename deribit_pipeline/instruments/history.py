"""Reads the table `instruments`, the specifications of instruments with their history, and notes
when lists were requested. Works on an open connection.

An instrument has one row per specification that it has had. The current row has no `valid_to`,
whether the instrument trades or has expired: expiry is not a change of specification. An instrument
that is missing from a response is left as it is.
"""

from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.specification import SETTLES_IN, Specification
from deribit_pipeline.domain.windows import TimeWindow, from_ms, from_us
from deribit_pipeline.selection import Selector
from deribit_pipeline.warehouse.connections import has_table
from deribit_pipeline.warehouse.instrument_tables import INSTRUMENT_LISTS, INSTRUMENTS
from deribit_pipeline.warehouse.place import Connection

_TYPES = {column.name: column.type for column in INSTRUMENTS.columns}
_FIELDS = tuple(field.name for field in fields(Specification))
_LISTING = ("listed_at", "expires_at")
_READ = ", ".join(
    f"epoch_ms({name})" if _TYPES[name] == "timestamptz" else name for name in _FIELDS
)

# The rows that a selector chooses for a period, by listing date.
_CHOSEN = f"""
    from instruments
    where ($kind is null or kind = $kind)
      and ($currency is null or {SETTLES_IN} = $currency)
      and ($base is null or base_currency = $base)
      and ($expiry is null or cast(timezone('UTC', expires_at) as date) = $expiry)
      and (not $is_perpetual or coalesce(settlement_period = 'perpetual', false))
      and listed_at <= $last
      and ($is_with_expired or expires_at is null or expires_at > $first)
      and valid_from <= $last and (valid_to is null or valid_to > $last)
    order by listed_at, instrument_name
"""


def write_requested_at(connection: Connection, currency: str, as_of: datetime) -> None:
    """Record when the listing of a currency was last requested, whatever it contained."""
    newest = max(as_of, requested_at(connection).get(currency, as_of))
    connection.execute("delete from instrument_lists where currency = ?", [currency])
    connection.execute("insert into instrument_lists values (?, ?)", [currency, newest])


def seen_currencies(connection: Connection) -> list[str]:
    """Currencies whose listings have been requested, and settlement currencies of stored
    instruments."""
    found = list(requested_at(connection))
    if has_table(connection, INSTRUMENTS.name):
        rows = connection.execute(
            f"select distinct {SETTLES_IN} as currency from instruments order by currency"
        ).fetchall()
        found += [currency for (currency,) in rows]
    return list(dict.fromkeys(found))


def requested_at(connection: Connection) -> dict[str, datetime]:
    """When the listing of each currency was last requested."""
    if not has_table(connection, INSTRUMENT_LISTS.name):
        return {}
    query = "select currency, epoch_ms(asked_at) from instrument_lists"
    return {
        name: from_ms(requested_ms) for name, requested_ms in connection.execute(query).fetchall()
    }


def list_sizes(connection: Connection) -> dict[str, int]:
    """How many instruments, listed or expired, are held of each currency."""
    query = f"select {SETTLES_IN}, count(distinct instrument_name) from instruments group by all"
    return dict(connection.execute(query).fetchall())


def known_at(connection: Connection) -> datetime | None:
    """When the exchange last returned any instrument; None if it never has."""
    if not has_table(connection, INSTRUMENTS.name):
        return None
    [(returned_ms,)] = connection.execute(
        "select epoch_ms(max(last_seen_at)) from instruments"
    ).fetchall()
    return None if returned_ms is None else from_ms(returned_ms)


def universe(
    connection: Connection, selector: Selector, first: datetime, last: datetime
) -> list[Specification]:
    """The instruments listed at any time from `first` to `last` (both included), each with its last
    specification valid in that period, ordered by listing date.

    Includes expired instruments only if the selector does.
    """
    rows = connection.execute(
        f"select {_READ} {_CHOSEN}", _parameters(selector, first, last)
    ).fetchall()
    return [_specification(dict(zip(_FIELDS, row, strict=True))) for row in rows]


def listed_names(
    connection: Connection, selector: Selector, window: TimeWindow | None = None
) -> list[str]:
    """The selected instruments that were listed at any time in the window, expired since or not;
    without a window, those selected as of the last response of the exchange."""
    moment = known_at(connection)
    if moment is None:
        return []
    period = _parameters(selector, moment, moment)
    if window is not None:
        last = window.end - timedelta(milliseconds=1)
        period = _parameters(selector, window.start, last) | {"is_with_expired": False}
    rows = connection.execute(f"select instrument_name {_CHOSEN}", period).fetchall()
    return [name for (name,) in rows]


def listings(connection: Connection, names: Collection[str]) -> dict[str, Instrument]:
    """Listing and expiry of those of these instruments that are stored."""
    rows = connection.execute(
        """
        select instrument_name, kind, epoch_ms(listed_at), epoch_ms(expires_at)
        from instruments where valid_to is null and instrument_name in $names
        """,
        {"names": list(names)},
    ).fetchall()
    return {
        name: Instrument(name, kind, from_ms(listed), None if ends is None else from_ms(ends))
        for name, kind, listed, ends in rows
    }


def listings_since(
    connection: Connection, moments: Mapping[str, datetime]
) -> dict[str, Instrument]:
    """Those listings that the exchange returned after the given instant, one for each
    instrument."""
    if not moments or not has_table(connection, INSTRUMENTS.name):
        return {}
    rows = connection.execute(
        """
        select instrument_name, epoch_us(last_seen_at)
        from instruments where valid_to is null and instrument_name in $names
        """,
        {"names": list(moments)},
    ).fetchall()
    seen = {name: from_us(returned_us) for name, returned_us in rows}
    newer = [name for name, returned_at in seen.items() if returned_at > moments[name]]
    return listings(connection, newer) if newer else {}


def _parameters(selector: Selector, first: datetime, last: datetime) -> dict[str, object]:
    return {field.name: getattr(selector, field.name) for field in fields(selector)} | {
        "first": first,
        "last": last,
    }


def _specification(row: dict[str, Any]) -> Specification:
    times = {name: None if row[name] is None else from_ms(row[name]) for name in _LISTING}
    return Specification(**row | times)
