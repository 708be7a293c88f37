"""A grid of time, and the windows that cover parts of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from deribit_pipeline.domain.windows import Moments, TimeWindow, from_ms, moment64

_EPOCH = from_ms(0)


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows at `anchor` after midnight UTC and at every `step` from there."""

    step: timedelta
    anchor: timedelta

    def openings(self, window: TimeWindow) -> Moments:
        """The timestamps of rows in `window`, sorted."""
        step = np.timedelta64(self.step, "ms")
        anchor = np.datetime64(0, "ms") + np.timedelta64(self.anchor, "ms")
        first = anchor - (anchor - moment64(window.start)) // step * step
        return np.arange(first, moment64(window.end), step, dtype="datetime64[ms]")

    def floored(self, moment: datetime) -> datetime:
        """The last timestamp at or before an instant."""
        return moment - (moment - _EPOCH - self.anchor) % self.step

    def widened(self, window: TimeWindow) -> TimeWindow:
        """The window, extended to whole steps."""
        end = self.floored(window.end)
        return TimeWindow(self.floored(window.start), end if end == window.end else end + self.step)

    def covered(self, window: TimeWindow) -> TimeWindow | None:
        """The steps that begin in the window, from the first one's beginning to the last one's end;
        None if none does."""
        first = window.start + (_EPOCH + self.anchor - window.start) % self.step
        last = self.floored(window.end - timedelta.resolution)
        return TimeWindow(first, last + self.step) if first <= last else None

    def has(self, opened_at: Moments) -> bool:
        """Whether all these timestamps are on the grid."""
        anchor = np.datetime64(0, "ms") + np.timedelta64(self.anchor, "ms")
        return not np.any((opened_at - anchor) % np.timedelta64(self.step, "ms"))


def cover(
    windows: list[TimeWindow], longest: timedelta, grid: Grid | None = None
) -> list[TimeWindow]:
    """The fewest windows of at most `longest` that together cover the given, sorted ones. A given
    window is divided only at timestamps of the grid."""

    def reached(start: datetime, end: datetime) -> datetime:
        if start + longest >= end:
            return end
        return grid.floored(start + longest) if grid else start + longest

    covers: list[TimeWindow] = []
    for window in windows:
        start = max(window.start, covers[-1].end) if covers else window.start
        if covers and window.end > start:
            end = reached(covers[-1].start, window.end)
            if start < end:  # within the remaining length of the last window
                covers[-1] = TimeWindow(covers[-1].start, end)
                start = end
        while start < window.end:
            end = reached(start, window.end)
            covers.append(TimeWindow(start, end))
            start = end
    return covers
