"""Validation of the account's responses: private data has no second, independent source.

Two responses for different windows must have the same rows, and in the transaction log each balance
should follow from the previous one. Malformed responses raise ValueError.
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
"""How many days are requested together: a busy month of a log has about ten pages."""

# Amounts are rounded to six decimals or more.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of a request, in UTC milliseconds, both inclusive.

    Whether the exchange treats them as inclusive is undocumented: one more millisecond is requested
    on either side.
    """

    first: int
    last: int

    def halves(self) -> "tuple[Bounds, Bounds] | None":
        """Two bounds that cover the same time and share two milliseconds; None if they cannot be
        smaller."""
        if self.last - self.first < 4:
            return None
        middle = (self.first + self.last) // 2
        return Bounds(self.first, middle), Bounds(middle - 1, self.last)


@dataclass(frozen=True, slots=True, eq=False)
class AccountRows:
    """All rows returned for some bounds, sorted by key. No more rows from before `settled_until`
    can appear; `as_of` is the exchange's time of the first response. Rows in `malformed` cannot be
    parsed."""

    rows: Columns
    as_of: datetime
    settled_until: datetime
    malformed: tuple[Malformed, ...] = ()


def windows_of(days: Sequence[date]) -> Iterator[tuple[date, date]]:
    """The days as windows (first, last) of at most a month."""
    for first, last in spans_of(days):
        for start in days_between(first, last, DAYS_PER_WINDOW):
            yield start, min(last, start + timedelta(days=DAYS_PER_WINDOW - 1))


def bounds_of(first: date, last: date, *, neighbours: int) -> Bounds:
    """The bounds to request for the days from first to last, and `neighbours` days on either
    side."""
    around = timedelta(days=neighbours)
    start, end = day_window(first).start - around, day_window(last).end + around
    return Bounds(max(0, to_ms(start) - 1), to_ms(end))


def settled_until(as_of: datetime, unindexed: Moments | None = None) -> datetime:
    """The instant up to which a response is complete; `unindexed` are times of recent rows that are
    not in the history yet."""
    settled = as_of - SETTLING
    if unindexed is not None and len(unindexed):
        settled = min(settled, from_moment64(unindexed.min()))
    return settled


def require_page(dataset: Dataset, page: Columns, bounds: Bounds) -> Columns:
    """The page, sorted by key. Raises ValueError if a row is outside the requested bounds."""
    at = page[dataset.at].astype(np.int64)
    if np.any((at < bounds.first) | (at > bounds.last)):
        raise ValueError("a row is outside the requested window")
    return in_order(dataset, page)


def are_alike(
    dataset: Dataset, first: date, last: date, one: AccountRows, other: AccountRows
) -> bool:
    """Whether two responses have the same rows for these days, as far as both are complete."""
    until = min(one.settled_until, other.settled_until)
    parts = [_settled(dataset, first, last, each.rows, until) for each in (one, other)]
    ours, theirs = (keys_of(dataset, part) for part in parts)
    # The state of an order, which is in the column `told`, may change between two responses.
    return np.array_equal(ours, theirs) and are_same(parts[0], parts[1], but=("told",))


def of_day(dataset: Dataset, rows: Columns, day: date) -> Columns:
    """The rows of a day."""
    window = day_window(day)
    at = rows[dataset.at]
    return some_of(rows, (at >= moment64(window.start)) & (at < moment64(window.end)))


def with_neighbours(alike: Sequence[AccountRows]) -> Columns:
    """The rows of the response that includes the most neighbouring days; the responses agree."""
    return max(alike, key=lambda each: count_of(each.rows)).rows


def balance_verdict(rows: Columns, currency: str, day: date) -> str:
    """The verdict on a day's balances: whether each equals the previous one plus the change, where
    both are given, and which numbers in between are missing. `rows` include entries of neighbouring
    days."""
    window = day_window(day)
    rows = some_of(rows, np.argsort(rows["user_seq"], kind="stable"))
    is_of_day = rows["logged_at"] >= moment64(window.start)
    is_of_day &= rows["logged_at"] < moment64(window.end)
    if not is_of_day.any():
        return ""
    expected = rows["balance"][:-1] + rows["change"][1:]
    is_off = np.zeros(count_of(rows), bool)
    # A missing value makes the difference NaN, which compares as not greater.
    is_off[1:] = np.abs(rows["balance"][1:] - expected) > _ROUNDING
    breaks = rows["id"][is_off & is_of_day]
    verdict = "each balance follows from the one before"
    if len(breaks):
        verdict = (
            f"balances that do not follow from the one before: {len(breaks)}, from id {breaks[0]}"
        )
    numbers = np.unique(rows["user_seq"][is_of_day])  # two entries may share one
    others = int(numbers[-1] - numbers[0]) + 1 - len(numbers)
    if others:
        verdict += f"; user_seq skips {others}, which other currencies than {currency} may have"
    return verdict


def _settled(dataset: Dataset, first: date, last: date, rows: Columns, until: datetime) -> Columns:
    end = min(until, day_window(last).end)
    at = rows[dataset.at]
    return some_of(rows, (at >= moment64(day_window(first).start)) & (at < moment64(end)))
