"""Faults of single values among many rows: of the volatility index and of funding.

Other responses are unchanged. The changed rows are in the middle, so that no neighbouring response
has them.
"""

from collections.abc import Callable
from typing import Any

Rows = list[Any]
Values = list[float]

_FUNDING = ("interest_1h", "interest_8h", "index_price", "prev_index_price")
_MINUTE = 60_000


def _values_of(row: Any) -> Values:
    return row[1:] if isinstance(row, list) else [row[name] for name in _FUNDING]


def _with(row: Any, values: Values) -> Any:
    if isinstance(row, list):
        return [row[0], *values]
    return row | dict(zip(_FUNDING, values, strict=True))


def _is_measured(rows: Rows) -> bool:
    first = rows[0]
    return len(first) == 5 if isinstance(first, list) else set(_FUNDING) <= set(first)


def _change_of_one(change: Callable[[Values], Values]) -> Callable[[Rows], Rows]:
    def changed(rows: Rows) -> Rows:
        if not _is_measured(rows):
            return rows
        at = len(rows) // 2
        return [*rows[:at], _with(rows[at], change(_values_of(rows[at]))), *rows[at + 1 :]]

    return changed


def _raised(column: int) -> Callable[[Rows], Rows]:
    return _change_of_one(
        lambda values: [value * (1.1 if n == column else 1) for n, value in enumerate(values)]
    )


def _set(column: int, value: Any) -> Callable[[Rows], Rows]:
    return _change_of_one(lambda values: [*values[:column], value, *values[column + 1 :]])


def _swapped(apart: int) -> Callable[[Rows], Rows]:
    """Two rows, this far apart if there are enough, with their values exchanged."""
    return lambda rows: _with_swapped(rows, apart) if _is_measured(rows) else rows


def _with_swapped(rows: Rows, apart: int) -> Rows:
    one = len(rows) // 2
    other = min(one + apart, len(rows) - 1)
    first, second = _values_of(rows[one]), _values_of(rows[other])
    swapped = list(rows)
    swapped[one], swapped[other] = _with(rows[one], second), _with(rows[other], first)
    return swapped


def _hour_of_another(rows: Rows) -> Rows:
    """One hour at a price a third higher."""
    if not _is_measured(rows):
        return rows
    start = len(rows) // 2
    is_minutes = isinstance(rows[0], list) and rows[1][0] - rows[0][0] == _MINUTE
    end = start + (60 if is_minutes else 1)
    return [
        _with(row, [value * 1.3 for value in _values_of(row)]) if start <= n < end else row
        for n, row in enumerate(rows)
    ]


def _repeated_within(rows: Rows) -> Rows:
    """One row repeated, with equal values."""
    return [*rows[: len(rows) // 2 + 1], *rows[len(rows) // 2 :]] if _is_measured(rows) else rows


VALUE_CHANGES: dict[str, Callable[[Rows], Rows]] = {
    **{f"value_{column + 1}_raised": _raised(column) for column in range(4)},
    "value_low_above_high": _change_of_one(lambda v: [v[0], v[2], v[1], v[3]]),
    "value_zero": _set(2, 0.0),
    "value_negative": _change_of_one(lambda v: [*v[:2], -v[2], v[3]]),
    "value_huge": _set(1, 1e308),
    "value_null": _set(3, None),
    "values_swapped": _swapped(61),
    "values_swapped_within_an_hour": _swapped(2),
    "values_of_another_hour": _hour_of_another,
    "value_row_twice": _repeated_within,
}
"""The faults of rows, by name. The values are, in this order, open, high, low
and close, or `interest_1h`, `interest_8h`, `index_price` and `prev_index_price`."""
