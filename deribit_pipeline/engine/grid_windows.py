"""Rows on a grid of time: the windows that ask for them, and what an answer to one proves.

Funding has a row for each hour, the volatility index one for each minute and hour. Which moments
there must be is counted from nothing that came; an answer is held against that count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

import numpy as np

from deribit_pipeline.domain.grid import Grid, cover
from deribit_pipeline.domain.rows import Columns, count_of, differences, joined_rows, some_of
from deribit_pipeline.domain.windows import (
    LATENCY,
    Moments,
    TimeWindow,
    from_moment64,
    from_ms,
    moment64,
    to_ms,
    without,
)
from deribit_pipeline.engine.sampling_grid import SamplingGrid
from deribit_pipeline.errors import DeribitBadPayload

# An answer that lacks this many rows at an end may have been cut by a limit lower than the one we
# know. Fewer are a gap: no exchange cuts so soon.
_CUT_IS_UNLIKELY = 64

# A row may be told a little after it is over.
_PUBLISHED_WITHIN = np.timedelta64(300_000, "ms")

# How many rows to look for, where only their presence is the question.
_NEWEST = 48


@dataclass(frozen=True, slots=True)
class SeriesGrid:
    """The rows of one series in one cadence. They are expected within `life`; `method` and
    `params` name them in errors."""

    sampling_grid: SamplingGrid
    life: TimeWindow
    method: str
    params: Mapping[str, object]

    def expected(self, window: TimeWindow) -> Moments:
        """The moments in the window at which a row must stand, in order."""
        alive = window.intersection(self.life)
        if alive is None:
            return np.empty(0, "datetime64[ms]")
        return Grid(self.sampling_grid.step, timedelta(0)).openings(alive)

    def requested(self, window: TimeWindow) -> TimeWindow:
        """What to ask the exchange for: from some rows earlier on, which the answer to the window
        before tells too."""
        return TimeWindow(
            window.start - self.sampling_grid.lead * self.sampling_grid.step, window.end
        )

    def halves(self, window: TimeWindow) -> list[TimeWindow]:
        """The window in two; only itself where it holds a single row."""
        rows = window.duration // self.sampling_grid.step
        if rows < 2:
            return [window]
        middle = window.start + rows // 2 * self.sampling_grid.step
        return [TimeWindow(window.start, middle), TimeWindow(middle, window.end)]

    def rechecks_of(self, missing: Moments) -> list[TimeWindow]:
        """Windows that ask again for what an answer lacked, and for its neighbours.

        They begin two rows before what is missing, end two after it, and are at most half as
        long as windows may be: an exchange that cuts at an edge then does it elsewhere, and one
        that lacks the neighbours too confirms nothing.
        """
        step = self.sampling_grid.step
        breaks = np.flatnonzero(np.diff(missing) > np.timedelta64(step, "ms")) + 1
        spans = [
            TimeWindow(from_moment64(run[0]) - 2 * step, from_moment64(run[-1]) + 3 * step)
            for run in np.split(missing, breaks)
        ]
        return cover(spans, self.sampling_grid.most // 2 * step)

    def newest(self, as_of: datetime) -> TimeWindow:
        """The window of the newest rows: what an exchange that works has."""
        step, end = self.sampling_grid.step, min(as_of, self.life.end)
        end -= (end - from_ms(0)) % step
        return TimeWindow(end - _NEWEST * step, end)

    def bad_payload(self, window: TimeWindow, what: str) -> DeribitBadPayload:
        """The error of an answer that breaks an expectation."""
        return DeribitBadPayload(what, method=self.method, params={**self.params, "window": window})


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """What is known of a window's rows, as of one moment of the exchange.

    `expected` are the moments at which rows must stand; `unclosed` are those among them of which
    none can be asked for yet. `rows` are the closed ones that came, whether they were expected or
    not; `before` is what came of the time just before, which the former window's answer has too.
    `is_confirmed` tells that two answers said the same of all of them. `malformed` says what is
    wrong with rows that could not be read, by their moment in UTC milliseconds: their values are
    NaN.
    """

    at: str
    window: TimeWindow
    expected: Moments
    unclosed: Moments
    rows: Columns
    before: Columns
    as_of: datetime
    is_confirmed: bool = False
    malformed: Mapping[int, str] = field(default_factory=dict)

    @property
    def moments(self) -> Moments:
        return self.rows[self.at]

    @property
    def returned(self) -> Columns:
        """Every closed row that came."""
        return joined_rows([self.before, self.rows])

    @property
    def missing(self) -> Moments:
        """What should be there, is over, and did not come."""
        absent = np.setdiff1d(self.expected, self.moments, assume_unique=True)
        return np.setdiff1d(absent, self.unclosed, assume_unique=True)

    def part(self, window: TimeWindow) -> "Page":
        """What the page says of a window that shares time with its own."""

        def within(moments: Moments) -> slice:
            return slice(*np.searchsorted(moments, [moment64(window.start), moment64(window.end)]))

        start, end = to_ms(window.start), to_ms(window.end)
        return replace(
            self,
            window=window,
            malformed={at: what for at, what in self.malformed.items() if start <= at < end},
            expected=self.expected[within(self.expected)],
            unclosed=self.unclosed[within(self.unclosed)],
            rows=some_of(self.rows, within(self.moments)),
            before=some_of(self.before, slice(0, 0)),
        )

    def narrowed(self, window: TimeWindow) -> "Page":
        """What the page says of a shorter window and of the time before it."""
        returned, start = self.returned, moment64(window.start)
        return replace(self.part(window), before=some_of(returned, returned[self.at] < start))

    def with_rows(self, rows: Columns) -> "Page":
        """The page with what `rows`, sorted and with all moments of the page among them, say."""
        return replace(self, rows=some_of(rows, np.searchsorted(rows[self.at], self.moments)))

    def with_found(self, recheck: "Page") -> "Page":
        """The page with what it lacked and another look brought."""
        found = some_of(recheck.rows, np.isin(recheck.moments, self.missing))
        rows = joined_rows([self.rows, found])
        rows = some_of(rows, np.argsort(rows[self.at], kind="stable"))
        missing = set(self.missing.astype(np.int64).tolist())
        malformed = {at: what for at, what in recheck.malformed.items() if at in missing}
        return replace(self, rows=rows, malformed={**self.malformed, **malformed})

    def is_contradicted_by(self, other: "Page") -> bool:
        """Whether another answer lacks rows that this one has, or says something else of one."""
        ours = self.part(other.window)
        lost = without(ours.moments, other.moments)
        return len(lost) > 0 or agreement(self.at, ours.rows, other.rows) is False

    def agrees_with_next(self, later: "Page") -> bool | None:
        """Whether the next page says the same of the row that both tell; None where both tell
        none."""
        return agreement(self.at, self.rows, later.before)


def joined_pages(pages: Sequence[Page]) -> Page:
    """Pages whose windows follow one another, as one."""
    first, last = pages[0], pages[-1]
    return Page(
        first.at,
        TimeWindow(first.window.start, last.window.end),
        np.concatenate([page.expected for page in pages]),
        np.concatenate([page.unclosed for page in pages]),
        joined_rows([page.rows for page in pages]),
        first.before,
        min(page.as_of for page in pages),
        all(page.is_confirmed or not len(page.moments) for page in pages),
        {at: what for page in pages for at, what in page.malformed.items()},
    )


def each_once(at: str, rows: Columns) -> Columns:
    """The rows without those that equal an earlier one of the same moment in every value."""
    _, firsts, inverse = np.unique(rows[at], return_index=True, return_inverse=True)
    if len(firsts) == count_of(rows):
        return rows
    unlike = differences(rows, some_of(rows, firsts[inverse]))
    unlike[firsts] = True
    return some_of(rows, unlike)


def read_page(
    series_grid: SeriesGrid,
    window: TimeWindow,
    rows: Columns,
    as_of: datetime,
    malformed: Mapping[int, str] = MappingProxyType({}),
) -> Page:
    """Count the rows of the answer to `window`, which was asked for as `lane.asked` says.

    `as_of` is the exchange's clock when the request came in; for `malformed` see Page. Raises
    DeribitBadPayload for an answer that breaks an expectation: more rows than fit in one, rows
    repeated or not in order, off the grid, of another time, or so many lacking at an end that it
    may have been cut.
    """
    sampling_grid, moments = series_grid.sampling_grid, rows[series_grid.sampling_grid.at]
    step, lasts = (
        np.timedelta64(sampling_grid.step, "ms"),
        np.timedelta64(sampling_grid.lasts, "ms"),
    )
    start, end = moment64(window.start), moment64(window.end)
    apart = np.diff(moments)
    if len(moments) >= sampling_grid.most:
        raise series_grid.bad_payload(
            window, f"{len(moments)} rows came, a sign that others were dropped"
        )
    if np.any(apart <= np.timedelta64(0)):
        raise series_grid.bad_payload(window, "rows were repeated or not in the order of time")
    is_sparser = len(apart) > 1 and apart[0] > step and bool(np.all(apart == apart[0]))
    if is_sparser or not Grid(sampling_grid.step, timedelta(0)).has(moments):
        raise series_grid.bad_payload(window, f"rows did not stand every {sampling_grid.step}")
    if len(moments) and (moments[0] < start - sampling_grid.before * step or moments[-1] >= end):
        raise series_grid.bad_payload(window, f"rows came of {moments[0]} to {moments[-1]}")
    if len(moments) and moments[-1] > moment64(as_of) + LATENCY:
        raise series_grid.bad_payload(window, f"a row stands at {moments[-1]}, and it was {as_of}")

    # Compared in microseconds: the clock's own unit, in which a row is over or is not.
    now = moment64(as_of, "us")
    is_over = (moments + lasts).astype("datetime64[us]") <= now
    is_inside = moments >= start
    came, expected = some_of(rows, is_inside & is_over), series_grid.expected(window)
    absent = np.setdiff1d(expected, came[sampling_grid.at], assume_unique=True)
    is_late = (absent + lasts + _PUBLISHED_WITHIN).astype("datetime64[us]") > now
    before = some_of(rows, ~is_inside & is_over)
    page = Page(
        sampling_grid.at,
        window,
        expected,
        absent[is_late],
        came,
        before,
        as_of,
        malformed=malformed,
    )
    if count_of(came):
        missing = page.missing
        at_start = np.count_nonzero(missing < page.moments[0])
        at_end = np.count_nonzero(missing > page.moments[-1])
        if max(at_start, at_end) >= _CUT_IS_UNLIKELY:
            raise series_grid.bad_payload(
                window, f"the answer lacks {max(at_start, at_end)} rows at an end"
            )
    return page


def agreement(at: str, one: Columns, other: Columns) -> bool | None:
    """Whether they say the same of the rows that both have; None where they share none."""
    _, ours, theirs = np.intersect1d(one[at], other[at], assume_unique=True, return_indices=True)
    if not len(ours):
        return None
    return not differences(some_of(one, ours), some_of(other, theirs)).any()
