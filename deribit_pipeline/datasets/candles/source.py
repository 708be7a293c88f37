"""The source of candles: requests that cross-check their neighbours, split into days."""

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime

from deribit_pipeline.datasets.candles import reads
from deribit_pipeline.datasets.candles.calls import CHART
from deribit_pipeline.datasets.candles.cross_checking import CoarseCandles, CrossChecks
from deribit_pipeline.datasets.candles.days import Assembly, fetched_day, unlisted_day
from deribit_pipeline.datasets.candles.fetch import ChartFetcher, chart_hosts
from deribit_pipeline.datasets.candles.pages import Page, joined
from deribit_pipeline.datasets.candles.previews import previews
from deribit_pipeline.datasets.candles.request_groups import RequestGroup, request_groups
from deribit_pipeline.datasets.candles.requests import (
    ChartRequest,
    coarse_requests,
    expected_window,
    is_clipped,
    requests,
)
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.windows import TimeWindow
from deribit_pipeline.engine.agreement import Claim
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.previews import Preview
from deribit_pipeline.engine.source import (
    Context,
    FailedDays,
    Pieces,
    Planned,
    Session,
    Source,
)
from deribit_pipeline.engine.trusted_pages import Unproved, pages_of
from deribit_pipeline.errors import DeribitError
from deribit_pipeline.instruments.listings import Listings, listings, warn_of_clock
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

# How often the listing of an instrument is fetched if it was not listed for all of the days: twice
# before the days are fetched, and once at the end.
_LISTINGS_OF_CLIPPED = 3

# How often a listing is requested, before days are fetched, until two responses agree on it.
_MOST_LISTINGS = 3


class CandlesSource(Source):
    """Candles of any resolution."""

    counted_method = CHART
    requests_label = "chart requests"

    async def open(self, context: Context, days: Days) -> Session:
        """See Source. A listing that clips days is requested until two responses agree, and again
        at the end."""
        unlisted = [name for name in days if name not in context.listed]
        listed = dict(context.listed)
        if unlisted:
            listed |= (await listings(context.exchange, context.warehouse, unlisted))[0]
        session = CandlesSession(context, listed)
        warn_of_clock(session.listed_at)
        for _ in range(_MOST_LISTINGS):
            if not await session.relisted(days):
                break
        return session

    def planned(
        self, dataset: Dataset, days: Days, listed: Listings, *, each_twice: bool = False
    ) -> Planned:
        """See Source. Requests for coarser candles to compare with are included.

        An instrument with a single request and no coarser candles needs a second one, unless the
        candle before it is stored. With `each_twice`, each window needs two; coarser candles do
        not.
        """
        resolution = _resolution_of(dataset)
        plans = [requests(listed[name], resolution, some) for name, some in days.items()]
        charts = 0
        for plan in plans:
            coarse = len(coarse_requests(plan))
            is_alone = len(plan) == 1 and not coarse
            charts += (2 if each_twice or is_alone else 1) * len(plan) + coarse
        rows = sum(request.most for plan in plans for request in plan)
        listings_requested = sum(
            _LISTINGS_OF_CLIPPED if _are_clipped(listed[name], resolution, some) else 1
            for name, some in days.items()
        )
        return Planned(charts, charts + listings_requested, rows)

    def previews(
        self, dataset: Dataset, warehouse: Warehouse, days: Days, outcome: Outcome
    ) -> Sequence[Preview]:
        """See Source."""
        return previews(warehouse, _resolution_of(dataset), days, outcome)


SOURCE = CandlesSource()


