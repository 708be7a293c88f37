"""The sampling grid of a series, and the windows in which its days are requested."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from deribit_pipeline.domain.grid import cover
from deribit_pipeline.domain.windows import ONE_DAY, TimeWindow, day_window


@dataclass(frozen=True, slots=True)
class SamplingGrid:
    """A sampling grid: rows at every `step` from midnight UTC on; a row is closed `lasts` after its
    timestamp.

    `at` is the timestamp column; `labels` are columns with the same value in every row. A response
    holds at most `most` rows and drops further ones silently, so that exactly `most` rows already
    indicate loss. A request begins `lead` rows before its window.
    """

    at: str
    step: timedelta
    lasts: timedelta
    most: int
    labels: Mapping[str, str] = field(default_factory=dict)
    lead: int = 1

    @property
    def before(self) -> int:
        """How many rows may precede a window: an exchange that rounds its bounds down adds one."""
        return self.lead + 1

    @property
    def longest(self) -> timedelta:
        """The maximum duration of a window, so that no response is truncated."""
        return (self.most - self.before - 1) * self.step

    @property
    def rows_per_day(self) -> int:
        """How many rows a UTC day has."""
        return ONE_DAY // self.step

    def windows(self, days: Iterable[date]) -> list[TimeWindow]:
        """The fewest windows that cover the days, sorted by time.

        Days in between are included where that saves a window. Windows have equal length where that
        costs no additional window, which leaves room to request them again with other bounds.
        """
        required = [day_window(day) for day in sorted(set(days))]
        covers = cover(required, self.longest)
        if not covers:
            return covers
        total = sum((window.duration for window in covers), timedelta(0))
        even = cover(required, -(-total // (len(covers) * self.step)) * self.step)
        return even if len(even) == len(covers) else covers

    def widened(self, window: TimeWindow, reach: int) -> TimeWindow:
        """The window, extended by `reach` rows on each side."""
        return TimeWindow(window.start - reach * self.step, window.end + reach * self.step)

    def again(self, window: TimeWindow, reach: int) -> list[TimeWindow]:
        """The window, or two parts of it, to request once more with `reach` additional rows on each
        side: no request repeats the bounds of an earlier one, and no response is truncated."""
        rows = window.duration // self.step
        if rows < 2 or self.widened(window, reach).duration <= self.longest:
            return [window]
        middle = window.start + min(rows // 2 + reach, rows - 1) * self.step
        return [TimeWindow(window.start, middle), TimeWindow(middle, window.end)]

    def requests(self, days: Iterable[date], enough: int) -> int:
        """How many requests the windows of the days take: windows with fewer than `enough`
        neighbours are requested twice."""
        chains: list[list[TimeWindow]] = []
        for window in self.windows(days):
            if not chains or chains[-1][-1].end != window.start:
                chains.append([])
            chains[-1].append(window)
        twice = [window for chain in chains if len(chain) < enough for window in chain]
        return sum(map(len, chains)) + sum(len(self.again(window, 1)) for window in twice)
