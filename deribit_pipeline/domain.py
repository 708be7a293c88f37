"""The words of this project: environments, resolutions, windows, instruments, candles, proofs.

Pure values that every layer shares. All time is UTC.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ONE_DAY = timedelta(days=1)

END_OF_TIME = datetime(3000, 1, 1, tzinfo=UTC)
"""Later than anything that is told."""

Moments = NDArray[np.datetime64]
"""Instants as `datetime64[ms]`, shape (n,); numpy has no time zones, so UTC is understood."""


class Environment(enum.StrEnum):
    """Which exchange: the real one, its test venue, or the one that comes with this project."""

    MAINNET = "mainnet"
    TESTNET = "testnet"
    SANDBOX = "sandbox"


class Resolution(enum.Enum):
    """A candle's length, in Deribit's spelling for charts: minutes, or `1D`."""

    MINUTE_1 = "1"
    MINUTE_3 = "3"
    MINUTE_5 = "5"
    MINUTE_10 = "10"
    MINUTE_15 = "15"
    MINUTE_30 = "30"
    HOUR_1 = "60"
    HOUR_2 = "120"
    HOUR_3 = "180"
    HOUR_6 = "360"
    HOUR_12 = "720"
    DAY_1 = "1D"

    @property
    def duration(self) -> timedelta:
        """How long a candle lasts."""
        return ONE_DAY if self is Resolution.DAY_1 else timedelta(minutes=int(self.value))

    @property
    def candles_per_day(self) -> int:
        """How many candles open on a UTC day."""
        return ONE_DAY // self.duration

    @property
    def label(self) -> str:
        """The length as people write it: `1m`, `12h`, `1d`. It ends the asset's name."""
        minutes = self.duration // timedelta(minutes=1)
        if self is Resolution.DAY_1:
            return "1d"
        return f"{minutes // 60}h" if minutes >= 60 else f"{minutes}m"

    @property
    def anchor(self) -> timedelta | None:
        """How long after midnight UTC a candle opens; None where it is not known.

        `1D` opens at 08:00 (assumption:candles-anchor-1d). A resolution that divides eight hours
        opens at midnight whether it is counted from 00:00 or from 08:00
        (assumption:candles-anchor-120). For 180, 360 and 720 the two differ and no source decides
        between them (assumption:candles-anchor-180, assumption:candles-anchor-360,
        assumption:candles-anchor-720).
        """
        eight = timedelta(hours=8)
        if self is Resolution.DAY_1:
            return eight
        return None if eight % self.duration else timedelta(0)


@dataclass(frozen=True, slots=True, order=True)
class TimeWindow:
    """A half-open span of UTC time: `start` is in it, `end` is not."""

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
        """How long the window is."""
        return self.end - self.start

    def intersection(self, other: TimeWindow) -> TimeWindow | None:
        """What both windows share; None where they share nothing."""
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
    """The days as (first, last) of unbroken spans; breaks of up to `bridging` days are closed."""
    spans: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if spans and (day - spans[-1][1]).days <= bridging + 1:
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return spans


