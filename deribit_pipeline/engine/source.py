"""The interface between a dataset and the backfill: a source, and its fetching in one backfill."""

import logging
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import ClassVar, cast

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.rows import Rows, count_of, differences
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.merged_rows import compared
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.previews import Previews
from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitError,
    DeribitRejected,
    WrongEnvironment,
)
from deribit_pipeline.exchange import codes
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.listings import Listings, exchange_time, warn_of_clock
from deribit_pipeline.spool.folder import Spool
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
    """The requests of a backfill, as far as they can be counted in advance. `calls` are these and
    those for listings; `rows` is the maximum number of rows, None if it cannot be estimated."""

    requests: int
    calls: int
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """Rows in the spool, and how many numbers are missing among them."""

    rows: int
    missing: int


class Stops:
    """Why nothing more is requested: for a series that the exchange rejects, or for all series, if
    every request would fail."""

    def __init__(self) -> None:
        self._by_series: dict[str, DeribitError] = {}
        self.everything: DeribitError | None = None

    def of(self, series: str) -> DeribitError | None:
        """The error after which nothing more of a series is requested; None if there is none."""
        return self._by_series.get(series) or self.everything

    def add(self, series: str, error: DeribitError) -> None:
        """Request nothing more of this series, nor of the others if they would fail for the same
        reason."""
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
    """Whether the error concerns one series: others may still be available."""
    if isinstance(error, DeribitBadPayload):
        return not isinstance(error, WrongEnvironment)
    return isinstance(error, DeribitRejected) and error.code not in codes.OF_THE_CALLER


Pieces = AsyncGenerator[FetchedDay | FailedDays]
"""Fetched days, and failed ones."""


@dataclass(frozen=True, slots=True)
class Context:
    """The context of a backfill of one dataset; `listed` are listings that were requested just
    before. With `is_forced`, everything is requested from the exchange, whatever is held."""

    exchange: Exchange
    warehouse: Warehouse
    dataset: Dataset
    listed: Listings = field(default_factory=dict)
    stops: Stops = field(default_factory=Stops)
    is_forced: bool = False


class Session(ABC):
    """The fetching of one backfill from a source, with the state that it collects.

    At most `workers` pieces of a plan are fetched at a time, started in the plan's order. `figures`
    are what else is known at the end, by name, to be shown with the run.
    """

    def __init__(self, context: Context, workers: int) -> None:
        self.context = context
        self.workers = workers
        self.figures: Mapping[str, float] = {}

    @abstractmethod
    async def plan(self, days: Days) -> Iterator[tuple[str, Pieces]]:
        """What to fetch, each piece with its series.

        Together the pieces return every day once, in any order, and once more as FailedDays if it
        turns out to be wrong later. They raise no DeribitError: the days have failed, and the error
        is added to the context's `stops` if nothing more is to be requested.
        """

    @abstractmethod
    async def again(self, day: FetchedDay) -> FetchedDay:
        """The day as two responses agree on it. Raises DeribitError if none do."""

    def known_at(self) -> datetime | None:
        """The time at which gaps, arrivals and revisions become known, if later than the response
        that the days come from: the first of several may be from before their last rows."""
        return None

    async def end(self, days: Days) -> None:
        """Called once the days of the backfill are written."""
        return

    async def relisted(self, days: Days) -> Days:
        """The days that now expect other rows, because the listing of their instruments has changed
        since they were planned: they must be planned again."""
        return {}


class Source(ABC):
    """Fetches the rows of a dataset. Without state, which belongs to the session.

    `counted_method` is the method whose requests a backfill counts, and reports as
    `requests_label`; all requests are counted if it is empty.
    """

    counted_method: ClassVar[str] = ""
    requests_label: ClassVar[str] = "requests"

    @abstractmethod
    async def open(self, context: Context, days: Days) -> Session:
        """Begin a backfill of these days. Raises DeribitError if not even the listings or the clock
        of the exchange are available."""

    @abstractmethod
    def planned(
        self, dataset: Dataset, days: Days, listed: Listings, *, each_twice: bool = False
    ) -> Planned:
        """Count the requests of a backfill of these days. With `each_twice`, those for an exchange
        whose `each_twice` is set: more only if a single response may be trusted otherwise."""

    def recorded(self, spool: Spool, days: Days) -> Recorded | None:
        """What the spool holds of these days, which is not requested; None if nothing."""
        return None

    async def first_available(
        self, exchange: Exchange, warehouse: Warehouse, series: str
    ) -> date | None:
        """The first day of a series of which the exchange still has rows, or of which any were
        recorded; None if it has all of them. Raises DeribitError."""
        return None

    def previews(
        self, dataset: Dataset, warehouse: Warehouse, days: Days, outcome: Outcome
    ) -> Previews:
        """A summary of the stored rows of these days, small enough to be drawn; empty if it would
        not be informative. Raises WarehouseError."""
        return ()


class SeriesSource(Source):
    """A source that fetches one series after the other, independently of each other."""

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
        """Every day once, in any order, as soon as it can be trusted; as FailedDays once more if it
        turns out to be wrong later.

        `days` are sorted, unique, none in the future, and may have breaks. The client limits how
        many requests are in flight. Raises DeribitError if nothing more of the series is available:
        the days not returned by then have failed.
        """

    @abstractmethod
    def requests(self, series: str, days: Sequence[date], *, each_twice: bool = False) -> int:
        """How many requests the days of one series take; see `planned`."""


class SeriesSession(Session):
    """A backfill from a source that fetches one series after the other."""

    def __init__(self, source: SeriesSource, context: Context) -> None:
        super().__init__(context, 1 if context.dataset.is_bulky else _SERIES_AT_ONCE)
        self._source = source

    async def plan(self, days: Days) -> Iterator[tuple[str, Pieces]]:
        """One series at a time."""
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
        """The day from the later of two responses, either of which may have rows that the other is
        missing: rows that were open before, or are no longer returned."""
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
            "responses contradict each other about its rows",
            method=self.context.dataset.name,
            params={"series": day.series, "day": day.day},
        )


def _days_of(piece: FetchedDay | FailedDays) -> Sequence[date]:
    return piece.days if isinstance(piece, FailedDays) else [piece.day]


def _agree(dataset: Dataset, one: Rows, other: Rows) -> bool:
    """Whether they have the same values, except for rows that only one of them has."""
    shared = 0
    for ours, theirs in compared(dataset, one, other):
        if differences(ours, theirs).any():
            return False
        shared += count_of(ours)
    return shared == min(count_of(one), count_of(other))


def source_of(dataset: Dataset) -> Source:
    """The source of a dataset, imported on first use."""
    return cast(Source, pkgutil.resolve_name(dataset.source))
