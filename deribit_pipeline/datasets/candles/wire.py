"""Parse responses: pure functions that raise ValueError for a malformed shape.

The only place where the exchange's names are translated into those of the warehouse.
"""

import reprlib

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.candles import Candles
from deribit_pipeline.exchange import shapes

CHART_ARRAYS = ("open", "high", "low", "close", "volume", "cost")
"""The arrays of a chart in the order of CANDLE_VALUES: `volume` is the amount in base currency,
`cost` the value in quote currency (assumption:candles-volume)."""


def candles(chart: object) -> Candles:
    """The candles of `public/get_tradingview_chart_data`, in the order of the response.

    `ticks` are opening times in UTC milliseconds. The status of a window without candles is
    `no_data`, with arrays empty or absent. Single values that are not finite numbers become NaN: an
    error in one candle does not affect the others.
    """
    chart = shapes.mapping(chart)
    status = chart.get("status")
    if status not in ("ok", "no_data"):
        raise ValueError(f"`status` must be ok or no_data, was {reprlib.repr(status)}")
    names = ("ticks", *CHART_ARRAYS)
    if status == "no_data":
        if any(chart.get(name) not in (None, []) for name in names):
            raise ValueError("`status` was no_data, but there were candles")
        return Candles.none()
    arrays = [shapes.numbers("ticks", chart.get("ticks"))]
    arrays += [_numbers_or_malformed(name, chart.get(name)) for name in CHART_ARRAYS]
    lengths = {name: len(array) for name, array in zip(names, arrays, strict=True)}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"the arrays differ in length: {lengths}")
    ticks, *values = arrays
    if np.any(ticks != np.floor(ticks)) or np.any((ticks < 0) | (ticks >= shapes.NEVER)):
        raise ValueError("`ticks` must be UTC milliseconds")
    return Candles(
        ticks.astype(np.int64).astype("datetime64[ms]"),
        np.ascontiguousarray(np.column_stack(values)),
    )


def _numbers_or_malformed(name: str, values: object) -> NDArray[np.float64]:
    """A JSON array of numbers; NaN for values that are not numbers. Raises ValueError if at least
    half of them are not: the array itself is then malformed."""
    try:
        return shapes.numbers(name, values)
    except ValueError:
        if not isinstance(values, list):
            raise
        numbers = np.array([_number(value) for value in values], np.float64)
        if 2 * np.count_nonzero(np.isnan(numbers)) >= len(numbers):
            raise
        return numbers + 0.0  # as shapes.numbers has it


def _number(value: object) -> float:
    # A JSON true is an int in Python, and JSON allows integers that exceed the range of doubles.
    if type(value) not in (int, float):
        return np.nan
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:
        return np.nan
    return number if np.isfinite(number) else np.nan
