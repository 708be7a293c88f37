"""Retention-limited responses: they contain the newest rows only, and older days are no longer
available."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.malformed import Malformed
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.rows import Columns, Keys, count_of, differences, some_of
from deribit_pipeline.domain.verdicts import NOT_AVAILABLE
from deribit_pipeline.domain.windows import LATENCY, day_window, moment64, to_ms
from deribit_pipeline.engine.settling import is_settled


@dataclass(frozen=True, slots=True, eq=False)
class RollingWindow:
    """The closed rows of a response, sorted. They lie on a grid of `step` through `since`, the
    first timestamp that the exchange still returns. Rows in `malformed` cannot be parsed."""

    at: str
    rows: Columns
    since: np.datetime64
    step: np.timedelta64
    as_of: datetime
    malformed: tuple[Malformed, ...] = ()

    def day(
        self, series: str, day: date, held: Keys | None = None, *, is_complete: bool = False
    ) -> FetchedDay:
        """The rows of a day, which should have one at each point of the grid.

        The exchange may change the origin and the step of its grid. A day is counted on one grid,
        that of the newest response: `held` rows on another grid are kept and expected too, but do
        not fill its gaps. A day that `is_complete` with the held rows stays complete: if the
        response's grid has any other timestamp, the response does not apply to that day.
        """
        window = day_window(day)
        start, end = moment64(window.start), moment64(window.end)
        moments = self.rows[self.at]
        expected = self._grid(start, end)
        held = expected[:0] if held is None else held
        if is_complete and not np.isin(expected, held).all():
            nothing = some_of(self.rows, slice(0, 0))
            return FetchedDay(series, day, nothing, self.as_of, held, is_confirmed=True)
        return FetchedDay(
            series,
            day,
            some_of(self.rows, (moments >= start) & (moments < end)),
            self.as_of,
            expected=np.union1d(expected, held),
            unclosed=expected[~_is_closed(expected, self.step, self.as_of)],
            is_over=is_settled(day, self.as_of),
            is_confirmed=True,
            verdict=NOT_AVAILABLE if len(expected) and expected[0] < self.since else "",
        )

    def is_alike(self, later: "RollingWindow") -> bool:
        """Whether a later response has the same grid, has moved by no more than the elapsed time,
        and agrees on the rows that both have. A row that is malformed in the later one must be
        malformed in this one too: a row that is malformed only once costs no day."""
        ours, theirs = self.rows[self.at], later.rows[self.at]
        if not set(later.malformed) <= set(self.malformed):
            return False
        if not len(ours) or not len(theirs) or self.step != later.step:
            return False
        most = np.timedelta64(later.as_of - self.as_of, "ms") + self.step
        rolled = [later.since - self.since, theirs[-1] - ours[-1]]
        if any(by % self.step or not np.timedelta64(0) <= by <= most for by in rolled):
            return False
        both = some_of(self.rows, ours >= later.since)
        again = some_of(later.rows, theirs <= ours[-1])
        return count_of(both) == count_of(again) > 0 and not differences(both, again).any()

    def _grid(self, start: np.datetime64, end: np.datetime64) -> Keys:
        """Every timestamp of the grid in [start, end)."""
        first = start + (self.since - start) % self.step
        return np.arange(first, end, self.step)


def read_window(
    at: str,
    rows: Columns,
    as_of: datetime,
    *,
    step: timedelta | None = None,
    reach: timedelta | None = None,
    malformed: tuple[Malformed, ...] = (),
) -> RollingWindow:
    """Parse the rows of a response, oldest first; `malformed` rows are passed separately. `step` is
    their distance if it is known; otherwise the smallest distance between two rows. No row may be
    older than `reach`, if that is known.

    The first row may be repeated (assumption:volatility-repeated). Raises ValueError for rows that
    are otherwise repeated, not in order, off the grid, from the future, or too old.
    """
    if count_of(rows) > 1 and rows[at][0] == rows[at][1]:
        if differences(some_of(rows, slice(0, 1)), some_of(rows, slice(1, 2))).any():
            raise ValueError("the first row was returned twice, with different values")
        rows = some_of(rows, slice(1, None))
    moments, now = rows[at], moment64(as_of)
    if not len(moments):
        raise ValueError("no row was returned, and there is always a newest one")
    apart = np.diff(moments)
    if np.any(apart <= np.timedelta64(0)):
        raise ValueError("rows were repeated or are not sorted by time")
    if step is None and not len(apart):
        raise ValueError("a single row was returned, which does not show the distance of rows")
    length = apart.min() if step is None else np.timedelta64(step, "ms")
    anchor = moments[0] if step is None else np.datetime64(0, "ms")
    if np.any((moments - anchor) % length):
        raise ValueError(f"rows are not spaced {length} apart")
    if moments[-1] > now + LATENCY:
        raise ValueError(f"a row of {moments[-1]} was returned, and it was {as_of}")
    if reach is not None and moments[0] < now - np.timedelta64(reach, "ms"):
        raise ValueError(f"a row of {moments[0]} was returned, which is more than {reach} ago")
    closed = some_of(rows, _is_closed(moments, length, as_of))
    step_ms = int(length / np.timedelta64(1, "ms"))
    unreadable = tuple(
        each.on_grid(step_ms) for each in malformed if each.first + step_ms <= to_ms(as_of)
    )
    return RollingWindow(at, closed, moments[0], length, as_of, unreadable)


def _is_closed(moments: Keys, step: np.timedelta64, as_of: datetime) -> NDArray[np.bool_]:
    """Which rows are final, whether they describe the step before them or the one after."""
    is_closed: NDArray[np.bool_] = np.less_equal(moments + step, moment64(as_of))
    return is_closed
