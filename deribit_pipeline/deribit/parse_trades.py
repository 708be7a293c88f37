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
    others = [name for name in _required("instrument_name", rows) if name != instrument_name]
    if others:
        raise ValueError(f"a trade was not of {instrument_name}, but of {reprlib.repr(others[0])}")
    columns: Columns = {
        "trade_seq": _integers("trade_seq", rows, 1, 2**53),
        "trade_id": _texts("trade_id", rows),
        "traded_at": _integers("timestamp", rows, 0, shapes.NEVER).astype("datetime64[ms]"),
        "direction": _words("direction", rows, ("buy", "sell")),
        "tick_direction": _integers("tick_direction", rows, 0, 4),
        "price": shapes.numbers("price", _required("price", rows)),
        "mark_price": _optional_numbers("mark_price", rows),
        "index_price": _optional_numbers("index_price", rows),
        "amount": shapes.numbers("amount", _required("amount", rows)),
        "contracts": _optional_numbers("contracts", rows),
        "iv": _optional_numbers("iv", rows),
    } | {name: _optional_texts(name, rows) for name in _OPTIONAL_TEXTS}
    if np.any(columns["amount"] <= 0):
        raise ValueError("`amount` must be above 0")
    order = np.argsort(columns["trade_seq"], kind="stable")
    columns = {name: values[order] for name, values in columns.items()}
    if np.any(np.diff(columns["trade_seq"]) == 0):
        raise ValueError("a `trade_seq` came twice")
    return columns


def _required(name: str, rows: list[dict[str, Any]]) -> list[Any]:
    try:
        return list(map(itemgetter(name), rows))
    except KeyError as error:
        raise ValueError(f"every trade must have `{name}`") from error


def _optional(name: str, rows: list[dict[str, Any]]) -> list[Any]:
    return list(map(dict.get, rows, repeat(name)))


def _integers(name: str, rows: list[dict[str, Any]], least: int, end: int) -> NDArray[np.int64]:
    numbers = shapes.numbers(name, _required(name, rows))
    if np.any((numbers < least) | (numbers >= end) | (numbers != np.floor(numbers))):
        raise ValueError(f"`{name}` must be integers from {least} to {end - 1}")
    return numbers.astype(np.int64)


def _texts(name: str, rows: list[dict[str, Any]]) -> NDArray[np.object_]:
    values = _required(name, rows)
    if not set(map(type, values)) <= {str} or "" in values:
        raise ValueError(f"`{name}` must be texts")
    return _objects(values)


def _words(name: str, rows: list[dict[str, Any]], words: tuple[str, ...]) -> NDArray[np.object_]:
    """One of a few texts for each row; each text is held once, however many rows there are."""
    known = {word: word for word in words}
    try:
        return _objects([known[value] for value in _required(name, rows)])
    except (KeyError, TypeError) as error:  # what is no text may not even be looked up
        raise ValueError(f"`{name}` must be {' or '.join(words)}") from error


def _optional_numbers(name: str, rows: list[dict[str, Any]]) -> NDArray[np.float64]:
    values = _optional(name, rows)
    types = set(map(type, values))
    if not types <= {int, float, type(None)}:
        raise ValueError(f"`{name}` must be numbers or absent")
    if type(None) not in types:
        return shapes.numbers(name, values)
    column = np.full(len(values), np.nan)
    if len(types) > 1:
        is_told = [value is not None for value in values]
        column[is_told] = shapes.numbers(name, [value for value in values if value is not None])
    return column


def _optional_texts(name: str, rows: list[dict[str, Any]]) -> NDArray[np.object_]:
    values = _optional(name, rows)
    if not set(map(type, values)) <= {str, type(None)}:
        raise ValueError(f"`{name}` must be texts or absent")
    return _objects(values)


def _objects(values: list[Any]) -> NDArray[np.object_]:
    return np.fromiter(values, object, len(values))
