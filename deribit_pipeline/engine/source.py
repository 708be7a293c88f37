"""What a dataset gives to the one backfill: a source, and what it fetches in one backfill."""

import logging
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import ClassVar, cast

import numpy as np

from deribit_pipeline.domain.candles import Candles
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import DayState, FetchedDay
from deribit_pipeline.domain.rows import Columns, differences, keys_of, some_of
from deribit_pipeline.domain.windows import TimeWindow
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitError,
    DeribitRejected,
    WrongEnvironment,
)
from deribit_pipeline.exchange import codes
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.listings import Listings, exchange_time, warn_of_clock
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

# Series that are fetched at the same time. The requests of each are in flight together too.
_SERIES_AT_ONCE = 8

# How often a day that changes stored rows is requested until two responses agree.
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class FailedDays:
    """Days of which no response can be trusted, and why."""

    days: Sequence[date]
    error: DeribitError


@dataclass(frozen=True, slots=True)
class Planned:
    """The requests of a backfill, as far as they can be counted before. `calls` are these and
    those for listings; `rows` the most that can come, None where nobody can tell."""

    requests: int
    calls: int
    rows: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """A series over a window of whole days: its candles rolled up to `step`, and the states of the
    days, None where one is not proved."""

    series: str
    window: TimeWindow
    step: timedelta
    candles: Candles
    states: Sequence[DayState | None]


class Stops:
    """Why nothing more is requested: of a series that the exchange refuses, or of any, where every
    request would fail."""

    def __init__(self) -> None:
        self._by_series: dict[str, DeribitError] = {}
        self.everything: DeribitError | None = None

    def of(self, series: str) -> DeribitError | None:
        """The error after which nothing more of a series is requested; None where there is none."""
        return self._by_series.get(series) or self.everything

    def add(self, series: str, error: DeribitError) -> None:
        """Request nothing more of this series, nor of the others where they would fail alike."""
        if self.of(series) is not None:
            return
        is_of_one = _is_of_one(error)
        name = f" on {series}" if is_of_one else ""
        logger.error("Giving up%s for this run: %s", name, error.summary)
        if is_of_one:
            self._by_series[series] = error
        else:
            self.everything = error


def _is_of_one(error: DeribitError) -> bool:
    """Whether the error is of one series: others may be available all the same."""
    if isinstance(error, DeribitBadPayload):
        return not isinstance(error, WrongEnvironment)
    return isinstance(error, DeribitRejected) and error.code not in codes.OF_THE_CALLER


Pieces = AsyncGenerator[FetchedDay | FailedDays]
"""Fetched days, and failed ones."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a backfill of one dataset has: `listed` are listings that were requested just before."""

    exchange: Exchange
    warehouse: Warehouse
    dataset: Dataset
    listed: Listings = field(default_factory=dict)
    stops: Stops = field(default_factory=Stops)


class Session(ABC):
    """What one backfill fetches from a source, and what it learns meanwhile.

    At most `workers` pieces of a plan are under way at once, begun in its order.
    """

    def __init__(self, context: Context, workers: int) -> None:
        self.context = context
        self.workers = workers

    @abstractmethod
    async def plan(self, days: Days) -> Iterator[tuple[str, Pieces]]:
        """What to fetch, with the series that it is of.

        Together the pieces bring every day once, in any order, and once more as FailedDays where
        it is found wrong afterwards. They raise no DeribitError: its days have failed, and the
        context's `stops` know it where nothing more is to be requested.
        """

    @abstractmethod
    async def again(self, day: FetchedDay) -> FetchedDay:
        """The day as two responses agree on it. Raises DeribitError where none do."""

    def known_at(self) -> datetime | None:
        """The time at which what is noted of days becomes known, where that is later than the
        response that they come from: the first of several may be from before their last rows."""
        return None

    async def relisted(self, days: Days) -> Days:
        """The days of which other rows are expected by now, for their instruments are listed
        otherwise than when they were last planned: they have to be planned again."""
        return {}


