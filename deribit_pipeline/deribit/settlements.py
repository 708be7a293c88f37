"""Settlements: of every instrument of a currency, newest first."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.deribit import shapes
from deribit_pipeline.deribit.methods import Methods, Told

BY_CURRENCY = "public/get_last_settlements_by_currency"

MOST_SETTLEMENTS = 1_000
"""How many settlements an answer holds at most (assumption:pages-most)."""

_AMOUNTS = (
    "position", "mark_price", "index_price", "funding", "profit_loss", "session_profit_loss",
    "funded", "session_bankruptcy", "session_tax", "session_tax_rate", "socialized",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class SettlementsPage:
    """The settlements of one answer in the order they came, by the table's columns, and the token
    that asks for older ones; None where there are none."""

    rows: dict[str, NDArray[Any]]
    continuation: str | int | None


class Settlements(Methods):
    """The methods that tell settlements."""

    async def get_last_settlements_by_currency(
        self,
        currency: str,
        *,
        count: int = MOST_SETTLEMENTS,
        search_start_timestamp: int | None = None,
        continuation: str | int | None = None,
    ) -> Told[SettlementsPage]:
        """`public/get_last_settlements_by_currency`: the newest up to a moment, in UTC
        milliseconds, or what follows a token. Despite its name the moment is an upper bound
        (assumption:settlements-bound)."""
        return await self.told(
            settlements,
            BY_CURRENCY,
            currency=currency,
            count=count,
            search_start_timestamp=search_start_timestamp,
            continuation=continuation,
        )


def settlements(answer: object) -> SettlementsPage:
    """The page of `public/get_last_settlements_by_currency`."""
    fields = shapes.mapping(answer)
    entries = [shapes.mapping(entry) for entry in shapes.array(fields.get("settlements"))]
    moments = [shapes.milliseconds("timestamp", entry.get("timestamp")) for entry in entries]
    rows: dict[str, NDArray[Any]] = {
        "settled_at": np.array(moments, "datetime64[ms]"),
        "instrument_name": instrument_names(entries),
        "type": np.array([shapes.text("type", entry.get("type")) for entry in entries], object),
    }
    return SettlementsPage(
        rows | {name: _amounts(name, entries) for name in _AMOUNTS},
        shapes.continuation(fields.get("continuation")),
    )


def instrument_names(entries: Sequence[Mapping[str, Any]]) -> NDArray[np.object_]:
    """The instrument of each entry. A bankruptcy, which is of an account, names none: in its place
    stands a mark that its own values make, so that two of one millisecond are told apart on
    whatever pages they come."""
    names = [
        _mark(entry)
        if entry.get("type") == "bankruptcy" and not entry.get("instrument_name")
        else shapes.text("instrument_name", entry.get("instrument_name"))
        for entry in entries
    ]
    return np.array(names, object)


def _mark(bankruptcy: Mapping[str, Any]) -> str:
    """`#` and eight digits, of the documented amounts alone: others may be added any day."""
    amounts = [_amounts(name, [bankruptcy]) for name in _AMOUNTS]
    told = np.concatenate(amounts).astype("<f8").tobytes()
    return f"#{hashlib.blake2b(told, digest_size=4).hexdigest()}"


def _amounts(name: str, entries: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    return shapes.numbers_or_null(name, [entry.get(name) for entry in entries])
