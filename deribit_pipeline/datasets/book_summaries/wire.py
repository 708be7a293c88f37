"""The responses of `public/get_book_summary_by_currency`, one snapshot of all instruments, and of
`public/get_instruments`, by which it is proved."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.specification import INSTRUMENT_NAME, KINDS
from deribit_pipeline.exchange import shapes
from deribit_pipeline.exchange.entries import Rows

BY_CURRENCY = "public/get_book_summary_by_currency"

_NUMBERS = {
    "bid_price": "bid_price", "ask_price": "ask_price", "mark_price": "mark_price",
    "last_price": "last", "mark_iv": "mark_iv", "open_interest": "open_interest",
    "volume": "volume", "underlying_price": "underlying_price", "interest_rate": "interest_rate",
    "estimated_delivery_price": "estimated_delivery_price", "current_funding": "current_funding",
    "funding_8h": "funding_8h",
}  # fmt: skip
"""The columns that are numbers or null, and the fields that they come from."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One response: `rows` sorted by instrument, by the columns of the table but for those that it
    does not contain (kind, received_at). `at_ms` is the instant that all of them describe, in UTC
    milliseconds."""

    at_ms: int
    rows: Rows

    @property
    def names(self) -> NDArray[np.object_]:
        """The names of the instruments, sorted."""
        return self.rows["instrument_name"]


def snapshot(answer: object) -> Snapshot:
    """The snapshot in a response.

    Raises ValueError if it has no rows, if rows are of several instants or of one instrument
    (assumption:summaries-instant), or if any is malformed: a snapshot is used whole or not at all.
    """
    entries = [shapes.mapping(entry) for entry in shapes.array(answer)]
    moments = {str(entry.get("creation_timestamp")) for entry in entries}
    if len(moments) != 1:
        raise ValueError(f"one `creation_timestamp` was expected, {len(moments)} were returned")
    at_ms = shapes.milliseconds("creation_timestamp", entries[0]["creation_timestamp"])
    names = [_name(entry.get("instrument_name")) for entry in entries]
    if len(set(names)) < len(names):
        raise ValueError("an instrument was returned twice")
    order = sorted(range(len(names)), key=names.__getitem__)
    entries = [entries[number] for number in order]
    rows: Rows = {
        "snapshot_at": np.full(len(names), np.datetime64(at_ms, "ms")),
        "instrument_name": _objects([names[number] for number in order]),
        "underlying_index": _objects([_text_or_null(each, "underlying_index") for each in entries]),
    }
    for column, field in _NUMBERS.items():
        rows[column] = shapes.numbers_or_null(field, [entry.get(field) for entry in entries])
    return Snapshot(at_ms, rows)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When an instrument is listed, in UTC milliseconds; `expires_ms` is None for never."""

    kind: str
    listed_ms: int
    expires_ms: int | None


def lifetimes(answer: object) -> dict[str, Lifetime]:
    """The instruments of `public/get_instruments`, with what the proof of a snapshot needs: a
    whole specification takes ten times as long. Raises ValueError for a malformed entry."""
    found = {}
    for entry in map(shapes.mapping, shapes.array(answer)):
        kind, ends = entry.get("kind"), entry.get("expiration_timestamp")
        if kind not in KINDS:
            raise ValueError(f"`kind` must be one of {', '.join(KINDS)}, was {kind!r}")
        expires_ms = shapes.milliseconds("expiration_timestamp", ends)
        found[_name(entry.get("instrument_name"))] = Lifetime(
            kind,
            shapes.milliseconds("creation_timestamp", entry.get("creation_timestamp")),
            expires_ms if expires_ms < shapes.NEVER else None,
        )
    return found


def _name(value: object) -> str:
    name = shapes.text("instrument_name", value)
    if not INSTRUMENT_NAME.fullmatch(name):
        raise ValueError("`instrument_name` must be letters, digits, '-' and '_'")
    return name


def _text_or_null(entry: Any, name: str) -> str | None:
    value = entry.get(name)
    return None if value is None else shapes.text(name, value)


def _objects(values: list[Any]) -> NDArray[np.object_]:
    array = np.empty(len(values), object)
    array[:] = values
    return array
