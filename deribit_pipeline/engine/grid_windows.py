"""Rows on a sampling grid: the windows in which they are requested, and what a response proves.

Funding has a row for each hour, the volatility index one for each minute and hour. The expected
timestamps are computed from the grid, never from the response; each response is compared with them.
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

# A response with this many rows missing at an end may have been truncated by a lower limit than the
# known one. Fewer are a gap: no exchange truncates that early.
_CUT_IS_UNLIKELY = 64

# A row may be published a little after it is closed.
_PUBLISHED_WITHIN = np.timedelta64(300_000, "ms")

# How many rows to request where only their presence matters.
_NEWEST = 48


@dataclass(frozen=True, slots=True)
class SeriesGrid:
    """The rows of one series on one sampling grid. They are expected within `life`; `method` and
    `params` name them in errors."""

    sampling_grid: SamplingGrid
    life: TimeWindow
    method: str
    params: Mapping[str, object]

    def expected(self, window: TimeWindow) -> Moments:
        """The timestamps in the window at which a row must exist, sorted."""
        alive = window.intersection(self.life)
        if alive is None:
            return np.empty(0, "datetime64[ms]")
        return Grid(self.sampling_grid.step, timedelta(0)).openings(alive)

    def requested(self, window: TimeWindow) -> TimeWindow:
        """The window to request: it begins some rows earlier, so that it shares rows with the
        response for the window before."""
        return TimeWindow(
            window.start - self.sampling_grid.lead * self.sampling_grid.step, window.end
        )

    def halves(self, window: TimeWindow) -> list[TimeWindow]:
        """The two halves of the window; the window itself if it holds a single row."""
        rows = window.duration // self.sampling_grid.step
        if rows < 2:
            return [window]
        middle = window.start + rows // 2 * self.sampling_grid.step
        return [TimeWindow(window.start, middle), TimeWindow(middle, window.end)]

    def rechecks_of(self, missing: Moments) -> list[TimeWindow]:
        """Windows that request missing rows again, with their neighbours.

        They begin two rows before the missing ones, end two rows after them, and are at most half
        as long as windows may be: a response truncated at an edge is then truncated elsewhere, and
        one that is missing the neighbours too confirms nothing.
        """
        step = self.sampling_grid.step
        breaks = np.flatnonzero(np.diff(missing) > np.timedelta64(step, "ms")) + 1
        spans = [
            TimeWindow(from_moment64(run[0]) - 2 * step, from_moment64(run[-1]) + 3 * step)
            for run in np.split(missing, breaks)
        ]
        return cover(spans, self.sampling_grid.most // 2 * step)

    def newest(self, as_of: datetime) -> TimeWindow:
        """The window of the newest rows, which a working exchange returns."""
        step, end = self.sampling_grid.step, min(as_of, self.life.end)
        end -= (end - from_ms(0)) % step
        return TimeWindow(end - _NEWEST * step, end)

    def bad_payload(self, window: TimeWindow, what: str) -> DeribitBadPayload:
        """The error for a response that breaks an expectation."""
        return DeribitBadPayload(what, method=self.method, params={**self.params, "window": window})


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """The rows of a window, as of one instant of the exchange's clock.

    `expected` are the timestamps at which rows must exist; `unclosed` are those of them that are
    not closed yet. `rows` are the closed rows that were returned, expected or not; `before` are the
    rows returned for the time just before, which the response for the previous window contains too.
    `is_confirmed` is true if two responses returned equal rows. `malformed` maps the timestamp of
    each malformed row, in UTC milliseconds, to what is wrong with it: its values are NaN.
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
        """Every closed row that was returned."""
        return joined_rows([self.before, self.rows])

    @property
    def missing(self) -> Moments:
        """The expected, closed rows that were not returned."""
        absent = np.setdiff1d(self.expected, self.moments, assume_unique=True)
        return np.setdiff1d(absent, self.unclosed, assume_unique=True)

    def part(self, window: TimeWindow) -> "Page":
        """The page, restricted to a window that overlaps its own."""

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
        """The page, restricted to a shorter window and the time before it."""
        returned, start = self.returned, moment64(window.start)
        return replace(self.part(window), before=some_of(returned, returned[self.at] < start))

    def with_rows(self, rows: Columns) -> "Page":
        """The page with the values of `rows`, which are sorted and contain all timestamps of the
        page."""
        return replace(self, rows=some_of(rows, np.searchsorted(rows[self.at], self.moments)))

    def with_found(self, recheck: "Page") -> "Page":
        """The page with its missing rows added, as far as a recheck returned them."""
        found = some_of(recheck.rows, np.isin(recheck.moments, self.missing))
        rows = joined_rows([self.rows, found])
        rows = some_of(rows, np.argsort(rows[self.at], kind="stable"))
        missing = set(self.missing.astype(np.int64).tolist())
        malformed = {at: what for at, what in recheck.malformed.items() if at in missing}
        return replace(self, rows=rows, malformed={**self.malformed, **malformed})

    def is_contradicted_by(self, other: "Page") -> bool:
        """Whether another response is missing rows that this one has, or has other values."""
        ours = self.part(other.window)
        lost = without(ours.moments, other.moments)
        return len(lost) > 0 or agreement(self.at, ours.rows, other.rows) is False

    def agrees_with_next(self, later: "Page") -> bool | None:
        """Whether the next page has equal values in the row that both contain; None if they share
        none."""
        return agreement(self.at, self.rows, later.before)


