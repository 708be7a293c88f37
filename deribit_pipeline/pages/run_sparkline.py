"""A sparkline of candles, volume and coverage, for the metadata of a run.

It is hand-written SVG: importing a plotting library would take a second, and its output a hundred
times the space in the event log.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

import numpy as np

from deribit_pipeline.domain.candles import CANDLE_VALUES, Candles
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.windows import TimeWindow, moment64

_WIDTH, _PRICES, _VOLUMES, _STRIP, _HEAD, _GAP = 640, 110, 28, 8, 18, 10
_HEIGHT = _HEAD + _PRICES + _VOLUMES + _STRIP + 3 * _GAP

# Distinguishable on a light and on a dark page, and with red-green colour blindness.
_UP, _DOWN, _TEXT = "#1f9e89", "#d95f02", "#808080"
STATE_COLOURS = {
    DayState.COMPLETE: "#1f9e89",
    DayState.OPEN: "#4a90d9",
    DayState.GAPPED: "#e6a700",
    DayState.NOT_LISTED: "#b0b0b0",
    None: "#d1495b",
}


@dataclass(frozen=True, slots=True, eq=False)
class Sparkline:
    """The data of one instrument's sparkline: few candles of `step` in a window of whole days, and
    the state of each day, None if it is not proved."""

    title: str
    window: TimeWindow
    step: timedelta
    candles: Candles
    states: Sequence[DayState | None]


def data_url(sparklines: Sequence[Sparkline]) -> str:
    """The sparklines, one instrument below the other, as a data URI."""
    height = _HEIGHT * len(sparklines)
    drawn = "".join(
        f'<g transform="translate(0 {number * _HEIGHT})">{_drawn(sparkline)}</g>'
        for number, sparkline in enumerate(sparklines)
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12" fill="{_TEXT}">'
        f"{drawn}</svg>"
    )
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _drawn(sparkline: Sparkline) -> str:
    parts = [f'<text x="0" y="{_HEAD - 6}">{sparkline.title}</text>']
    if len(sparkline.candles):
        parts += _candles(sparkline)
    parts += _strip(sparkline.states, _HEIGHT - _STRIP - _GAP)
    return "".join(parts)


def _candles(sparkline: Sparkline) -> list[str]:
    candles, step = sparkline.candles, np.timedelta64(sparkline.step, "ms")
    columns = dict(zip(CANDLE_VALUES, candles.values.T, strict=True))
    lowest, highest = columns["low"].min(), columns["high"].max()
    scale = _PRICES / ((highest - lowest) or 1.0)
    width = _WIDTH * (sparkline.step / sparkline.window.duration)
    x = ((candles.opened_at - moment64(sparkline.window.start)) / step + 0.5) * width
    y = {
        name: _HEAD + (highest - columns[name]) * scale for name in ("open", "high", "low", "close")
    }
    floor = _HEAD + _PRICES + _GAP + _VOLUMES
    most = columns["volume_base"].max() or 1.0
    top = floor - columns["volume_base"] / most * _VOLUMES
    thick = max(1.0, 0.7 * width)
    is_up = columns["close"] >= columns["open"]
    parts = []
    for colour, rows in ((_UP, is_up), (_DOWN, ~is_up)):
        wicks = _lines(x[rows], y["high"][rows], y["low"][rows])
        # A candle that closes at its opening price is drawn as a stroke too.
        bodies = _lines(x[rows], y["open"][rows], y["close"][rows] + 0.5)
        volumes = _lines(x[rows], np.full(rows.sum(), floor), top[rows])
        parts.append(f'<path stroke="{colour}" d="{wicks}"/>')
        parts.append(f'<path stroke="{colour}" stroke-width="{thick:.1f}" d="{bodies}{volumes}"/>')
    return parts


def _lines(x: np.ndarray, start: np.ndarray, end: np.ndarray) -> str:
    return "".join(f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in zip(x, start, end, strict=True))


def _strip(states: Sequence[DayState | None], y: int) -> list[str]:
    """The days as one line, coloured by state."""
    parts, number = [], 0
    for state, run in groupby(states):
        count = len(list(run))
        start, width = (value * _WIDTH / len(states) for value in (number, count))
        parts.append(
            f'<rect x="{start:.1f}" y="{y}" width="{width:.1f}" height="{_STRIP}" '
            f'fill="{STATE_COLOURS[state]}"/>'
        )
        number += count
    return parts
