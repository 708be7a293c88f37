"""Instrument-days to requests: the fewest windows that cover every day that is wanted."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from deribit_pipeline.domain import (
    Instrument,
    Moments,
    Resolution,
    TimeWindow,
    day_window,
    from_moment64,
)
from deribit_pipeline.planning.grid import Grid, life

MOST_CANDLES = 5_000
"""The most candles that a request may be answered with: the exchange sends 5,001 newest ones and
drops the rest silently, so 5,001 is already a sign of loss (assumption:candles-most,
assumption:candles-kept-end)."""

# A request asks from one candle earlier than it wants, because an aligned start was once reported
# to be skipped (assumption:candles-start), and the exchange may include the candle that contains
# the start, which opened earlier still (assumption:candles-unaligned).
_MOST_WANTED = MOST_CANDLES - 2

# How many candles to look around for, where only their presence is the question.
_NEWEST = 50


@dataclass(frozen=True, slots=True)
class ChartRequest:
    """A request for the candles of one instrument that open in `window`."""

    instrument: Instrument
    resolution: Resolution
    window: TimeWindow

    @property
    def asked(self) -> TimeWindow:
        """The window to ask the exchange for, so that `window` is surely in the answer."""
        return TimeWindow(self.window.start - self.resolution.duration, self.window.end)

    @property
    def widened(self) -> TimeWindow:
        """A wider window to ask for: it may hold candles where the asked one holds none."""
        return TimeWindow(
            self.window.start - _NEWEST * self.resolution.duration,
            self.window.end + _NEWEST * self.resolution.duration,
        )

    @property
    def most(self) -> int:
        """How many candles can open in the window."""
        return -(-self.window.duration // self.resolution.duration)

    def within(self, window: TimeWindow) -> "ChartRequest":
        """A request of the same instrument and resolution for another window."""
        return ChartRequest(self.instrument, self.resolution, window)

    def halves(self) -> list["ChartRequest"]:
        """The same in two requests; only itself where it is for a single candle."""
        if self.most < 2:
            return [self]
        middle = self.window.start + self.most // 2 * self.resolution.duration
        return [
            self.within(TimeWindow(self.window.start, middle)),
            self.within(TimeWindow(middle, self.window.end)),
        ]


def wanted(instrument: Instrument, resolution: Resolution, day: date) -> TimeWindow | None:
    """The window in which the day's candles open; None where none is expected."""
    listed = day_window(day).intersection(life(instrument, resolution))
    if listed is None or resolution.anchor is None:
        return listed
    openings = Grid(resolution.duration, resolution.anchor).openings(listed)
    if not len(openings):
        return None
    last = from_moment64(openings[-1])
    return TimeWindow(from_moment64(openings[0]), last + resolution.duration)


def is_clipped(instrument: Instrument, resolution: Resolution, day: date) -> bool:
    """Whether the listing leaves out a part of the day."""
    listed, window = life(instrument, resolution), day_window(day)
    return window.start < listed.start or listed.end < window.end


def requests(
    instrument: Instrument, resolution: Resolution, days: Iterable[date]
) -> list[ChartRequest]:
    """The fewest requests that cover the days, in the order of time.

    Each begins where something wanted is not yet covered and reaches as far as a request may;
    no cover has fewer. Days between wanted ones are covered along where that saves a request.
    """
    windows = (wanted(instrument, resolution, day) for day in sorted(set(days)))
    covers = cover([window for window in windows if window], _MOST_WANTED * resolution.duration)
    return [ChartRequest(instrument, resolution, window) for window in covers]


def second_looks(request: ChartRequest, missing: Moments) -> list[ChartRequest]:
    """Requests that ask again for what an answer lacked, in other windows than its own.

    They begin two candles before what is missing and end two after it, as far as the instrument
    was listed: an exchange that cuts or skips at an edge then does it elsewhere, and one that
    lacks the neighbours too confirms nothing. They are less than half as long.
    """
    step, listed = request.resolution.duration, life(request.instrument, request.resolution)
    breaks = np.flatnonzero(np.diff(missing) > np.timedelta64(step, "ms")) + 1
    spans = [
        TimeWindow(from_moment64(run[0]) - 2 * step, from_moment64(run[-1]) + 3 * step)
        for run in np.split(missing, breaks)
    ]
    within = [shared for span in spans if (shared := span.intersection(listed))]
    covers = cover(within, (_MOST_WANTED // 2 - 1) * step)
    return [request.within(window) for window in covers]


def newest(request: ChartRequest, as_of: datetime) -> ChartRequest:
    """A request for the newest candles of the same instrument: what an exchange that works
    has."""
    step = request.resolution.duration
    end = min(as_of, life(request.instrument, request.resolution).end)
    return request.within(TimeWindow(end - _NEWEST * step, end))


def cover(windows: list[TimeWindow], longest: timedelta) -> list[TimeWindow]:
    """The fewest windows of at most `longest` that together cover the given, sorted ones."""
    covers: list[TimeWindow] = []
    for window in windows:
        start = max(window.start, covers[-1].end) if covers else window.start
        if covers and window.end > start:
            reach = covers[-1].start + longest
            if start < reach:  # what is left of the last one's length
                end = min(window.end, reach)
                covers[-1] = TimeWindow(covers[-1].start, end)
                start = end
        while start < window.end:
            end = min(window.end, start + longest)
            covers.append(TimeWindow(start, end))
            start = end
    return covers