def joined_pages(pages: Sequence[Page]) -> Page:
    """Consecutive pages as one."""
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
    """The rows without exact duplicates of an earlier row with the same timestamp."""
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
    """Validate the rows of the response for `window`, requested as `SeriesGrid.requested` defines.

    `as_of` is the exchange's clock when the request arrived; for `malformed` see Page. Raises
    DeribitBadPayload if the response breaks an expectation: more rows than one response can hold,
    rows repeated, unsorted, off the grid or outside the window, or so many missing at an end that
    it may have been truncated.
    """
    sampling_grid, moments = series_grid.sampling_grid, rows[series_grid.sampling_grid.at]
    flaw = _flaw(sampling_grid, window, moments, as_of)
    if flaw is not None:
        raise series_grid.bad_payload(window, flaw)
    lasts = np.timedelta64(sampling_grid.lasts, "ms")
    now = moment64(as_of, "us")  # compared in microseconds, the clock's unit
    is_over = (moments + lasts).astype("datetime64[us]") <= now
    is_inside = moments >= moment64(window.start)
    came, expected = some_of(rows, is_inside & is_over), series_grid.expected(window)
    absent = np.setdiff1d(expected, came[sampling_grid.at], assume_unique=True)
    is_late = (absent + lasts + _PUBLISHED_WITHIN).astype("datetime64[us]") > now
    page = Page(
        sampling_grid.at,
        window,
        expected,
        absent[is_late],
        came,
        some_of(rows, ~is_inside & is_over),
        as_of,
        malformed=malformed,
    )
    cut = _missing_at_an_end(page)
    if cut >= _CUT_IS_UNLIKELY:
        raise series_grid.bad_payload(window, f"{cut} rows are missing at an end of the response")
    return page


def _flaw(
    sampling_grid: SamplingGrid, window: TimeWindow, moments: Moments, as_of: datetime
) -> str | None:
    """Which expectation the timestamps of a response break; None if they break none."""
    if len(moments) >= sampling_grid.most:
        return f"{len(moments)} rows were returned, a sign that others were dropped"
    step, apart = np.timedelta64(sampling_grid.step, "ms"), np.diff(moments)
    if np.any(apart <= np.timedelta64(0)):
        return "rows were repeated or are not sorted by time"
    is_sparser = len(apart) > 1 and apart[0] > step and bool(np.all(apart == apart[0]))
    if is_sparser or not Grid(sampling_grid.step, timedelta(0)).has(moments):
        return f"rows are not spaced {sampling_grid.step} apart"
    if not len(moments):
        return None
    first, last = moments[0], moments[-1]
    earliest = moment64(window.start) - sampling_grid.before * step
    if first < earliest or last >= moment64(window.end):
        return f"rows of {first} to {last} were returned"
    if last > moment64(as_of) + LATENCY:
        return f"a row of {last} was returned, and it was {as_of}"
    return None


def _missing_at_an_end(page: Page) -> int:
    """How many rows are missing before the first returned one, or after the last."""
    missing, moments = page.missing, page.moments
    if not len(moments):
        return 0
    at_start, at_end = missing < moments[0], missing > moments[-1]
    return int(max(np.count_nonzero(at_start), np.count_nonzero(at_end)))


def agreement(at: str, one: Columns, other: Columns) -> bool | None:
    """Whether the rows that both contain are equal; None if they share none."""
    _, ours, theirs = np.intersect1d(one[at], other[at], assume_unique=True, return_indices=True)
    if not len(ours):
        return None
    return not differences(some_of(one, ours), some_of(other, theirs)).any()
