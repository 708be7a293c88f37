"""Days, windows and instants of UTC time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ONE_DAY = timedelta(days=1)

END_OF_TIME = datetime(3000, 1, 1, tzinfo=UTC)
"""Later than any time that the exchange returns."""

LATENCY = np.timedelta64(60_000, "ms")
"""A row may be created between the arrival of a request and its response
(assumption:candles-latency)."""

Moments = NDArray[np.datetime64]
"""Instants as `datetime64[ms]`, shape (n,), in UTC: numpy has no time zones."""


@dataclass(frozen=True, slots=True, order=True)
class TimeWindow:
    """A half-open span of UTC time: `start` is included, `end` is not."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name, moment in (("start", self.start), ("end", self.end)):
            if moment.utcoffset() != timedelta(0):
                raise ValueError(f"`{name}` must be in UTC, was {moment!r}")
        if self.start >= self.end:
            raise ValueError(f"a window must end after it starts, was {self}")

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%dT%H:%M:%SZ}/{self.end:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def duration(self) -> timedelta:
        """The duration of the window."""
        return self.end - self.start

    def intersection(self, other: TimeWindow) -> TimeWindow | None:
        """The overlap of both windows; None if there is none."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return TimeWindow(start, end) if start < end else None


def day_window(day: date) -> TimeWindow:
    """The UTC day as a window."""
    start = datetime.combine(day, time(), UTC)
    return TimeWindow(start, start + ONE_DAY)


def days_between(first: date, last: date, step: int = 1) -> Iterator[date]:
    """Every day, or every `step` days, from `first` to `last`, both included."""
    return (first + timedelta(days=n) for n in range(0, (last - first).days + 1, step))


def spans_of(days: Iterable[date], bridging: int = 0) -> list[tuple[date, date]]:
    """The days as (first, last) of consecutive spans; breaks of up to `bridging` days are
    closed."""
    spans: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if spans and (day - spans[-1][1]).days <= bridging + 1:
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return spans


def moment64(moment: datetime, unit: Literal["ms", "us"] = "ms") -> np.datetime64:
    """The instant as numpy's datetime64, in UTC."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), unit)


def from_moment64(moment: np.datetime64) -> datetime:
    """The instant of a numpy datetime64, in UTC."""
    return from_ms(int(moment.astype("datetime64[ms]").astype(np.int64)))


def from_ms(milliseconds: int) -> datetime:
    """The instant for Deribit's UTC milliseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def to_ms(moment: datetime) -> int:
    """The instant as Deribit's UTC milliseconds."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def from_us(microseconds: int) -> datetime:
    """The instant for UTC microseconds. Raises OverflowError outside the calendar."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def to_us(moment: datetime) -> int:
    """The instant as UTC microseconds."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def without(moments: Moments, others: Moments) -> Moments:
    """The timestamps that are not among the others."""
    if np.array_equal(moments, others):  # nearly always, and much faster
        return moments[:0]
    return moments[~np.isin(moments, others)]
