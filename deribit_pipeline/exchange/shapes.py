"""Parsers for parts of a response: each returns the value or raises ValueError.

That responses have these shapes is assumption:responses-readable. msgspec and pydantic were tried:
they refuse a whole response for one malformed row (docs/decisions/0021).
"""

import bisect
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.windows import END_OF_TIME, to_ms

Shaped = TypeVar("Shaped")

NEVER = to_ms(END_OF_TIME)
"""The year 3000 in UTC milliseconds: perpetuals expire there (assumption:instruments-expiry)."""


def array(value: object) -> list[Any]:
    """A JSON array."""
    if not isinstance(value, list):
        raise ValueError(f"the result must be an array, was {type(value).__name__}")
    return value


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, Mapping):
        raise ValueError(f"the result must be an object, was {type(value).__name__}")
    return value


def text(name: str, value: object) -> str:
    """A non-empty string."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{name}` must be a text, was {reprlib.repr(value)}")
    return value


def milliseconds(name: str, value: object, most: int = 2 * NEVER) -> int:
    """A timestamp in UTC milliseconds below `most`; it may come as a float (`1.7e12`)."""
    # bool is a subclass of int: a JSON true must not pass as a number.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"`{name}` must be a number, was {reprlib.repr(value)}")
    if 0 <= value < most and value == int(value):
        return int(value)
    raise ValueError(f"`{name}` must be UTC milliseconds, was {value!r}")


def continuation(value: object) -> str | int | None:
    """The continuation token of a page; None at the end, where it is absent, null, `none` or empty,
    depending on the method (assumption:settlements-end)."""
    if value is None or value in ("none", ""):
        return None
    if isinstance(value, float) and value.is_integer():  # numbers may come as `1.7e12`
        return int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"`continuation` must be a token, was {reprlib.repr(value)}")
    return value


def numbers(name: str, values: object) -> NDArray[np.float64]:
    """A JSON array of numbers as float64; numpy alone would also accept strings and booleans."""
    if not isinstance(values, list) or not set(map(type, values)) <= {int, float}:
        raise ValueError(f"`{name}` must be an array of numbers")
    try:
        array = np.array(values, dtype=np.float64)
    except OverflowError:  # JSON allows integers that no double can hold
        array = np.array([np.inf])
    return finite(name, array)


def finite(name: str, array: NDArray[np.float64]) -> NDArray[np.float64]:
    """The numbers; raises ValueError for infinite ones and NaN."""
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite")
    return array + 0.0  # a JSON -0.0 becomes 0.0: it would change a day's hash, but no value


def numbers_or_null(name: str, values: list[Any]) -> NDArray[np.float64]:
    """A JSON array of numbers and nulls as float64; null becomes NaN."""
    if None not in values:
        return numbers(name, values)
    is_returned = [value is not None for value in values]
    returned = np.full(len(values), np.nan)
    returned[is_returned] = numbers(name, [value for value in values if value is not None])
    return returned


def each(
    shape: Callable[[object], Shaped], values: Sequence[object], instead: Shaped
) -> tuple[list[Shaped], dict[int, str]]:
    """Parse each value with `shape`; returns the values, with `instead` for malformed ones, and
    what is wrong with these, by position. A malformed value does not affect the others."""
    shaped: list[Shaped] = []
    wrong: dict[int, str] = {}
    for number, value in enumerate(values):
        try:
            shaped.append(shape(value))
        except ValueError as error:
            shaped.append(instead)
            wrong[number] = str(error)
    return shaped, wrong


def placed(
    name: str, values: Sequence[object], wrong: Mapping[int, str]
) -> tuple[list[int], dict[int, str]]:
    """The timestamps of rows in UTC milliseconds, and what is wrong with malformed rows, by
    position: the entries of `wrong`, and rows without a readable timestamp. The latter are placed
    by linear interpolation between their neighbours, or extrapolation beside them. Raises
    ValueError if fewer than two rows have a timestamp."""
    moments, unread = each(lambda value: milliseconds(name, value), values, -1)
    if not unread:
        return moments, dict(wrong)
    known = [number for number in range(len(values)) if number not in unread]
    if len(known) < 2:
        raise ValueError(next(iter({**unread, **wrong}.values())))
    for number in unread:
        later = bisect.bisect(known, number)
        # The two readable neighbours, or the two nearest ones on the same side.
        one, other = known[max(0, min(later, len(known) - 1) - 1) :][:2]
        apart = (moments[other] - moments[one]) // (other - one)
        moments[number] = moments[one] + (number - one) * apart
    return moments, {**unread, **wrong}


def rows_of_numbers(
    names: Sequence[str],
    moments: Sequence[int],
    rows: Sequence[Sequence[Any]],
    wrong: Mapping[int, str],
) -> tuple[dict[str, NDArray[np.float64]], dict[int, str]]:
    """The columns of rows that consist of one number per name, and what is wrong with malformed
    rows, by their timestamp. A malformed row does not affect the others.

    `wrong` lists rows already known to be malformed, by position. The values of a malformed row are
    NaN.
    """
    try:  # the usual case, and much faster
        if not wrong:
            return {
                name: numbers(name, [row[number] for row in rows])
                for number, name in enumerate(names)
            }, {}
    except ValueError:
        pass
    malformed, read = {}, np.full((len(rows), len(names)), np.nan)
    for number, (moment, row) in enumerate(zip(moments, rows, strict=True)):
        try:
            if number in wrong:
                raise ValueError(wrong[number])
            read[number] = _one_row(names, row)
        except ValueError as error:
            malformed[moment] = str(error)
    return {name: read[:, number].copy() for number, name in enumerate(names)}, malformed


def _one_row(names: Sequence[str], row: Sequence[Any]) -> list[float]:
    for name, value in zip(names, row, strict=True):
        try:
            numbers(name, [value])
        except ValueError:
            raise ValueError(f"`{name}` must be a number, was {reprlib.repr(value)}") from None
    return [float(value) + 0.0 for value in row]