class CandlesSession(Session):
    """A backfill of candles: its requests are planned across the days of an instrument."""

    def __init__(self, context: Context, listed: Listings) -> None:
        super().__init__(context, context.exchange.client.rpc.concurrency)
        self._resolution = _resolution_of(context.dataset)
        self._instruments = dict(listed)
        self.listed_at = self._now()
        self._assemblies: dict[str, Assembly] = {}
        self._checks = CrossChecks()

    async def plan(self, days: Days) -> Iterator[tuple[str, Pieces]]:
        """One piece per request: the last response of a group yields the trusted days of all."""
        self._assemblies = {
            name: Assembly(self._instruments[name], self._resolution, some)
            for name, some in days.items()
        }
        groups = await asyncio.to_thread(self._blocks, days)
        return self._pieces(groups)

    async def relisted(self, days: Days) -> Days:
        """See Session. Only listings that clip these days are requested."""
        clipped = [
            name
            for name, some in days.items()
            if _are_clipped(self._instruments[name], self._resolution, some)
        ]
        if self.context.stops.everything is not None or not clipped:
            return {}
        try:
            listed, _ = await listings(self.context.exchange, self.context.warehouse, clipped)
        except DeribitError as error:
            logger.warning("Could not confirm that the listings are unchanged: %s", error.summary)
            return {}
        former = self._instruments
        self._instruments, self.listed_at = former | listed, self._now()
        changed = {
            name: [
                day
                for day in days[name]
                if expected_window(former[name], self._resolution, day)
                != expected_window(listed[name], self._resolution, day)
            ]
            for name in clipped
        }
        return {name: some for name, some in changed.items() if some}

    def _now(self) -> datetime:
        as_of = self.context.exchange.as_of
        assert as_of is not None, "listings have been requested"
        return as_of

    def known_at(self) -> datetime | None:
        """See Session."""
        return self.context.exchange.client.rpc.as_of

    def _pieces(self, groups: Sequence[RequestGroup]) -> Iterator[tuple[str, Pieces]]:
        for name, assembly in self._assemblies.items():
            if assembly.unlisted:
                yield name, self._unlisted(name, assembly.unlisted)
        for group in groups:
            for request in group.requests:
                yield group.instrument_name, self._fetched(group, request)

    def _blocks(self, days: Days) -> list[RequestGroup]:
        """All requests, in groups. A group of one is compared with the stored neighbours."""
        step = self._resolution.duration
        planned = [
            group
            for name, some in days.items()
            for group in request_groups(requests(self._instruments[name], self._resolution, some))
        ]
        alone = [group for group in planned if len(group.requests) == 1]
        if alone:
            with self.context.warehouse.reading() as connection:
                for group in alone:
                    start = group.requests[0].window.start
                    window = TimeWindow(start - step, start + step)
                    group.held = reads.candles(
                        connection, group.instrument_name, self._resolution, window
                    )
        return planned

    async def _unlisted(self, name: str, days: Sequence[date]) -> Pieces:
        for day in days:
            yield unlisted_day(name, day, self.listed_at)

    async def _fetched(self, group: RequestGroup, request: ChartRequest) -> Pieces:
        """The days completed by the group, if this is its last response."""
        name = group.instrument_name
        fetcher = self._fetcher(name)
        group.pieces.extend(await self._requested(fetcher, request))
        group.awaited -= 1
        if group.awaited:
            return
        each_twice = self.context.exchange.each_twice
        for piece in await group.trusted(fetcher, self._checks, each_twice=each_twice):
            if isinstance(piece, Unproved):
                yield FailedDays(self._assemblies[name].days_in(piece.window), piece.error)
                continue
            for day in self._assemblies[name].add(piece):
                yield day

    async def _requested(
        self, fetcher: ChartFetcher, request: ChartRequest
    ) -> list[Page | Unproved]:
        name = request.instrument.instrument_name
        error = self.context.stops.of(name)
        if error is None:
            try:
                return await fetcher.pages(request)
            except DeribitError as raised:
                error = raised
                self.context.stops.add(name, error)
        return [Unproved(request.window, error)]

    def _fetcher(self, name: str) -> ChartFetcher:
        hosts = chart_hosts(self.context.exchange, self._instruments[name])
        return ChartFetcher(hosts, lambda: self.context.stops.of(name))

    async def again(self, day: FetchedDay) -> FetchedDay:
        """The day as confirmed by another response, for a window with other bounds."""
        name = day.series
        window = expected_window(self._instruments[name], self._resolution, day.day)
        assert window is not None, "a day with candles has a window"
        assert day.expected is not None, "candles are counted on their grid"
        candles = Candles.of(day.rows)
        page = Page(window, day.expected, day.unclosed, candles, Candles.none(), day.as_of)
        request = ChartRequest(self._instruments[name], self._resolution, window)
        fetcher = self._fetcher(name)
        pieces = await fetcher.agreed(request, [Claim(page)])
        if isinstance(pieces[0], Page):
            coarse = CoarseCandles([request])
            pieces = await self._checks.checked(fetcher, request, pieces[0], coarse)
        for piece in pieces:
            if isinstance(piece, Unproved):
                raise piece.error
        again = fetched_day(name, day.day, joined(pages_of(pieces)))
        return replace(again, is_confirmed=True)


def _are_clipped(instrument: Instrument, resolution: Resolution, days: Collection[date]) -> bool:
    """Whether the instrument was not listed for a part of one of the days: of the first or the
    last, if of any."""
    return any(is_clipped(instrument, resolution, day) for day in {min(days), max(days)})


def _resolution_of(dataset: Dataset) -> Resolution:
    assert dataset.resolution is not None, "candles have a resolution"
    return dataset.resolution
