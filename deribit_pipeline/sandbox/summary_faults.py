"""Faults of book summaries: rows of another currency or of another instant, and missing ones."""

from collections.abc import Callable
from typing import Any, TypeGuard

Row = dict[str, Any]
Rows = list[Row]

_STALE = 600_000
"""How old a stale response is, in milliseconds."""


def is_summaries(value: Any) -> TypeGuard[Rows]:
    """Whether a value is a list of summaries that a fault can change."""
    return isinstance(value, list) and len(value) > 2 and "mark_price" in value[0]


def _of_another(rows: Rows) -> Rows:
    """The rows of Bitcoin's instruments, or for these the rows of Ether's."""
    return [row | _renamed(row, "ETH" if row["base_currency"] == "BTC" else "BTC") for row in rows]


def _renamed(row: Row, currency: str) -> Row:
    _, _, rest = row["instrument_name"].partition("-")
    fields = {"instrument_name": f"{currency}-{rest}", "base_currency": currency}
    if row["quote_currency"] == row["base_currency"]:
        fields["quote_currency"] = currency
    return fields


def _earlier(rows: Rows) -> Rows:
    return [row | {"creation_timestamp": row["creation_timestamp"] - _STALE} for row in rows]


CHANGES: dict[str, Callable[[Rows], Rows]] = {
    "summaries_of_another": _of_another,
    "summaries_lack_some": lambda rows: [row for n, row in enumerate(rows) if n % 5],
    "summaries_stale": _earlier,
    "summaries_of_two_instants": lambda rows: [
        *rows[: len(rows) // 2], *_earlier(rows[len(rows) // 2 :])
    ],
    "summaries_twice": lambda rows: [*rows, *rows],
}  # fmt: skip
"""The faults by name."""
