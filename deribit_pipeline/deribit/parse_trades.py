"""Answers with trades to columns. An answer holds up to 10,000: nothing here is done row by row."""

import reprlib
from itertools import repeat
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.deribit import shapes

Columns = dict[str, NDArray[Any]]
"""Rows by column, named as in the table `trades`; the instrument is not among them."""

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
"""The fields of a trade that are read; of others see assumption:fields-known."""

# Trades of which each field is read before the next trades: so many stay in a processor's cache.
_TOGETHER = 500


def trades(answer: object, instrument_name: str, most: int) -> Columns:
    """The trades of an answer about one instrument, sorted by `trade_seq`.

    `timestamp` is in UTC milliseconds; numbers that are not told are NaN, texts None. Raises
    ValueError also where a trade comes twice, is of another instrument, or more than `most` come.
    """
    rows = shapes.array(shapes.mapping(answer).get("trades"))
    if len(rows) > most:
        raise ValueError(f"at most {most} trades were asked for, and {len(rows)} came")
    if not set(map(type, rows)) <= {dict}:
        raise ValueError("`trades` must be objects")
    fields = _fields(rows)
    others = [name for name in fields["instrument_name"] if name != instrument_name]
    if others:
        raise ValueError(f"a trade was not of {instrument_name}, but of {reprlib.repr(others[0])}")
    columns: Columns = {
        "trade_seq": _integers("trade_seq", fields["trade_seq"], 1, 2**53),
        "trade_id": _texts("trade_id", fields["trade_id"]),
        "traded_at": _moments("timestamp", fields["timestamp"]),
        "direction": _words("direction", fields["direction"], ("buy", "sell")),
        "tick_direction": _integers("tick_direction", fields["tick_direction"], 0, 4),
        "price": shapes.numbers("price", fields["price"]),
        "mark_price": shapes.numbers_or_null("mark_price", fields["mark_price"]),
        "index_price": shapes.numbers_or_null("index_price", fields["index_price"]),
        "amount": shapes.numbers("amount", fields["amount"]),
        "contracts": shapes.numbers_or_null("contracts", fields["contracts"]),
        "iv": shapes.numbers_or_null("iv", fields["iv"]),
    } | {name: _optional_texts(name, fields[name]) for name in _OPTIONAL_TEXTS}
    if np.any(columns["amount"] <= 0):
        raise ValueError("`amount` must be above 0")
    order = np.argsort(columns["trade_seq"], kind="stable")
    columns = {name: values[order] for name, values in columns.items()}
    if np.any(np.diff(columns["trade_seq"]) == 0):
        raise ValueError("a `trade_seq` came twice")
    return columns


def _fields(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Each field of the trades; None where one is not told that need not be."""
    fields: dict[str, list[Any]] = {name: [] for name in (*_REQUIRED, *_OPTIONAL)}
    try:
        for place in range(0, len(rows), _TOGETHER):
            some = rows[place : place + _TOGETHER]
            for name, told in _REQUIRED.items():
                fields[name].extend(map(told, some))
            for name in _OPTIONAL:
                fields[name].extend(map(dict.get, some, repeat(name)))
    except KeyError as error:
        raise ValueError(f"every trade must have `{error.args[0]}`") from error
    return fields


def _integers(name: str, values: list[Any], least: int, end: int) -> NDArray[np.int64]:
    numbers = shapes.numbers(name, values)
    if np.any((numbers < least) | (numbers >= end) | (numbers != np.floor(numbers))):
        raise ValueError(f"`{name}` must be integers from {least} to {end - 1}")
    return numbers.astype(np.int64)


def _moments(name: str, values: list[Any]) -> NDArray[np.datetime64]:
    return _integers(name, values, 0, shapes.NEVER).astype("datetime64[ms]")


def _texts(name: str, values: list[Any]) -> NDArray[np.object_]:
    if not set(map(type, values)) <= {str} or "" in values:
        raise ValueError(f"`{name}` must be texts")
    return _objects(values)


def _words(name: str, values: list[Any], words: tuple[str, ...]) -> NDArray[np.object_]:
    """One of a few texts for each row; each text is held once, however many rows there are."""
    known = {word: word for word in words}
    try:
        return _objects([known[value] for value in values])
    except (KeyError, TypeError) as error:  # what is no text may not even be looked up
        raise ValueError(f"`{name}` must be {' or '.join(words)}") from error


def _optional_texts(name: str, values: list[Any]) -> NDArray[np.object_]:
    if not set(map(type, values)) <= {str, type(None)}:
        raise ValueError(f"`{name}` must be texts or absent")
    return _objects(values)


def _objects(values: list[Any]) -> NDArray[np.object_]:
    return np.fromiter(values, object, len(values))
