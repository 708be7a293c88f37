"""The account's history: its transaction log, trades and settlements.

Every method is private and read-only. Bounds are UTC milliseconds. The whole entry of each row is
stored too, as JSON with sorted names: new fields and new types of entries appear without notice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from deribit_pipeline.datasets.settlements.wire import instrument_names
from deribit_pipeline.domain.malformed import Malformed
from deribit_pipeline.exchange import shapes
from deribit_pipeline.exchange.entries import Rows, readable

LOG = "private/get_transaction_log"
TRADES = "private/get_user_trades_by_currency_and_time"
SETTLEMENTS = "private/get_settlement_history_by_currency"

MOST_ENTRIES, MOST_TRADES, MOST_SETTLEMENTS = 250, 1_000, 1_000
"""The maximum number of rows in a response (assumption:account-pages)."""

_Entries = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class AccountPage:
    """The rows of one response in its order, by the table's columns.

    `continuation` is the token for the rows that follow; None if there are none.
    `may_be_incomplete` is true if rows of the same window may have been omitted. `malformed` are
    the entries that cannot be parsed.
    """

    rows: Rows
    continuation: str | int | None = None
    may_be_incomplete: bool = False
    malformed: tuple[Malformed, ...] = ()


def log_page(currency: str, answer: object) -> AccountPage:
    """The page of `private/get_transaction_log`, whose entries must have the currency."""
    fields = shapes.mapping(answer)

    def read(entries: _Entries) -> Rows:
        rows = _rows(_LOG, entries)
        if any(entry.get("currency") != currency for entry in entries):
            raise ValueError(f"the currency of an entry is not {currency}")
        return rows

    rows, malformed = _readable(fields.get("logs"), MOST_ENTRIES, read)
    token = shapes.continuation(fields.get("continuation"))
    return AccountPage(rows, token, malformed=malformed)


def trades_page(currency: str, answer: object) -> AccountPage:
    """The page of `private/get_user_trades_by_currency_and_time`. A response with the maximum
    number of trades may be incomplete, whatever the value of `has_more`."""
    fields = shapes.mapping(answer)
    entries, has_more = fields.get("trades"), fields.get("has_more")
    rows, malformed = _readable(entries, MOST_TRADES, partial(_of_currency, currency, _TRADES))
    if not isinstance(has_more, bool):
        raise ValueError("`has_more` must be true or false")
    may_be_incomplete = has_more or len(shapes.array(entries)) == MOST_TRADES
    return AccountPage(rows, may_be_incomplete=may_be_incomplete, malformed=malformed)


def settlements_page(currency: str, answer: object) -> AccountPage:
    """The page of `private/get_settlement_history_by_currency`, newest first."""
    fields = shapes.mapping(answer)
    read = partial(_of_currency, currency, _SETTLEMENTS)
    rows, malformed = _readable(fields.get("settlements"), MOST_SETTLEMENTS, read)
    if np.any(np.diff(rows["settled_at"]) > np.timedelta64(0, "ms")):
        raise ValueError("settlements must be sorted newest first")
    token = shapes.continuation(fields.get("continuation"))
    return AccountPage(rows, token, malformed=malformed)


def _readable(
    value: object, most: int, read: Callable[[_Entries], Rows]
) -> tuple[Rows, tuple[Malformed, ...]]:
    entries = shapes.array(value)
    if len(entries) > most:
        raise ValueError(f"at most {most} were requested, but {len(entries)} were returned")
    return readable(
        entries,
        lambda some: read([shapes.mapping(entry) for entry in some]),
        lambda entry: shapes.milliseconds("timestamp", shapes.mapping(entry).get("timestamp")),
    )


def _of_currency(currency: str, returned: "_Readers", entries: _Entries) -> Rows:
    rows = _rows(returned, entries)
    _require_currency(currency, rows)
    return rows


def _require_currency(currency: str, rows: Rows) -> None:
    """Raise ValueError if an instrument does not settle in the currency. A trade or settlement
    names only an instrument: `BTC-PERPETUAL` settles in BTC and `SOL_USDC-PERPETUAL` in USDC, while
    `BTC_USDC` exchanges one for the other. A bankruptcy has no instrument."""
    names = set(rows["instrument_name"].tolist())
    for name in (name for name in names if not name.startswith("#")):
        pair, _, rest = name.partition("-")
        of = pair.split("_")
        if currency not in (of[-1:] if rest else of):
            raise ValueError(f"{name} does not settle in {currency}")


def _moments(name: str, entries: _Entries) -> NDArray[Any]:
    moments = [shapes.milliseconds(name, entry.get(name)) for entry in entries]
    return np.array(moments, "datetime64[ms]")


def _wholes(name: str, entries: _Entries) -> NDArray[Any]:
    values = [entry.get(name) for entry in entries]
    if not all(type(value) is int and abs(value) < 2**63 for value in values):
        raise ValueError(f"`{name}` must be a whole number")
    return np.array(values, np.int64)


def _numbers(name: str, entries: _Entries) -> NDArray[Any]:
    return shapes.numbers_or_null(name, [entry.get(name) for entry in entries])


def _known_numbers(name: str, entries: _Entries) -> NDArray[Any]:
    return shapes.numbers(name, [entry.get(name) for entry in entries])


def _texts(name: str, entries: _Entries) -> NDArray[Any]:
    return np.array([shapes.text(name, entry.get(name)) for entry in entries], object)


def _texts_or_null(name: str, entries: _Entries) -> NDArray[Any]:
    values = [entry.get(name) for entry in entries]
    if not all(isinstance(value, str | None) for value in values):
        raise ValueError(f"`{name}` must be a text or null")
    return np.array(values, object)


def _instruments(_: str, entries: _Entries) -> NDArray[Any]:
    return instrument_names(entries)


def _whole_entries(_: str, entries: _Entries) -> NDArray[Any]:
    returned = [orjson.dumps(entry, option=orjson.OPT_SORT_KEYS).decode() for entry in entries]
    return np.array(returned, object)


_Readers = dict[str, tuple[str, Callable[[str, _Entries], NDArray[Any]]]]
"""The exchange's name of each column, and its parser."""

