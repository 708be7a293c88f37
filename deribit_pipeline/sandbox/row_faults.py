"""Faults of responses that are rows: objects with a `timestamp` or a `date`, or arrays that begin
with a timestamp."""

from collections.abc import Callable
from typing import Any, TypeGuard

Rows = list[Any]


_WHEN = ("timestamp", "date")


def _stamped(row: Any, later: int) -> Any:
    if isinstance(row, dict):
        return row | {"timestamp": row.get("timestamp", 0) + later}
    return [row[0] + later, *row[1:]]


def _of_another(rows: Rows) -> Rows:
    """The rows of another series; few responses name their series."""
    return [
        {name: value if name in _WHEN else _another(value) for name, value in row.items()}
        if isinstance(row, dict)
        else [row[0], *map(_another, row[1:])]
        for row in rows
    ]


def _another(value: Any) -> Any:
    return value * 3 if isinstance(value, int | float | str) else value


CHANGES: dict[str, Callable[[Rows], Rows]] = {
    "rows_repeated": lambda rows: [rows[0], *rows],
    "rows_unordered": lambda rows: [*rows[1:], rows[0]],
    "rows_off_grid": lambda rows: [_stamped(rows[0], 1_000), *rows[1:]],
    "rows_lack_first": lambda rows: rows[len(rows) // 3 :],
    "rows_lack_last": lambda rows: rows[: -(len(rows) // 3)],
    "rows_lack_some": lambda rows: [row for n, row in enumerate(rows) if n % 5],
    "rows_empty": lambda rows: [],
    "rows_of_another": _of_another,
}
"""The faults by name, for responses with at least three rows."""


def is_rows(value: Any) -> TypeGuard[Rows]:
    """Whether a value is a list of rows that a fault can change."""
    return (
        isinstance(value, list)
        and len(value) > 2
        and (
            isinstance(value[0], list)
            or (isinstance(value[0], dict) and any(name in value[0] for name in _WHEN))
        )
    )
