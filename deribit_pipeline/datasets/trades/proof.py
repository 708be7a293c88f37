"""The days that a sequence of numbered trades proves.

An instrument's trades are numbered without gaps (assumption:trades-numbers), so a day is proved by
consecutive numbers from some before it to some after it. Times follow the numbers except over short
distances (MARGIN): that many trades on either side of a day must be outside it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.trades.trade_numbers import NO_TRADES, Chunk, Numbers, Refused
from deribit_pipeline.datasets.trades.values import MARGIN
from deribit_pipeline.domain.rows import Pieces, Rows, count_of, some_of
from deribit_pipeline.domain.windows import ONE_DAY
from deribit_pipeline.errors import DeribitError


class UnprovedTrades(ValueError):
    """Responses do not prove a day's trades; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, eq=False)
class CutDay:
    """All trades of a day. `holes` are missing numbers that may belong to it."""

    day: date
    rows: Rows
    holes: Numbers
    as_of: datetime
    error: DeribitError | UnprovedTrades | None = None


class DayCutter:
    """Splits chunks, added in ascending order of numbers, into the days of a contiguous span.

    `first` is the first requested number. A number missing between two trades may belong to the
    days of both and any in between; before the very first trade, to any day up to its own. A chunk
    with a trade of a day that was already emitted is rejected, and that day's result is replaced by
    an error.
    """

    def __init__(self, days: Sequence[date], first: int) -> None:
        self._left = list(days)
        self._days = days[0], days[-1]
        self._start, self._end = midnight(days[0]), midnight(days[-1] + ONE_DAY)
        self._first = first
        self._last: tuple[int, date] | None = (0, days[0]) if first == 1 else None
        self._head = self._tail = np.empty(0, "datetime64[ms]")
        self._error: DeribitError | UnprovedTrades | None = None
        self._refused: list[Refused] = []
        self._parts: dict[date, Pieces] = defaultdict(Pieces)
        self._holes: dict[date, list[Numbers]] = defaultdict(list)
        self._errors: dict[date, DeribitError | UnprovedTrades] = {}
        self._as_of: dict[date, datetime] = {}

    @property
    def is_done(self) -> bool:
        """Whether no later chunk can change anything."""
        return not self._left and self.ends_after

    @property
    def begins_before(self) -> bool:
        """Whether the first trades are all before the span, or are the first trades of the
        instrument."""
        return self._first == 1 or bool(len(self._head) and np.all(self._head < self._start))

    @property
    def ends_after(self) -> bool:
        """Whether the last trades are all after the span."""
        return len(self._tail) == MARGIN and bool(np.all(self._tail >= self._end))

    def add(self, chunk: Chunk) -> Iterator[CutDay]:
        """Add the next chunk; yields the days that no later chunk should change."""
        if chunk.error is not None:
            self._error = chunk.error
            return
        self._refused += chunk.refused
        rows = chunk.rows
        if count_of(rows):
            numbers, times = rows["trade_seq"], rows["traded_at"]
            days = times.astype("datetime64[D]")
            late = self._late(days)
            if len(late):
                self._error = _out_of_order(numbers[late[0]], days[late[0]])
                for day in np.unique(days[late]):
                    yield self._cut(day.item(), chunk.as_of, self._error)
                return
            self._note_holes(numbers, days)
            is_of_one_day = bool(np.all(days == days[0]))
            for day in days[:1] if is_of_one_day else np.unique(days):
                part = rows if is_of_one_day else some_of(rows, days == day)
                self._parts[day.item()].append(part)
                self._note_time(day.item(), chunk.as_of)
            self._head = np.concatenate((self._head, times[numbers < self._first + MARGIN]))
            self._tail = np.concatenate((self._tail, times))[-MARGIN:]
        while (
            self._left
            and len(self._tail) == MARGIN
            and self._tail.min() >= midnight(self._left[0] + ONE_DAY)
        ):
            yield self._cut(self._left.pop(0), chunk.as_of)
        for day in [day for day in self._parts if not self._left or day < self._left[0]]:
            del self._parts[day]  # outside the span

    def rest(self, end: int, as_of: datetime) -> Iterator[CutDay]:
        """The remaining days, if no number from `end` on is requested any more."""
        last, day = self._last or (self._first - 1, self._days[0])
        if last + 1 < end:
            self._note_hole(np.arange(last + 1, end), day, self._days[1])
        while self._left:
            yield self._cut(self._left.pop(0), as_of)

    def _late(self, days: NDArray[np.datetime64]) -> NDArray[np.intp]:
        """The positions of trades on days that were already emitted."""
        left = self._left[0] if self._left else self._days[1] + ONE_DAY
        return np.flatnonzero((days >= np.datetime64(self._days[0])) & (days < np.datetime64(left)))

    def _note_holes(self, numbers: Numbers, days: NDArray[np.datetime64]) -> None:
        first_day: date = days[0].item()
        last, day = self._last or (self._first - 1, min(self._days[0], first_day))
        if last + 1 < numbers[0]:
            self._note_hole(np.arange(last + 1, numbers[0]), day, first_day)
        self._error = None
        for place in np.flatnonzero(np.diff(numbers) > 1):
            hole = np.arange(numbers[place] + 1, numbers[place + 1])
            self._note_hole(hole, days[place].item(), days[place + 1].item())
        self._last = int(numbers[-1]), days[-1].item()

    def _note_hole(self, numbers: Numbers, one: date, other: date) -> None:
        """Record numbers missing between a trade of one day and one of another."""
        between = [day for day in self._left if min(one, other) <= day <= max(one, other)]
        for refused in self._refused:
            here = np.isin(numbers, refused.numbers)
            if not np.any(here):
                continue
            is_timed = refused.day is not None and min(one, other) <= refused.day <= max(one, other)
            for day in between:
                if not is_timed or day == refused.day:
                    self._errors[day] = refused_error(refused)
            numbers = numbers[~here]
        for day in between if len(numbers) else ():
            self._holes[day].append(numbers)
            if self._error is not None:
                self._errors[day] = self._error

    def _note_time(self, day: date, as_of: datetime) -> None:
        self._as_of[day] = min(self._as_of.get(day, as_of), as_of)

    def _cut(
        self, day: date, as_of: datetime, error: DeribitError | UnprovedTrades | None = None
    ) -> CutDay:
        parts, holes = self._parts.pop(day, None), self._holes.pop(day, None)
        return CutDay(
            day,
            parts.rows() if parts else NO_TRADES,
            np.concatenate(holes) if holes else np.empty(0, np.int64),
            self._as_of.pop(day, as_of),
            self._errors.pop(day, error),
        )


def _out_of_order(number: int, day: np.datetime64) -> UnprovedTrades:
    return UnprovedTrades(f"a trade of {day} has a number from after it: {number}")


def refused_error(refused: Refused) -> UnprovedTrades:
    """The error of a day with refused trades."""
    first, count = refused.numbers[0], len(refused.numbers)
    more = f" and {count - 1:,} more" if count > 1 else ""
    when = f" of {refused.traded_at}Z" if refused.traded_at is not None else ""
    return UnprovedTrades(f"trade {first}{more}{when}: {refused.reason}")


def midnight(day: date) -> np.datetime64:
    """The beginning of the UTC day."""
    return np.datetime64(day, "ms")