_LOG: _Readers = {
    "id": ("id", _wholes),
    "logged_at": ("timestamp", _moments),
    "user_seq": ("user_seq", _wholes),
    "type": ("type", _texts),
    "instrument_name": ("instrument_name", _texts_or_null),
    "side": ("side", _texts_or_null),
    "amount": ("amount", _numbers),
    "price": ("price", _numbers),
    "index_price": ("index_price", _numbers),
    "position": ("position", _numbers),
    "commission": ("commission", _numbers),
    "cashflow": ("cashflow", _numbers),
    "change": ("change", _numbers),
    "balance": ("balance", _numbers),
    "equity": ("equity", _numbers),
    "interest_pl": ("interest_pl", _numbers),
    "trade_id": ("trade_id", _texts_or_null),
    "order_id": ("order_id", _texts_or_null),
    "told": ("", _whole_entries),
}
_TRADES: _Readers = {
    "trade_id": ("trade_id", _texts),
    "order_id": ("order_id", _texts),
    "traded_at": ("timestamp", _moments),
    "instrument_name": ("instrument_name", _texts),
    "trade_seq": ("trade_seq", _wholes),
    "direction": ("direction", _texts),
    "price": ("price", _known_numbers),
    "amount": ("amount", _known_numbers),
    "fee": ("fee", _numbers),
    "fee_currency": ("fee_currency", _texts_or_null),
    "liquidity": ("liquidity", _texts_or_null),
    "profit_loss": ("profit_loss", _numbers),
    "index_price": ("index_price", _numbers),
    "mark_price": ("mark_price", _numbers),
    "iv": ("iv", _numbers),
    "told": ("", _whole_entries),
}
_SETTLEMENTS: _Readers = {
    "settled_at": ("timestamp", _moments),
    "instrument_name": ("instrument_name", _instruments),
    "type": ("type", _texts),
    "position": ("position", _numbers),
    "mark_price": ("mark_price", _numbers),
    "index_price": ("index_price", _numbers),
    "funding": ("funding", _numbers),
    "profit_loss": ("profit_loss", _numbers),
    "session_profit_loss": ("session_profit_loss", _numbers),
    "told": ("", _whole_entries),
}


def _rows(returned: _Readers, entries: _Entries) -> Rows:
    return {column: read(name, entries) for column, (name, read) in returned.items()}