def moment64(moment: datetime, unit: Literal["ms", "us"] = "ms") -> np.datetime64:
    """The instant as numpy has it, UTC understood."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), unit)


def from_moment64(moment: np.datetime64) -> datetime:
    """The instant that numpy has, UTC understood."""
    return from_ms(int(moment.astype("datetime64[ms]").astype(np.int64)))


def from_ms(milliseconds: int) -> datetime:
    """The instant that Deribit writes as UTC milliseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def to_ms(moment: datetime) -> int:
    """The instant as Deribit writes it: UTC milliseconds."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def without(moments: Moments, others: Moments) -> Moments:
    """The moments that are not among the others."""
    if np.array_equal(moments, others):  # nearly always, and much faster
        return moments[:0]
    return moments[~np.isin(moments, others)]


@dataclass(frozen=True, slots=True)
class Instrument:
    """What trades. `expires_at` is None for what never does (Deribit writes the year 3000).

    `is_archived` tells that www knows it no more, and the archive host alone tells its candles
    (assumption:candles-expired).
    """

    instrument_name: str
    kind: str
    listed_at: datetime
    expires_at: datetime | None = None
    is_archived: bool = False


CANDLE_VALUES = ("open", "high", "low", "close", "volume_base", "volume_quote")


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """OHLCV rows of one instrument and resolution, in the order of time unless said otherwise.

    `opened_at` has shape (n,); `values` has shape (n, 6), its columns named by CANDLE_VALUES:
    prices in quote currency, `volume_base` in base and `volume_quote` in quote currency.
    """

    opened_at: Moments
    values: NDArray[np.float64]

    @classmethod
    def none(cls) -> Candles:
        """No candles."""
        return cls(np.empty(0, "datetime64[ms]"), np.empty((0, len(CANDLE_VALUES))))

    def __len__(self) -> int:
        return len(self.opened_at)

    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.intp]) -> Candles:
        return Candles(self.opened_at[rows], self.values[rows])

    @property
    def without_trades(self) -> int:
        """How many candles nobody traded in: the exchange fills these itself, with volume 0
        (assumption:candles-fillers)."""
        return int(np.count_nonzero(self.values[:, CANDLE_VALUES.index("volume_base")] == 0.0))

    def union(self, other: Candles) -> Candles:
        """The candles of both in the order of time; where both have one, `other` has the word."""
        if not len(self) or np.array_equal(self.opened_at, other.opened_at):
            return other
        kept = self[~np.isin(self.opened_at, other.opened_at)]
        opened_at = np.concatenate((kept.opened_at, other.opened_at))
        order = np.argsort(opened_at, kind="stable")
        return Candles(opened_at[order], np.concatenate((kept.values, other.values))[order])


class DayState(enum.StrEnum):
    """What is proved of the candles that open on an instrument's UTC day."""

    COMPLETE = "complete"
    OPEN = "open"
    GAPPED = "gapped"
    NOT_LISTED = "not_listed"


FAILED = "not_proved"
"""What a day is called, beside the states, that was requested and could not be proved."""

SETTLED = (DayState.COMPLETE, DayState.NOT_LISTED)


class CrossCheck(enum.StrEnum):
    """How a day's rows compare with an independent series of the exchange, such as coarser candles.

    Rows that DISAGREE were confirmed by two responses for different windows; the day's verdict
    names the disagreement. NONE: they were not compared.
    """

    AGREES = "agrees"
    DISAGREES = "disagrees"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class DayProof:
    """What was expected of a day, what came, and a hash of every value held.

    `expected = received + missing + those not closed yet`. `fetched_at` is the exchange's clock.
    `verdict` is what else is known of the day, in words; empty where there is nothing.
    """

    instrument_name: str
    resolution: Resolution
    day: date
    state: DayState
    expected: int
    received: int
    missing: int
    without_trades: int
    content_hash: str
    revised: int
    fetched_at: datetime
    verdict: str = ""
    cross_check: CrossCheck = CrossCheck.NONE

    @property
    def series(self) -> str:
        """What the day is of."""
        return self.instrument_name

    @property
    def is_settled(self) -> bool:
        """Whether nothing more need be asked of the day, unless it is forced."""
        return self.state in SETTLED


@dataclass(frozen=True, slots=True)
class DatasetProof:
    """What was expected of a day of any other dataset, what came, and a hash of every value held.

    `verdict` is what a comparison with another dataset found. `fetched_at` is the exchange's clock.
    """

    dataset: str
    series: str
    day: date
    state: DayState
    expected: int
    received: int
    missing: int
    content_hash: str
    revised: int
    verdict: str
    fetched_at: datetime
    cross_check: CrossCheck = CrossCheck.NONE

    @property
    def is_settled(self) -> bool:
        """Whether nothing more need be asked of the day, unless it is forced."""
        return self.state in SETTLED


Proof = DayProof | DatasetProof
"""What is proved of a series' day."""


@dataclass(frozen=True, slots=True, eq=False)
class ProvedDay:
    """A day ready to be written whole: its candles, its proof, its gaps, and what is new of it.

    `arrived` are the candles that were not held before; `replaced` holds the former values of
    candles about which the exchange changed its mind (assumption:candles-closed). `as_of` is the
    exchange's clock when it answered, also where it said nothing new.
    """

    proof: DayProof
    candles: Candles
    gaps: Moments
    arrived: Moments
    replaced: Candles
    as_of: datetime
