"""Faults of single candles in a chart; the others, and those at the edges, are unchanged."""

from collections.abc import Callable
from typing import Any

import numpy as np

Chart = dict[str, Any]


def _value(name: str, change: Callable[[float], float]) -> Callable[[Chart], Chart]:
    """A fault of one value of the middle candle."""

    def fault(chart: Chart) -> Chart:
        values = chart[name].copy()
        middle = len(values) // 2
        values[middle] = change(float(values[middle]))
        return {name: values}

    return fault


def _low_above_high(chart: Chart) -> Chart:
    low, middle = chart["low"].copy(), len(chart["low"]) // 2
    low[middle] = chart["high"][middle] * 1.01
    return {"low": low}


def _cost_without_volume(chart: Chart) -> Chart:
    volume, cost, middle = chart["volume"].copy(), chart["cost"].copy(), len(chart["cost"]) // 2
    volume[middle], cost[middle] = 0.0, cost[middle] + 1_000.0
    return {"volume": volume, "cost": cost}


def _swapped(chart: Chart) -> Chart:
    """Two candles an hour or more apart, with their times exchanged; nothing in a shorter chart,
    where the exchange would conserve the aggregates of an hour."""
    rows = np.arange(len(chart["ticks"]))
    one = len(rows) // 2
    other = min(one + 75, len(rows) - 2)
    if other - one < 60:
        return {}
    rows[one], rows[other] = other, one
    return {name: chart[name][rows] for name in chart if name not in ("ticks", "status")}


def _hour_of_another(chart: Chart) -> Chart:
    """Sixty candles at a twentieth of the price."""
    middle = len(chart["ticks"]) // 2
    rows = slice(max(middle - 30, 1), min(middle + 30, len(chart["ticks"]) - 1))
    changed = {name: chart[name].copy() for name in chart if name not in ("ticks", "status")}
    for name, values in changed.items():
        is_price = name in ("open", "high", "low", "close")
        values[rows] = np.round(values[rows] / 20, 2) if is_price else values[rows] * 7
    return changed


def _null(chart: Chart) -> Chart:
    close = [float(value) for value in chart["close"]]
    return {"close": [None if n == len(close) // 2 else value for n, value in enumerate(close)]}


def _text(chart: Chart) -> Chart:
    volume = [float(value) for value in chart["volume"]]
    return {"volume": ["1.5" if n == len(volume) // 2 else value for n, value in enumerate(volume)]}


def _middle_twice(chart: Chart, factor: float) -> Chart:
    middle = len(chart["ticks"]) // 2
    twice = {
        name: np.insert(values, middle, values[middle])
        for name, values in chart.items()
        if name != "status"
    }
    twice["close"][middle] *= factor
    return twice


CHART_CHANGES: dict[str, Callable[[Chart], Chart]] = {
    "open_zero": _value("open", lambda value: 0.0),
    "high_lower": _value("high", lambda value: value * 0.9),
    "high_higher": _value("high", lambda value: value * 1.1),
    "low_lower": _value("low", lambda value: value * 0.9),
    "low_above_high": _low_above_high,
    "close_higher": _value("close", lambda value: value * 1.1),
    "close_negative": _value("close", lambda value: -value),
    "volume_negative": _value("volume", lambda value: -1.0 - value),
    "volume_doubled": _value("volume", lambda value: 2 * value + 1.0),
    "cost_without_volume": _cost_without_volume,
    "candle_huge": _value("high", lambda value: 1e308),
    "candles_swapped": _swapped,
    "hour_of_another": _hour_of_another,
    "candle_null": _null,
    "value_text": _text,
    "candle_twice": lambda chart: _middle_twice(chart, 1.0),
    "candle_twice_otherwise": lambda chart: _middle_twice(chart, 1.01),
}
"""The faults by name, for charts with at least three candles."""
