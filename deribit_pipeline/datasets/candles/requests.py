"""Request plan of candles: the fewest windows that cover every requested day."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np

from deribit_pipeline.datasets.candles.cross_check import coarse_grid, coarser_of
from deribit_pipeline.datasets.candles.grid import life
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.grid import Grid, cover
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import Moments, TimeWindow, day_window, from_moment64

MOST_CANDLES = 5_000
"""The maximum number of candles in a response: the exchange returns the 5,001 newest ones and
silently drops the rest, so 5,001 is already a sign of loss (assumption:candles-most,
assumption:candles-kept-end)."""

# A request starts one candle before its window, because an aligned start was once reported to be
# skipped (assumption:candles-start), and the exchange may include the candle that contains the
# start, which opened earlier still (assumption:candles-unaligned). Each repeat extends the window
# by one more candle on either side, so that no two requests are equal.
_MOST_REPEATS = 9
_CANDLES_PER_REQUEST = MOST_CANDLES - 2 - 2 * _MOST_REPEATS

# How many candles to request where only their presence matters.
_NEWEST = 50


@dataclass(frozen=True, slots=True)
class ChartRequest:
    """A request for the candles of one instrument that open in `window`.

    `repeat` counts the earlier requests for the same candles: each has other bounds, so that no two
    share a cached response or an effect at the window's edge.
    """

    instrument: Instrument
    resolution: Resolution
    window: TimeWindow
    repeat: int = 0

    @property
    def requested(self) -> TimeWindow:
        """The window of the API call, so that the response certainly contains `window`."""
        more = self.repeat % (_MOST_REPEATS + 1) * self.resolution.duration
        return TimeWindow(
            self.window.start - self.resolution.duration - more, self.window.end + more
        )

    @property
    def widened(self) -> TimeWindow:
        """A wider window for the API call: it may have candles where `requested` has none."""
        return TimeWindow(
            self.window.start - _NEWEST * self.resolution.duration,
            self.window.end + _NEWEST * self.resolution.duration,
        )

    @property
    def most(self) -> int:
        """The maximum number of candles that can open in the window."""
        return -(-self.window.duration // self.resolution.duration)

    def within(self, window: TimeWindow) -> "ChartRequest":
        """A request for the same instrument and resolution, and another window."""
        return replace(self, window=window)

    def again(self, repeat: int) -> "ChartRequest":
        """A request for the same candles, for the `repeat`-th time after the first."""
        return replace(self, repeat=repeat)

    def halves(self) -> list["ChartRequest"]:
        """The request split in two; unchanged if its window has room for a single candle only."""
        if self.most < 2:
            return [self]
        middle = self.window.start + self.most // 2 * self.resolution.duration
        return [
            self.within(TimeWindow(self.window.start, middle)),
            self.within(TimeWindow(middle, self.window.end)),
        ]


def expected_window(instrument: Instrument, resolution: Resolution, day: date) -> TimeWindow | None:
    """The window in which the day's candles open; None if none is expected."""
    listed = day_window(day).intersection(life(instrument, resolution))
    return listed and _openings_window(listed, resolution)


def _openings_window(window: TimeWindow, resolution: Resolution) -> TimeWindow | None:
    """From the first candle that opens in the window to the end of the last; the window itself if
    the anchor is not known. None if no candle opens in it."""
    if resolution.anchor is None:
        return window
    return Grid(resolution.duration, resolution.anchor).covered(window)


def is_clipped(instrument: Instrument, resolution: Resolution, day: date) -> bool:
    """Whether the instrument was not listed for a part of the day."""
    listed, window = life(instrument, resolution), day_window(day)
    return window.start < listed.start or listed.end < window.end


def requests(
    instrument: Instrument, resolution: Resolution, days: Iterable[date]
) -> list[ChartRequest]:
    """The fewest requests that cover the days, sorted by time.

    Each begins at the first requested candle not yet covered and has the maximum length. Days
    between requested ones are included if that saves a request. If the resolution has a coarser one
    to compare with, no request ends inside a coarser candle.
    """
    grid = coarse_grid(resolution)
    windows = [
        _whole(instrument, resolution, window, grid)
        for day in sorted(set(days))
        if (window := expected_window(instrument, resolution, day))
    ]
    covers = cover(windows, _CANDLES_PER_REQUEST * resolution.duration, grid)
    return [ChartRequest(instrument, resolution, window) for window in covers]


def coarse_requests(planned: Sequence[ChartRequest]) -> list[ChartRequest]:
    """The fewest requests for the coarser candles of all that an instrument's requests cover; empty
    if the resolution has no coarser one."""
    if not planned or (grid := coarse_grid(planned[0].resolution)) is None:
        return []
    instrument, coarser = planned[0].instrument, coarser_of(planned[0].resolution)
    assert coarser is not None, "a coarser grid implies a coarser resolution"
    windows = [grid.widened(request.window) for request in planned]
    covers = cover(windows, _CANDLES_PER_REQUEST * coarser.duration)
    return [ChartRequest(instrument, coarser, window) for window in covers]


def _whole(
    instrument: Instrument, resolution: Resolution, window: TimeWindow, grid: Grid | None
) -> TimeWindow:
    """The window, widened to whole coarser candles as far as the instrument is listed."""
    if grid is None or (widened := grid.widened(window)) == window:
        return window
    shared = widened.intersection(life(instrument, resolution))
    return (shared and _openings_window(shared, resolution)) or window


def rechecks_of(request: ChartRequest, missing: Moments) -> list[ChartRequest]:
    """Requests for the candles missing from a response, in windows other than its own.

    They begin two candles before the missing ones and end two after them, as far as the instrument
    was listed: truncation or skipping at an edge then affects other candles, and a response from
    which the neighbours are missing too confirms nothing. They are less than half as long.
    """
    step, listed = request.resolution.duration, life(request.instrument, request.resolution)
    breaks = np.flatnonzero(np.diff(missing) > np.timedelta64(step, "ms")) + 1
    spans = [
        TimeWindow(from_moment64(run[0]) - 2 * step, from_moment64(run[-1]) + 3 * step)
        for run in np.split(missing, breaks)
    ]
    within = [shared for span in spans if (shared := span.intersection(listed))]
    covers = cover(within, (_CANDLES_PER_REQUEST // 2 - 1) * step)
    return [request.within(window) for window in covers]


def wider_requests(
    request: ChartRequest, windows: Iterable[TimeWindow], repeat: int
) -> list[ChartRequest]:
    """Requests for doubtful candles, in windows that no earlier repeat had: slightly wider each
    time, as far as the instrument was listed, and less than half of the maximum length."""
    around = 2 * repeat * request.resolution.duration
    listed = life(request.instrument, request.resolution)
    wider = (TimeWindow(window.start - around, window.end + around) for window in windows)
    within = [shared for window in wider if (shared := window.intersection(listed))]
    covers = cover(within, _CANDLES_PER_REQUEST // 2 * request.resolution.duration)
    return [request.within(window) for window in covers]


def newest(request: ChartRequest, as_of: datetime) -> ChartRequest:
    """A request for the newest candles of the same instrument, which a working exchange has."""
    step = request.resolution.duration
    end = min(as_of, life(request.instrument, request.resolution).end)
    return request.within(TimeWindow(end - _NEWEST * step, end))
