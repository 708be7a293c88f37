"""Parse responses with trades to columns. A response has up to 10,000 trades, which are not parsed
row by row unless one of them is malformed."""

import reprlib
from contextlib import suppress
from dataclasses import dataclass
from itertools import repeat
from operator import itemgetter
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.trades.typed_trades import Trades, TypedTrades
from deribit_pipeline.exchange import shapes

Columns = dict[str, NDArray[Any]]
"""Rows by column, named as in the table `trades`, without the instrument."""

_OPTIONAL_TEXTS = ("liquidation", "block_trade_id", "combo_id")
_OPTIONAL = ("mark_price", "index_price", "contracts", "iv", *_OPTIONAL_TEXTS)
_REQUIRED = {
    name: itemgetter(name)
    for name in (
        "instrument_name", "trade_seq", "trade_id", "timestamp", "direction", "tick_direction",
        "price", "amount",
    )
}  # fmt: skip

FIELDS = (*_REQUIRED, *_OPTIONAL)
"""The fields of a trade that are parsed; for others see assumption:fields-known."""

# Trades are parsed in batches of this size, which fit in a processor's cache.
_TOGETHER = 500

# If all of more than this many trades are malformed, the response itself is.
_FEW = 10


@dataclass(frozen=True, slots=True)
class MalformedTrade:
    """A trade that cannot be parsed, and why. Its number and its time in UTC milliseconds are None
    if these cannot be parsed either."""

    number: int | None
    traded_ms: int | None
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class TradesPage:
    """The trades of a response, sorted by `trade_seq`, the malformed ones, and the number of
    repeated ones that are equal in every column."""

    rows: Columns
    malformed: tuple[MalformedTrade, ...] = ()
    repeated: int = 0


def trades(answer: object, instrument_name: str, most: int) -> Columns:
    """Like `trades_page`, but raises ValueError for any malformed trade."""
    page = trades_page(answer, instrument_name, most)
    if page.malformed:
        raise ValueError(page.malformed[0].reason)
    return page.rows


def trades_page(answer: object, instrument_name: str, most: int) -> TradesPage:
    """The trades of a response about one instrument.

    `timestamp` is in UTC milliseconds; absent numbers are NaN, absent texts None. Different trades
    with one number are malformed. Raises ValueError if a trade belongs to another instrument, if
    there are more than `most`, or if every one of many is malformed.
    """
    if isinstance(answer, Trades):
        if len(answer.trades) <= most:
            with suppress(ValueError):
                return _unique(_columns(TypedTrades(answer.trades), instrument_name), [])
        answer = msgspec.to_builtins(answer)
    rows = shapes.array(shapes.mapping(answer).get("trades"))
    if len(rows) > most:
        raise ValueError(f"at most {most} trades were requested, but {len(rows)} were returned")
    columns, malformed = parsed_trades(rows, instrument_name)
    if malformed:
        _refuse_others(rows, instrument_name)
    if len(malformed) == len(rows) > _FEW:
        raise ValueError(malformed[0].reason)
    return _unique(columns, malformed)


def parsed_trades(rows: list[Any], instrument_name: str) -> tuple[Columns, list[MalformedTrade]]:
    """The trades of an instrument by column, sorted by `trade_seq`, each as often as it is among
    the rows; and the malformed ones."""
    try:
        return _columns(JsonTrades(rows), instrument_name), []
    except ValueError:
        sound, malformed = [], []
        for row in rows:
            try:
                _columns(JsonTrades([row]), instrument_name)
            except ValueError as error:
                malformed.append(_malformed(row, str(error)))
            else:
                sound.append(row)
        return _columns(JsonTrades(sound), instrument_name), malformed


def _refuse_others(rows: list[Any], instrument_name: str) -> None:
    """Raise ValueError if a trade belongs to another instrument."""
    for row in rows:
        name = row.get("instrument_name") if isinstance(row, dict) else None
        if isinstance(name, str) and name != instrument_name:
            raise ValueError(f"a trade was not of {instrument_name}, but of {reprlib.repr(name)}")


class _Fields(Protocol):
    """The fields of trades, each as an array. Methods raise ValueError."""

    def names(self) -> set[str]: ...
    def numbers(self, name: str) -> NDArray[np.float64]: ...
    def numbers_or_null(self, name: str) -> NDArray[np.float64]: ...
    def texts(self, name: str) -> NDArray[np.object_]: ...
    def texts_or_null(self, name: str) -> NDArray[np.object_]: ...
    def words(self, name: str, words: tuple[str, ...]) -> NDArray[np.object_]: ...


def _columns(fields: _Fields, instrument_name: str) -> Columns:
    """The trades by column, sorted by `trade_seq`. Raises ValueError."""
    if not fields.names() <= {instrument_name}:
        raise ValueError("`instrument_name` must be a text")
    columns: Columns = {
        "trade_seq": _integers("trade_seq", fields, 1, 2**53),
        "trade_id": fields.texts("trade_id"),
        "traded_at": _integers("timestamp", fields, 0, shapes.NEVER).astype("datetime64[ms]"),
        "direction": fields.words("direction", ("buy", "sell")),
        "tick_direction": _integers("tick_direction", fields, 0, 4),
        "price": fields.numbers("price"),
        "mark_price": fields.numbers_or_null("mark_price"),
        "index_price": fields.numbers_or_null("index_price"),
        "amount": fields.numbers("amount"),
        "contracts": fields.numbers_or_null("contracts"),
        "iv": fields.numbers_or_null("iv"),
    } | {name: fields.texts_or_null(name) for name in _OPTIONAL_TEXTS}
    numbers = columns["trade_seq"]
    if np.all(numbers[1:] > numbers[:-1]):
        return columns
    order = np.argsort(numbers, kind="stable")
    return {name: values[order] for name, values in columns.items()}


