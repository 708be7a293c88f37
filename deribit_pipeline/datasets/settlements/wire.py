"""Settlements of every instrument of a currency, newest first."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.malformed import Malformed
from deribit_pipeline.exchange import shapes
from deribit_pipeline.exchange.entries import Rows, readable

BY_CURRENCY = "public/get_last_settlements_by_currency"

MOST_SETTLEMENTS = 1_000
"""The maximum number of settlements in a response (assumption:pages-most)."""

_AMOUNTS = (
    "position", "mark_price", "index_price", "funding", "profit_loss", "session_profit_loss",
    "funded", "session_bankruptcy", "session_tax", "session_tax_rate", "socialized",
)  # fmt: skip

# Fields with a second spelling: old bankruptcies have `session_bankrupcy`.
_SPELLINGS = {"session_bankruptcy": ("session_bankruptcy", "session_bankrupcy")}


@dataclass(frozen=True, slots=True, eq=False)
class SettlementsPage:
    """The settlements of one response in its order, by the table's columns, and the token for older
    ones; None if there are none. Some of its `entries` may be malformed."""

    rows: Rows
    continuation: str | int | None
    entries: int
    malformed: tuple[Malformed, ...] = ()


def settlements(answer: object) -> SettlementsPage:
    """The page of `public/get_last_settlements_by_currency`."""
    fields = shapes.mapping(answer)
    entries = shapes.array(fields.get("settlements"))
    rows, malformed = readable(entries, _rows, _settled_ms)
    token = shapes.continuation(fields.get("continuation"))
    return SettlementsPage(rows, token, len(entries), malformed)


def _rows(answer: Sequence[Any]) -> Rows:
    entries = [shapes.mapping(entry) for entry in answer]
    rows: Rows = {
        "settled_at": np.array([_settled_ms(entry) for entry in entries], "datetime64[ms]"),
        "instrument_name": instrument_names(entries),
        "type": np.array([shapes.text("type", entry.get("type")) for entry in entries], object),
    }
    return rows | {name: _amounts(name, entries) for name in _AMOUNTS}


def _settled_ms(entry: Any) -> int:
    return shapes.milliseconds("timestamp", shapes.mapping(entry).get("timestamp"))


def instrument_names(entries: Sequence[Mapping[str, Any]]) -> NDArray[np.object_]:
    """The instrument of each entry. A bankruptcy belongs to an account and names none: it gets a
    mark derived from its values instead, so that two of one millisecond are distinct, whatever
    pages they are on."""
    names = [
        _mark(entry)
        if entry.get("type") == "bankruptcy" and not entry.get("instrument_name")
        else shapes.text("instrument_name", entry.get("instrument_name"))
        for entry in entries
    ]
    return np.array(names, object)


def _mark(bankruptcy: Mapping[str, Any]) -> str:
    """`#` and eight digits, derived only from the documented amounts, in the documented spelling:
    fields may be added at any time, and a mark must never change."""
    amounts = [shapes.numbers_or_null(name, [bankruptcy.get(name)]) for name in _AMOUNTS]
    returned = np.concatenate(amounts).astype("<f8").tobytes()
    return f"#{hashlib.blake2b(returned, digest_size=4).hexdigest()}"


def _amounts(name: str, entries: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    return shapes.numbers_or_null(name, [_returned(name, entry) for entry in entries])


def _returned(name: str, entry: Mapping[str, Any]) -> Any:
    """A field's value, in any of its spellings. Raises ValueError if two spellings have different
    values."""
    spellings = _SPELLINGS.get(name, (name,))
    values = [entry[each] for each in spellings if entry.get(each) is not None]
    if any(value != values[0] for value in values):
        raise ValueError(f"{' and '.join(f'`{each}`' for each in spellings)} have two values")
    return values[0] if values else None
