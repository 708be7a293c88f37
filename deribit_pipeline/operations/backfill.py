"""The main job: make instrument-days complete. Fetches, proves and writes at the same time."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime

from deribit_pipeline.deribit import codes
from deribit_pipeline.domain import (
    Candles,
    DayProof,
    Instrument,
    Resolution,
    TimeWindow,
    days_between,
)
from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitError,
    DeribitPipelineError,
    DeribitRejected,
)
from deribit_pipeline.operations.blocks import Block, blocks
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.operations.fetch import ChartFetcher, Unproved
from deribit_pipeline.operations.jobs import Days, Job
from deribit_pipeline.operations.listings import listings, warn_of_clock
from deribit_pipeline.operations.outcome import Outcome, log_progress
from deribit_pipeline.operations.writing import OnWritten, Writer
from deribit_pipeline.planning.agreement import Claim
from deribit_pipeline.planning.days import Assembly, FetchedDay, fetched_day, unlisted_day
from deribit_pipeline.planning.pages import Page
from deribit_pipeline.planning.requests import ChartRequest, wanted
from deribit_pipeline.warehouse import reads
from deribit_pipeline.warehouse.file import Warehouse

logger = logging.getLogger(__name__)

_ALL = ""  # in place of an instrument's name: everything

# How often days are made again because a listing changed while they were.
_MOST_LISTINGS = 3


class Backfill:
    """One backfill: workers fetch and cut into days, one writer proves and writes.

    Requests are planned across its jobs, which only say under which run a day is written and
    counted. A day is written whole as soon as it is proved; what fails leaves the other days
    standing and is named in its job's outcome. Days already settled are not asked for again unless
    `force` says so.
    """

    def __init__(
        self,
        exchange: Exchange,
        warehouse: Warehouse,
        resolution: Resolution,
        jobs: Sequence[Job],
        *,
        force: bool = False,
        on_written: OnWritten = lambda job, proofs: None,
    ) -> None:
        self._exchange = exchange
        self._client = exchange.client
        self._warehouse = warehouse
        self._resolution = resolution
        self._jobs = jobs
        self._force = force
        self._on_written = on_written
        self._job_of = {key: job for job in jobs for key in job.instrument_days()}
        self._instruments: dict[str, Instrument] = {}
        self._assemblies: dict[str, Assembly] = {}
        self._stopped_by: dict[str, DeribitError] = {}

    def run(self) -> None:
        """Make the days complete, as far as the exchange lets them be.

        Raises UnknownInstrument before anything is written, and DeribitError where not even the
        listing is to be had. A warehouse that fails ends the backfill with its days failed.
        """
        days = self._unsettled()
        if days:
            self._exchange.run(self._make(days))

    def _unsettled(self) -> dict[str, list[date]]:
        keys = set(self._job_of)
        if not self._force:
            asked: dict[str, list[date]] = {}
            for name, day in keys:
                asked.setdefault(name, []).append(day)
            with self._warehouse.reading() as connection:
                settled = settled_days(connection, self._resolution, asked)
            for proof in settled:
                key = (proof.instrument_name, proof.day)
                self._job_of[key].outcome.proofs[key] = proof
                keys.discard(key)
        days: dict[str, list[date]] = {}
        for name, day in sorted(keys):
            days.setdefault(name, []).append(day)
        # In the order of the jobs, so that the first of them ends first.
        order = {name: None for job in self._jobs for name in job.days if name in days}
        return {name: days[name] for name in order}

    async def _make(self, days: Days) -> None:
        self._instruments, as_of = await listings(self._client, days)
        warn_of_clock(as_of)
        try:
            for _ in range(_MOST_LISTINGS):
                await self._make_as_listed(days, as_of)
                if _ALL in self._stopped_by:
                    return
                days, as_of = await self._listed_otherwise(days)
                if not days:
                    return
            self._fail_days(days, "the exchange's listing of the instrument keeps changing")
        except (DeribitPipelineError, BaseExceptionGroup) as raised:
            error = _first(raised)
            if not isinstance(error, DeribitPipelineError):
                raise error from None
            self.fail_the_rest(str(error))

    async def _make_as_listed(self, days: Days, as_of: datetime) -> None:
        self._assemblies = {
            name: Assembly(self._instruments[name], self._resolution, some)
            for name, some in days.items()
        }
        writer = Writer(
            self._warehouse,
            self._resolution,
            self._exchange.source,
            self._job_of,
            confirm=self._confirmed,
            on_written=self._on_written,
        )
        plan = await asyncio.to_thread(self._plan, days)
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.run())
            for name, assembly in self._assemblies.items():
                for day in assembly.unlisted:
                    await writer.put(unlisted_day(name, self._resolution, day, as_of))
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._client.rpc.concurrency):
                    workers.create_task(self._fetch(plan, writer))
            await writer.end()

    async def _listed_otherwise(self, days: Days) -> tuple[Days, datetime]:
        """The days of which other candles are expected, as the instruments are listed now.

        Their proofs so far do not count.
        """
        former = self._instruments
        try:
            self._instruments, as_of = await listings(self._client, days)
        except DeribitError as error:
            logger.warning("Whether the listings stand cannot be told: %s", error.summary)
            return {}, datetime.min
        changed = {
            name: [
                day
                for day in some
                if wanted(former[name], self._resolution, day)
                != wanted(self._instruments[name], self._resolution, day)
            ]
            for name, some in days.items()
            if former[name] != self._instruments[name]
        }
        self._fail_days(changed, "the exchange's listing of the instrument changed meanwhile")
        return {name: some for name, some in changed.items() if some}, as_of

    def _plan(self, days: Days) -> Iterator[tuple[Block, ChartRequest]]:
        """Every request, block by block. A block of one is held against what stands beside it."""
        step = self._resolution.duration
        planned = [
            block
            for name, some in days.items()
            for block in blocks(self._instruments[name], self._resolution, some)
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
            fetcher = ChartFetcher(self._client)
            try:
                block.pieces += await self._pieces(fetcher, request)
                block.awaited -= 1
                if block.awaited:
                    continue
                pieces = await block.believed(fetcher)
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
        stopped_by = self._stopped_by.get(name) or self._stopped_by.get(_ALL)
        if stopped_by is None:
            try:
                return await fetcher.pages(request)
            except DeribitError as error:
                self._stop(name, error)
                stopped_by = error
        return [Unproved(request.window, stopped_by)]

    def _stop(self, name: str, error: DeribitError) -> None:
        """Ask no more: of the instrument that is refused, or of anything where all would fail."""
        is_of_one = isinstance(error, DeribitRejected) and error.code not in codes.OF_THE_CALLER
        key = name if is_of_one else _ALL
        if key not in self._stopped_by:
            self._stopped_by[key] = error
            logger.error("Asking no more%s: %s", f" of {name}" if is_of_one else "", error.summary)

    async def _confirmed(self, day: FetchedDay) -> FetchedDay | None:
        """What two answers say alike of a day; None where there are no two."""
        instrument = self._instruments[day.instrument_name]
        window = wanted(instrument, self._resolution, day.day)
        assert window is not None, "a day that says something of candles has some"
        page = Page(window, day.expected, day.unclosed, day.candles, Candles.none(), day.as_of)
        claim = Claim(ChartRequest(instrument, self._resolution, window), page)
        fetcher = ChartFetcher(self._client)
        [piece] = await fetcher.agreed([claim])
        self._count(claim.request, fetcher.requests)
        if isinstance(piece, Unproved):
            return None
        again = fetched_day(day.instrument_name, self._resolution, day.day, piece)
        return replace(again, is_confirmed=True)

    def _count(self, request: ChartRequest, sent: int) -> None:
        """Requests reach across jobs: they count for the first one that needed them."""
        name = request.instrument.instrument_name
        for day in days_between(request.window.start.date(), request.window.end.date()):
            if (name, day) in self._job_of:
                self._job_of[name, day].outcome.requests += sent
                return

    def _fail(self, name: str, piece: Unproved) -> None:
        # Without what was asked, so that days that failed alike can be named together.
        is_odd = isinstance(piece.error, DeribitBadPayload)
        reason = piece.error.reason if is_odd else piece.error.summary
        self._fail_days({name: self._assemblies[name].days_in(piece.window)}, reason)

    def _fail_days(self, days: Days, reason: str) -> None:
        for name, some in days.items():
            for day in some:
                outcome = self._job_of[name, day].outcome
                outcome.proofs.pop((name, day), None)
                outcome.failures[name, day] = reason

    def fail_the_rest(self, reason: str) -> None:
        """Nothing more will be written: every day that is not proved has failed."""
        for key, job in self._job_of.items():
            if key not in job.outcome.proofs:
                job.outcome.failures.setdefault(key, reason)
        logger.warning("The backfill ends here: %s", reason)


class ForegroundBackfill:
    """Makes the days of one job complete, here and now."""

    def __init__(self, exchange: Exchange, warehouse: Warehouse) -> None:
        self._exchange = exchange
        self._warehouse = warehouse

    def backfill(self, resolution: Resolution, job: Job, *, force: bool = False) -> Outcome:
        """The job's outcome, once every day of it is settled or failed; as `Backfill.run`."""

        def log(job: Job, proofs: Sequence[DayProof]) -> None:
            log_progress(proofs, resolution, job.outcome)

        Backfill(
            self._exchange, self._warehouse, resolution, [job], force=force, on_written=log
        ).run()
        return job.outcome


def settled_days(
    connection: reads.Connection, resolution: Resolution, days: Days
) -> list[DayProof]:
    """The proofs of those days about which nothing more need be asked."""
    wanted = {(name, day) for name, some in days.items() for day in some}
    if not wanted:
        return []
    proofs = reads.proofs(
        connection,
        instrument_names=list(days),
        resolution=resolution,
        first=min(day for _, day in wanted),
        last=max(day for _, day in wanted),
    )
    return [p for p in proofs if p.is_settled and (p.instrument_name, p.day) in wanted]


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
