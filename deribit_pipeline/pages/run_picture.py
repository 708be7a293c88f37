"""A picture of candles, volume and the states of days, for the metadata of a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

import numpy as np

from deribit_pipeline.domain.candles import CANDLE_VALUES, Candles
from deribit_pipeline.domain.proofs import FAILED, DayState
from deribit_pipeline.domain.windows import TimeWindow, days_between, moment64
from deribit_pipeline.pages import svg
from deribit_pipeline.pages.svg import DOWN, GRID, LEFT, UP, WIDTH, label

# The plot is the area between the prices, left, and the dates, below; all in pixels.
_HEAD, _PRICES, _VOLUMES, _DATES, _STRIP, _LEGEND = 26, 120, 30, 22, 8, 34
_GAP = 8
_FLOOR = _HEAD + _PRICES + _GAP + _VOLUMES
_BAR = _FLOOR + _DATES
_HEIGHT = _BAR + _STRIP + _LEGEND

_MOST_DATES = 6

STATE_COLOURS = {
    DayState.COMPLETE: "#1f9e89",
    DayState.OPEN: "#4a90d9",
    DayState.GAPPED: "#e6a700",
    DayState.NOT_LISTED: "#b0b0b0",
    None: "#d1495b",
}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The data of one instrument's picture: few candles of `step` in a window of whole days, and
    the state of each day, None if it is not proved."""

    title: str
    window: TimeWindow
    step: timedelta
    candles: Candles
    states: Sequence[DayState | None]


def data_url(pictures: Sequence[Picture]) -> str:
    """The pictures, one instrument below the other, as a data URI."""
    return svg.data_url([_drawn(picture) for picture in pictures], _HEIGHT)


def _drawn(picture: Picture) -> Iterator[str]:
    yield svg.title(picture.title)
    yield from _date_axis(picture.window)
    if len(picture.candles):
        yield from _candles(picture)
    yield from _strip(picture.states)
    yield from _legend(picture.states)


def _candles(picture: Picture) -> Iterator[str]:
    candles, step = picture.candles, np.timedelta64(picture.step, "ms")
    columns = dict(zip(CANDLE_VALUES, candles.values.T, strict=True))
    lowest, highest = columns["low"].min(), columns["high"].max()
    scale = _PRICES / ((highest - lowest) or 1.0)
    yield from svg.value_axis(lowest, highest, _HEAD, _PRICES)
    width = WIDTH * (picture.step / picture.window.duration)
    x = LEFT + ((candles.opened_at - moment64(picture.window.start)) / step + 0.5) * width
    y = {
        name: _HEAD + (highest - columns[name]) * scale for name in ("open", "high", "low", "close")
    }
    most = columns["volume_base"].max()
    top = _FLOOR - columns["volume_base"] / (most or 1.0) * _VOLUMES
    largest = f"{most:,.0f}" if most >= 1_000 else f"{most:.4g}"
    yield label(LEFT - 6, _FLOOR - _VOLUMES + 10, largest, "end")
    yield label(LEFT - 6, _FLOOR, "volume", "end")
    thick = max(1.0, 0.7 * width)
    is_up = columns["close"] >= columns["open"]
    for colour, rows in ((UP, is_up), (DOWN, ~is_up)):
        wicks = _lines(x[rows], y["high"][rows], y["low"][rows])
        # A candle that closes at its opening price is drawn as a stroke too.
        bodies = _lines(x[rows], y["open"][rows], y["close"][rows] + 0.5)
        volumes = _lines(x[rows], np.full(rows.sum(), _FLOOR), top[rows])
        yield f'<path stroke="{colour}" d="{wicks}"/>'
        yield f'<path stroke="{colour}" stroke-width="{thick:.1f}" d="{bodies}{volumes}"/>'


def _date_axis(window: TimeWindow) -> Iterator[str]:
    count = window.duration // timedelta(days=1)
    every = -(-count // _MOST_DATES)
    yield f'<path stroke="{GRID}" d="M{LEFT} {_FLOOR}H{LEFT + WIDTH}"/>'
    last = (window.end - timedelta(days=1)).date()
    for number, day in enumerate(days_between(window.start.date(), last, step=every)):
        x = LEFT + number * every * WIDTH / count
        yield f'<path stroke="{GRID}" d="M{x:.1f} {_HEAD}V{_BAR}"/>'
        yield label(x + 3, _FLOOR + 14, str(day), "start")


def _lines(x: np.ndarray, start: np.ndarray, end: np.ndarray) -> str:
    return "".join(f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in zip(x, start, end, strict=True))


def _strip(states: Sequence[DayState | None]) -> Iterator[str]:
    """The days as one line, coloured by state."""
    number = 0
    for state, run in groupby(states):
        count = len(list(run))
        start, width = (value * WIDTH / len(states) for value in (number, count))
        yield _square(LEFT + start, _BAR, width, state)
        number += count


def _legend(states: Sequence[DayState | None]) -> Iterator[str]:
    """The states that occur, with their numbers of days."""
    x, y = float(LEFT), _BAR + _STRIP + 8
    yield label(LEFT - 6, y + 8, "days", "end")
    for state in STATE_COLOURS:
        if state in states:
            text = f"{str(state or FAILED).replace('_', ' ')} ({states.count(state):,})"
            yield _square(x, y, _STRIP, state)
            yield label(x + 14, y + 8, text, "start")
            x += 34 + 7 * len(text)


def _square(x: float, y: float, width: float, state: DayState | None) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_STRIP}" '
        f'fill="{STATE_COLOURS[state]}"/>'
    )