class Source(ABC):
    """How the rows of a dataset are fetched. Without state, which is the session's.

    `counted_method` is the one whose requests a backfill counts, and reports as `requests_label`;
    all requests are counted where it is empty.
    """

    counted_method: ClassVar[str] = ""
    requests_label: ClassVar[str] = "requests"

    @abstractmethod
    async def open(self, context: Context, days: Days) -> Session:
        """Begin a backfill of these days. Raises DeribitError where not even the listings or the
        clock of the exchange are available."""

    @abstractmethod
    def planned(
        self, dataset: Dataset, days: Days, listed: Listings, *, each_twice: bool = False
    ) -> Planned:
        """Count the requests of a backfill of these days. With `each_twice`, those of an exchange
        whose `each_twice` is set: more only where a single response may be trusted otherwise."""

    def previews(
        self, dataset: Dataset, warehouse: Warehouse, days: Days, outcome: Outcome
    ) -> Sequence[Preview]:
        """What is stored of these days, small enough to be drawn; nothing where that says little.
        Raises WarehouseError."""
        return ()


class SeriesSource(Source):
    """A source that brings one series after the other, each by itself."""

    async def open(self, context: Context, days: Days) -> Session:
        """See Source."""
        if any(self.requests(name, sorted(some)) for name, some in days.items()):
            warn_of_clock(await exchange_time(context.exchange.client))
        return SeriesSession(self, context)

    def planned(
        self, dataset: Dataset, days: Days, listed: Listings, *, each_twice: bool = False
    ) -> Planned:
        """See Source."""
        requests = sum(
            self.requests(name, sorted(some), each_twice=each_twice) for name, some in days.items()
        )
        return Planned(requests, requests)

    @abstractmethod
    def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        """Every day once, in any order, as soon as it can be trusted; as FailedDays once more,
        where it is found wrong afterwards.

        `days` are sorted, each once, none in the future, and may have breaks. How many requests
        are in flight, the client sees to. Raises DeribitError where nothing more of the series is
        available: the days not brought by then have failed.
        """

    @abstractmethod
    def requests(self, series: str, days: Sequence[date], *, each_twice: bool = False) -> int:
        """How many requests the days of one series take; see `planned`."""


class SeriesSession(Session):
    """A backfill from a source that brings one series after the other."""

    def __init__(self, source: SeriesSource, context: Context) -> None:
        super().__init__(context, 1 if context.dataset.is_bulky else _SERIES_AT_ONCE)
        self._source = source

    async def plan(self, days: Days) -> Iterator[tuple[str, Pieces]]:
        """A series at a time."""
        return ((name, self._pieces(name, some)) for name, some in days.items())

    async def _pieces(self, series: str, days: Collection[date]) -> Pieces:
        awaited, error = set(days), self.context.stops.of(series)
        if error is None:
            try:
                async with aclosing(self._fetched(series, sorted(days))) as pieces:
                    async for piece in pieces:
                        awaited -= set(_days_of(piece))
                        yield piece
            except DeribitError as raised:
                error = raised
                self.context.stops.add(series, error)
        if error is not None:
            yield FailedDays(sorted(awaited), error)
        else:
            assert not awaited, f"the source left {series} {sorted(awaited)} out"

    def _fetched(
        self, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        context = self.context
        return self._source.fetch(context.exchange, context.warehouse, series, days)

    async def again(self, day: FetchedDay) -> FetchedDay:
        """The day as the later of two responses has it, of which either may have rows that the
        other lacks: what was open before, or is no longer returned."""
        former = [day]
        for _ in range(_ROUNDS):
            async with aclosing(self._fetched(day.series, [day.day])) as pieces:
                async for piece in pieces:
                    if isinstance(piece, FailedDays):
                        raise piece.error
                    if any(_agree(self.context.dataset, piece.rows, each.rows) for each in former):
                        return replace(piece, is_confirmed=True)
                    former.append(piece)
        raise DeribitBadPayload(
            "answers contradict each other about its rows",
            method=self.context.dataset.name,
            params={"series": day.series, "day": day.day},
        )


def _days_of(piece: FetchedDay | FailedDays) -> Sequence[date]:
    return piece.days if isinstance(piece, FailedDays) else [piece.day]


def _agree(dataset: Dataset, one: Columns, other: Columns) -> bool:
    """Whether they have the same values, but for rows that only one of them has."""
    keys, others = keys_of(dataset, one), keys_of(dataset, other)
    _, ours, theirs = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
    if len(ours) < min(len(keys), len(others)):
        return False
    return not differences(some_of(one, ours), some_of(other, theirs)).any()


def source_of(dataset: Dataset) -> Source:
    """The source of a dataset, which is imported now."""
    return cast(Source, pkgutil.resolve_name(dataset.source))