def _integers(name: str, fields: _Fields, least: int, end: int) -> NDArray[np.int64]:
    numbers = fields.numbers(name)
    if np.any((numbers < least) | (numbers >= end) | (numbers != np.floor(numbers))):
        raise ValueError(f"`{name}` must be integers from {least} to {end - 1}")
    return numbers.astype(np.int64)


def _malformed(row: Any, reason: str) -> MalformedTrade:
    number, traded_ms = number_and_time(row if isinstance(row, dict) else {})
    return MalformedTrade(number, traded_ms, reason)


def number_and_time(row: dict[str, Any]) -> tuple[int | None, int | None]:
    """The `trade_seq` of a trade and its `timestamp` in milliseconds, each None if it is none."""
    number, traded_ms = row.get("trade_seq"), row.get("timestamp")
    return _whole(number, 2**53) or None, _whole(traded_ms, shapes.NEVER)


def _whole(value: object, end: int) -> int | None:
    """A JSON number from 0 on and below an end, if it is whole: 2.2e3 is."""
    if isinstance(value, int | float) and type(value) is not bool and 0 <= value < end:
        return int(value) if value == int(value) else None
    return None


def _unique(columns: Columns, malformed: list[MalformedTrade]) -> TradesPage:
    """The trades without duplicates: those equal in every column are one, and different ones with
    one number are malformed."""
    numbers = columns["trade_seq"]
    again = np.flatnonzero(np.diff(numbers) == 0) + 1
    if not len(again):
        return TradesPage(columns, tuple(malformed))
    is_unlike = np.zeros(len(again), bool)
    for values in columns.values():
        one, other = values[again - 1], values[again]
        unlike = one != other
        if values.dtype.kind == "f":
            unlike &= ~(np.isnan(one) & np.isnan(other))
        is_unlike |= unlike
    conflicting = np.unique(numbers[again[is_unlike]])
    times = columns["traded_at"].astype(np.int64)
    malformed += [
        MalformedTrade(
            number,
            int(times[np.searchsorted(numbers, number)]),
            "different trades have the same `trade_seq`",
        )
        for number in conflicting.tolist()
    ]
    is_kept = np.ones(len(numbers), bool)
    is_kept[again] = False
    is_kept &= ~np.isin(numbers, conflicting)
    repeated = int(np.count_nonzero(~np.isin(numbers[again], conflicting)))
    kept = {name: values[is_kept] for name, values in columns.items()}
    return TradesPage(kept, tuple(malformed), repeated)


class JsonTrades:
    """The fields of trades that are JSON values of any shape, each as an array. Methods raise
    ValueError, as does the constructor."""

    def __init__(self, rows: list[Any]) -> None:
        if not set(map(type, rows)) <= {dict}:
            raise ValueError("`trades` must be objects")
        self._fields = _fields(rows)

    def names(self) -> set[str]:
        """The instruments of the trades."""
        names = self._fields["instrument_name"]
        if not set(map(type, names)) <= {str}:
            raise ValueError("`instrument_name` must be a text")
        return set(names)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A number of each trade."""
        return shapes.numbers(name, self._fields[name])

    def numbers_or_null(self, name: str) -> NDArray[np.float64]:
        """A number of each trade; NaN where it is absent."""
        return shapes.numbers_or_null(name, self._fields[name])

    def texts(self, name: str) -> NDArray[np.object_]:
        """A text of each trade, not an empty one."""
        values = self._fields[name]
        if not set(map(type, values)) <= {str} or "" in values:
            raise ValueError(f"`{name}` must be texts")
        return _objects(values)

    def texts_or_null(self, name: str) -> NDArray[np.object_]:
        """A text of each trade; None where it is absent."""
        values = self._fields[name]
        if not set(map(type, values)) <= {str, type(None)}:
            raise ValueError(f"`{name}` must be texts or absent")
        return _objects(values)

    def words(self, name: str, words: tuple[str, ...]) -> NDArray[np.object_]:
        """One of a few texts for each trade; each text is one object, shared by all."""
        known = {word: word for word in words}
        try:
            return _objects([known[value] for value in self._fields[name]])
        except (KeyError, TypeError) as error:  # a value that is no text may be unhashable
            raise ValueError(f"`{name}` must be {' or '.join(words)}") from error


def _fields(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Each field of the trades; None if an optional one is absent."""
    fields: dict[str, list[Any]] = {name: [] for name in (*_REQUIRED, *_OPTIONAL)}
    try:
        for place in range(0, len(rows), _TOGETHER):
            some = rows[place : place + _TOGETHER]
            for name, returned in _REQUIRED.items():
                fields[name].extend(map(returned, some))
            for name in _OPTIONAL:
                fields[name].extend(map(dict.get, some, repeat(name)))
    except KeyError as error:
        raise ValueError(f"every trade must have `{error.args[0]}`") from error
    return fields


def _objects(values: list[Any]) -> NDArray[np.object_]:
    return np.fromiter(values, object, len(values))
