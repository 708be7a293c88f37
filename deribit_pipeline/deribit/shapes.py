"""What a part of an answer must look like: each function gives the value or raises ValueError.

That answers do look so is assumption:responses-readable.
"""

import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain import END_OF_TIME, to_ms

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
    """A text that says something."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{name}` must be a text, was {reprlib.repr(value)}")
    return value


def milliseconds(name: str, value: object, most: int = 2 * NEVER) -> int:
    """A point in time as the exchange writes it; it may come as a float (`1.7e12`)."""
    # A JSON true is an int to Python.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"`{name}` must be a number, was {reprlib.repr(value)}")
    if 0 <= value < most and value == int(value):
        return int(value)
    raise ValueError(f"`{name}` must be UTC milliseconds, was {value!r}")


def continuation(value: object) -> str | int | None:
    """The token that asks for what follows; None at the end, where it is absent, null, `none` or
    empty, whichever the method (assumption:settlements-end)."""
    if value is None or value in ("none", ""):
        return None
    if isinstance(value, float) and value.is_integer():  # numbers may come as `1.7e12`
        return int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"`continuation` must be a token, was {reprlib.repr(value)}")
    return value


def numbers(name: str, values: object) -> NDArray[np.float64]:
    """A JSON array of numbers; numpy alone would also take texts and booleans for numbers."""
    if not isinstance(values, list) or not set(map(type, values)) <= {int, float}:
        raise ValueError(f"`{name}` must be an array of numbers")
    try:
        array = np.array(values, dtype=np.float64)
    except OverflowError:  # JSON knows integers that no double can hold
        array = np.array([np.inf])
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite")
    return array + 0.0  # a JSON -0.0 is 0.0: it would change the hash of a day, and no value


def numbers_or_null(name: str, values: list[Any]) -> NDArray[np.float64]:
    """A JSON array of numbers; NaN where one is null."""
    if None not in values:
        return numbers(name, values)
    is_told = [value is not None for value in values]
    told = np.full(len(values), np.nan)
    told[is_told] = numbers(name, [value for value in values if value is not None])
    return told
