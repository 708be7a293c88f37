"""Settlements: of every instrument of a currency, newest first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.deribit import shapes
from deribit_pipeline.deribit.methods import Methods, Told

BY_CURRENCY = "public/get_last_settlements_by_currency"
BY_INSTRUMENT = "public/get_last_settlements_by_instrument"

MOST_SETTLEMENTS = 1_000
"""How many settlements an answer holds at most [documentation]."""

_AMOUNTS = (
    "position", "mark_price", "index_price", "funding", "profit_loss", "session_profit_loss",
    "funded", "session_bankruptcy", "session_tax", "session_tax_rate", "socialized",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class SettlementsPage:
    """The settlements of one answer in the order they came, by the table's columns, and the token
    that asks for older ones; None where there are none."""

    rows: dict[str, NDArray[Any]]
    continuation: str | None


class Settlements(Methods):
    """The methods that tell settlements."""

    async def get_last_settlements_by_currency(
        self,
        currency: str,
        *,
        count: int = MOST_SETTLEMENTS,
        search_start_timestamp: int | None = None,
        continuation: str | None = None,
    ) -> Told[SettlementsPage]:
        """`public/get_last_settlements_by_currency`: the newest up to a moment, in UTC
        milliseconds, or what follows a token. Despite its name the moment is an upper bound."""
        bounds = {"search_start_timestamp": search_start_timestamp, "continuation": continuation}
        return await self.told(
            settlements, BY_CURRENCY, currency=currency, count=count, **_given(bounds)
        )

    async def get_last_settlements_by_instrument(
        self, instrument_name: str, *, count: int = MOST_SETTLEMENTS
    ) -> Told[SettlementsPage]:
        """`public/get_last_settlements_by_instrument`: the newest."""
        return await self.told(
            settlements, BY_INSTRUMENT, instrument_name=instrument_name, count=count
        )


def settlements(answer: object) -> SettlementsPage:
    """The page of either method. Where settlements end, `continuation` is absent, null or
    `none`: all three were seen."""
    fields = shapes.mapping(answer)
    entries = [shapes.mapping(entry) for entry in shapes.array(fields.get("settlements"))]
    moments = [shapes.milliseconds("timestamp", entry.get("timestamp")) for entry in entries]
    rows: dict[str, NDArray[Any]] = {
        "settled_at": np.array(moments, "datetime64[ms]"),
        "instrument_name": np.array([_instrument_name(entry) for entry in entries], object),
        "type": np.array([shapes.text("type", entry.get("type")) for entry in entries], object),
    }
    token = fields.get("continuation")
    return SettlementsPage(
        rows | {name: _amounts(name, entries) for name in _AMOUNTS},
        None if token in (None, "none") else shapes.text("continuation", token),
    )


def _given(params: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _instrument_name(entry: Mapping[str, Any]) -> str:
    name = entry.get("instrument_name")
    if name is None and entry.get("type") == "bankruptcy":
        return ""  # which is of an account and of no instrument
    return shapes.text("instrument_name", name)


def _amounts(name: str, entries: list[Mapping[str, Any]]) -> NDArray[np.float64]:
    """A number of each entry; NaN where it is absent or null."""
    told = [entry.get(name) for entry in entries]
    is_told = np.array([value is not None for value in told], bool)
    amounts = np.full(len(told), np.nan)
    amounts[is_told] = shapes.numbers(name, [value for value in told if value is not None])
    return amounts
