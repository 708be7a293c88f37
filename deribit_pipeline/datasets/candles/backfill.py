"""The main job: make instrument-days of candles complete. Fetches, proves and writes at the same
time."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime

from deribit_pipeline.datasets.candles import reads
from deribit_pipeline.datasets.candles.blocks import Block, blocks_of
from deribit_pipeline.datasets.candles.cross_checking import CoarseCandles, CrossChecks
from deribit_pipeline.datasets.candles.days import Assembly, fetched_day, unlisted_day
from deribit_pipeline.datasets.candles.fetch import ChartFetcher, chart_hosts
from deribit_pipeline.datasets.candles.pages import Page, joined
from deribit_pipeline.datasets.candles.requests import ChartRequest, is_clipped, requests, wanted
from deribit_pipeline.domain.candles import Candles
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.windows import TimeWindow, days_between
from deribit_pipeline.engine.agreement import Claim
from deribit_pipeline.engine.backfill import Backfill, reason_of
from deribit_pipeline.engine.believing import Unproved, pages_of
from deribit_pipeline.engine.day_writes import invalidate
from deribit_pipeline.engine.jobs import Days, Job
from deribit_pipeline.engine.proved_days import DayWriter
from deribit_pipeline.engine.writing import OnWritten, Writer
from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitError,
    DeribitPipelineError,
    DeribitRejected,
)
from deribit_pipeline.exchange import codes
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.listings import listings, warn_of_clock
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

# Fetched days that may wait for the writer, 80 kB each at one minute: a second's work for it.
_MOST_WAITING = 400

_ALL = ""  # in place of an instrument's name: everything

# How often days are made again because a listing changed while they were.
_MOST_LISTINGS = 3


class CandlesBackfill(Backfill):
    """One backfill of a resolution: workers fetch and cut into days, one writer proves and writes.

    Requests are planned across its jobs.
    """

    def __init__(
        self,
        exchange: Exchange,
        warehouse: Warehouse,
        dataset: Dataset,
        jobs: Sequence[Job],
        *,
        force: bool = False,
        on_written: OnWritten = lambda job, proofs: None,
    ) -> None:
        super().__init__(exchange, warehouse, dataset, jobs, force=force, on_written=on_written)
        assert dataset.resolution is not None, "candles have one"
        self._resolution = dataset.resolution
        self._instruments: dict[str, Instrument] = {}
        self._assemblies: dict[str, Assembly] = {}
        self._stopped_by: dict[str, DeribitError] = {}
        self._checks = CrossChecks()

    async def _make(self, days: Days) -> None:
        self._instruments, as_of = await listings(self._exchange, self._warehouse, days)
        warn_of_clock(as_of)
        try:
            # What rests on a listing rests on two answers, of which one comes in the end.
            for _ in range(_MOST_LISTINGS):
                if not await self._listed_otherwise(days):
                    break
            for _ in range(_MOST_LISTINGS):
                await self._make_as_listed(days, as_of)
                days = await self._listed_otherwise(days)
                if not days:
                    return
                await asyncio.to_thread(self._invalidate, days)
            self._fail_days(days, "the exchange's listing of the instrument keeps changing")
        except (DeribitPipelineError, BaseExceptionGroup) as raised:
            self._end(raised)

    async def _make_as_listed(self, days: Days, as_of: datetime) -> None:
        self._assemblies = {
            name: Assembly(self._instruments[name], self._resolution, some)
            for name, some in days.items()
        }
        writer = Writer(
            self._warehouse,
            DayWriter(self._dataset, self._provenance, lambda: self._client.rpc.as_of),
            self._job_of,
            confirm=self._said_twice,
            on_written=self._on_written,
            most_waiting=_MOST_WAITING,
        )
        plan = await asyncio.to_thread(self._plan, days)
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.run())
            for name, assembly in self._assemblies.items():
                for day in assembly.unlisted:
                    await writer.put(unlisted_day(name, day, as_of))
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._client.rpc.concurrency):
                    workers.create_task(self._fetch(plan, writer))
            await writer.end()

    async def _listed_otherwise(self, days: Days) -> dict[str, list[date]]:
        """The days of which other candles are expected, as their instruments are listed now.

        Asked only where a listing leaves out candles of these days.
        """
        clipped = [
            name
            for name, some in days.items()
            if any(is_clipped(self._instruments[name], self._resolution, day) for day in some)
        ]
        if _ALL in self._stopped_by or not clipped:
            return {}
        try:
            listed, _ = await listings(self._exchange, self._warehouse, clipped)
        except DeribitError as error:
            logger.warning("Whether the listings still stand cannot be told: %s", error.summary)
            return {}
        former, self._instruments = self._instruments, self._instruments | listed
        changed = {
            name: [
                day
                for day in days[name]
                if wanted(former[name], self._resolution, day)
                != wanted(listed[name], self._resolution, day)
            ]
            for name in clipped
        }
        return {name: some for name, some in changed.items() if some}

    def _invalidate(self, days: Days) -> None:
        """The proofs of these days rest on a listing that no longer stands."""

        def change(connection: Connection) -> None:
            for name, some in days.items():
                invalidate(connection, self._dataset, name, some)

        self._warehouse.write(change, days)
        self._fail_days(days, "the exchange's listing of the instrument changed meanwhile")

    def _plan(self, days: Days) -> Iterator[tuple[Block, ChartRequest]]:
        """Every request, block by block. A block of one is held against what stands beside it."""
        step = self._resolution.duration
        planned = [
            block
            for name, some in days.items()
            for block in blocks_of(requests(self._instruments[name], self._resolution, some))
        ]
        alone = [block for block in planned if len(block.requests) == 1]
        if alone:
            with self._warehouse.reading() as connection:
                for block in alone:
                    start = block.requests[0].window.start
                    window = TimeWindow(start - step, start + step)
                    block.held = reads.candles(
                        connection, block.instrument_name, self._resolution, window
                    )
        return ((block, request) for block in planned for request in block.requests)

    async def _fetch(self, plan: Iterator[tuple[Block, ChartRequest]], writer: Writer) -> None:
        """Take one request after the other from the plan that all workers share; whoever brings
        the last answer of a block sees to what can be believed of it."""
        for block, request in plan:
            fetcher = self._fetcher(block.instrument_name)
            try:
                block.pieces.extend(await self._pieces(fetcher, request))
                block.awaited -= 1
                if block.awaited:
                    continue
                pieces = await block.believed(
                    fetcher, self._checks, each_twice=self._exchange.each_twice
                )
            finally:
                self._count(request, fetcher.requests)
            for piece in pieces:
                if isinstance(piece, Unproved):
                    if isinstance(piece.error, DeribitBadPayload):
                        logger.error("Not proved: %s", piece.error)
                    self._fail(block.instrument_name, piece)
                    continue
                for day in self._assemblies[block.instrument_name].add(piece):
                    await writer.put(day)

    async def _pieces(self, fetcher: ChartFetcher, request: ChartRequest) -> list[Page | Unproved]:
        name = request.instrument.instrument_name
        stopped_by = self._stop_of(name)
        if stopped_by is None:
            try:
                return await fetcher.pages(request)
            except DeribitError as error:
                self._stop(name, error)
                stopped_by = error
        return [Unproved(request.window, stopped_by)]

    def _fetcher(self, name: str) -> ChartFetcher:
        hosts = chart_hosts(self._exchange, self._instruments[name])
        return ChartFetcher(hosts, lambda: self._stop_of(name))

    def _stop_of(self, name: str) -> DeribitError | None:
        """Why nothing more is to be asked of the instrument, where that is so."""
        return self._stopped_by.get(name) or self._stopped_by.get(_ALL)

    def _stop(self, name: str, error: DeribitError) -> None:
        """Ask no more: of the instrument that is refused, or of anything where all would fail."""
        is_of_one = isinstance(error, DeribitRejected) and error.code not in codes.OF_THE_CALLER
        key = name if is_of_one else _ALL
        if key not in self._stopped_by:
            self._stopped_by[key] = error
            logger.error("Asking no more%s: %s", f" of {name}" if is_of_one else "", error.summary)

    async def _said_twice(self, day: FetchedDay) -> FetchedDay | None:
        """What two answers say alike of a day; where there are no two, the day has failed."""
        name = day.series
        window = wanted(self._instruments[name], self._resolution, day.day)
        assert window is not None, "a day that says something of candles has some"
        assert day.expected is not None, "candles are counted on their grid"
        came = Candles.of(day.rows)
        page = Page(window, day.expected, day.unclosed, came, Candles.none(), day.as_of)
        request = ChartRequest(self._instruments[name], self._resolution, window)
        fetcher = self._fetcher(name)
        pieces = await fetcher.agreed(request, [Claim(page)])
        if isinstance(pieces[0], Page):
            coarse = CoarseCandles([request])
            pieces = await self._checks.checked(fetcher, request, pieces[0], coarse)
        self._count(request, fetcher.requests)
        for piece in pieces:
            if isinstance(piece, Unproved):
                if not isinstance(piece.error, DeribitBadPayload):
                    self._stop(name, piece.error)
                self._fail_days({name: [day.day]}, reason_of(piece.error))
                return None
        again = fetched_day(name, day.day, joined(pages_of(pieces)))
        return replace(again, is_confirmed=True)

    def _count(self, request: ChartRequest, sent: int) -> None:
        """Requests reach across jobs: they count for the first one that needed them."""
        name = request.instrument.instrument_name
        for day in days_between(request.window.start.date(), request.window.end.date()):
            if (name, day) in self._job_of:
                self._job_of[name, day].outcome.requests += sent
                return

    def _fail(self, name: str, piece: Unproved) -> None:
        days = self._assemblies[name].days_in(piece.window)
        self._fail_days({name: days}, reason_of(piece.error))
