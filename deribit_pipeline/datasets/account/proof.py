"""The account's answers, checked and joined: what is private nobody else can count.

Two answers to different windows must tell the same rows, and of the log each balance should follow
from the one before. What is odd raises ValueError.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.malformed import Malformed
from deribit_pipeline.domain.rows import Columns, count_of, keys_of, some_of
from deribit_pipeline.domain.windows import (
    Moments,
    day_window,
    days_between,
    from_moment64,
    moment64,
    spans_of,
    to_ms,
)
from deribit_pipeline.engine.following import are_same, in_order
from deribit_pipeline.engine.settling import SETTLING

DAYS_PER_WINDOW = 31
"""How many days are asked for as one: a busy month of a log is some ten pages."""

# Amounts come rounded, to six decimals or more.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is asked for, in UTC milliseconds, both inclusive.

    Whether the exchange takes them so is said nowhere: a millisecond more is asked for on either
    side than is wanted.
    """

    first: int
    last: int

    def halves(self) -> "tuple[Bounds, Bounds] | None":
        """Two that cover the same, and share two milliseconds; None where that is no less."""
        if self.last - self.first < 4:
            return None
        middle = (self.first + self.last) // 2
        return Bounds(self.first, middle), Bounds(middle - 1, self.last)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """All that was told of some bounds, sorted by key. Of the time before `settled_until` no more
    rows are to come; `as_of` is the exchange's clock when it was first asked. Those of `malformed`
    cannot be read."""

    rows: Columns
    as_of: datetime
    settled_until: datetime
    malformed: tuple[Malformed, ...] = ()


def windows_of(days: Sequence[date]) -> Iterator[tuple[date, date]]:
    """The days as the first and the last of windows, none longer than a month."""
    for first, last in spans_of(days):
        for start in days_between(first, last, DAYS_PER_WINDOW):
            yield start, min(last, start + timedelta(days=DAYS_PER_WINDOW - 1))


def bounds_of(first: date, last: date, *, neighbours: int) -> Bounds:
    """What to ask of the days from first to last and so many neighbours on either side."""
    around = timedelta(days=neighbours)
    start, end = day_window(first).start - around, day_window(last).end + around
    return Bounds(max(0, to_ms(start) - 1), to_ms(end))


def settled_until(as_of: datetime, unindexed: Moments | None = None) -> datetime:
    """Until when an answer tells every row; `unindexed` are those that are no history yet."""
    settled = as_of - SETTLING
    if unindexed is not None and len(unindexed):
        settled = min(settled, from_moment64(unindexed.min()))
    return settled


def require_page(dataset: Dataset, page: Columns, bounds: Bounds) -> Columns:
    """The page, sorted by key. Raises ValueError where a row is outside the bounds that were asked
    for."""
    at = page[dataset.at].astype(np.int64)
    if np.any((at < bounds.first) | (at > bounds.last)):
        raise ValueError("a row is outside the window that was asked for")
    return in_order(dataset, page)


def are_alike(dataset: Dataset, first: date, last: date, one: Heard, other: Heard) -> bool:
    """Whether two answers tell the same of these days, as far as both can."""
    until = min(one.settled_until, other.settled_until)
    parts = [_settled(dataset, first, last, each.rows, until) for each in (one, other)]
    ours, theirs = (keys_of(dataset, part) for part in parts)
    # The state of an order may change between two answers, and is in `told`.
    return np.array_equal(ours, theirs) and are_same(parts[0], parts[1], but=("told",))


def of_day(dataset: Dataset, rows: Columns, day: date) -> Columns:
    """The rows of a day."""
    window = day_window(day)
    at = rows[dataset.at]
    return some_of(rows, (at >= moment64(window.start)) & (at < moment64(window.end)))


def with_neighbours(alike: Sequence[Heard]) -> Columns:
    """The rows of the answer that also told the days around: of answers that are alike it is the
    one with the most."""
    return max(alike, key=lambda heard: count_of(heard.rows)).rows


def balance_verdict(rows: Columns, currency: str, day: date) -> str:
    """What the day's entries say of themselves: whether each balance is the one before it and the
    change, as far as both are told, and which numbers between them are not theirs. `rows` are
    entries of the days around it too."""
    window = day_window(day)
    rows = some_of(rows, np.argsort(rows["user_seq"], kind="stable"))
    is_of_day = rows["logged_at"] >= moment64(window.start)
    is_of_day &= rows["logged_at"] < moment64(window.end)
    if not is_of_day.any():
        return ""
    expected = rows["balance"][:-1] + rows["change"][1:]
    is_off = np.zeros(count_of(rows), bool)
    # Where anything is not told the difference is NaN, which is not above.
    is_off[1:] = np.abs(rows["balance"][1:] - expected) > _ROUNDING
    breaks = rows["id"][is_off & is_of_day]
    verdict = "each balance follows from the one before"
    if len(breaks):
        verdict = (
            f"balances that do not follow from the one before: {len(breaks)}, from id {breaks[0]}"
        )
    numbers = np.unique(rows["user_seq"][is_of_day])  # two entries may have one
    others = int(numbers[-1] - numbers[0]) + 1 - len(numbers)
    if others:
        verdict += f"; user_seq skips {others}, which other currencies than {currency} may have"
    return verdict


def _settled(dataset: Dataset, first: date, last: date, rows: Columns, until: datetime) -> Columns:
    end = min(until, day_window(last).end)
    at = rows[dataset.at]
    return some_of(rows, (at >= moment64(day_window(first).start)) & (at < moment64(end)))
