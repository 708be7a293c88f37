"""The main job: make instrument-days complete. Fetches, proves and writes at the same time."""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime

from deribit_pipeline.deribit import codes
from deribit_pipeline.domain import Candles, DayProof, Resolution, TimeWindow, day_window
from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitError,
    DeribitPipelineError,
    DeribitRejected,
)
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.operations.fetch import ChartFetcher, Unproved
from deribit_pipeline.operations.jobs import Days, Job
from deribit_pipeline.operations.listings import listings, warn_of_clock
from deribit_pipeline.operations.outcome import Outcome, log_progress
from deribit_pipeline.planning.days import Assembly, FetchedDay, prove, unlisted_day
from deribit_pipeline.planning.requests import ChartRequest, requests
from deribit_pipeline.warehouse import reads
from deribit_pipeline.warehouse.file import Warehouse
from deribit_pipeline.warehouse.writes import Provenance, write_days

logger = logging.getLogger(__name__)

_ALL = ""  # in place of an instrument's name: everything

# Fetched days that may wait for the writer, 80 kB each at one minute: it bounds the memory
# whatever the range, and is a second's work for the writer.
_MOST_WAITING = 400

# DuckDB's commit and the closing of its file take 80 ms, for one day as for many: days are written
# together once there are so many, or the first has waited so many seconds.
_WRITTEN_TOGETHER, _GATHERING = 120, 1.5

OnWritten = Callable[[Job, Sequence[DayProof]], None]
"""Told of the days that were just written, by job, from the thread that writes."""


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
        self._began = time.monotonic()
        self._assemblies: dict[str, Assembly] = {}
        self._fetched: asyncio.Queue[FetchedDay | None] = asyncio.Queue(_MOST_WAITING)
        self._gathered: list[FetchedDay | None] = []
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

    async def _make(self, days: Mapping[str, Sequence[date]]) -> None:
        instruments, as_of = await listings(self._client, days)
        warn_of_clock(as_of)
        for name, instrument in instruments.items():
            self._assemblies[name] = Assembly(instrument, self._resolution, days[name])
        plan = itertools.chain.from_iterable(
            requests(instrument, self._resolution, days[name])
            for name, instrument in instruments.items()
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write_as_they_come())
                await self._hand_over_unlisted(as_of)
                async with asyncio.TaskGroup() as workers:
                    for _ in range(self._client.rpc.concurrency):
                        workers.create_task(self._fetch(plan))
                await self._fetched.put(None)
        except* DeribitPipelineError as several:
            self.fail_the_rest(str(_first(several)))

    async def _hand_over_unlisted(self, as_of: datetime) -> None:
        for name, assembly in self._assemblies.items():
            for day in assembly.unlisted:
                await self._fetched.put(unlisted_day(name, self._resolution, day, as_of))

    async def _fetch(self, plan: Iterator[ChartRequest]) -> None:
        """Take one request after the other from the plan that all workers share."""
        for request in plan:
            name = request.instrument.instrument_name
            stopped_by = self._stopped_by.get(name) or self._stopped_by.get(_ALL)
            if stopped_by is not None:
                self._fail(request, request.window, stopped_by)
                continue
            assembly, fetcher = self._assemblies[name], ChartFetcher(self._client)
            try:
                pieces = await fetcher.pages(request)
            except DeribitError as error:
                self._stop(name, error)
                self._fail(request, request.window, error)
                continue
            finally:
                self._count(request, assembly, fetcher.requests)
            for piece in pieces:
                if isinstance(piece, Unproved):
                    logger.error("Not proved: %s", piece.error)
                    self._fail(request, piece.window, piece.error)
                    continue
                for day in assembly.add(piece):
                    await self._fetched.put(day)

    def _stop(self, name: str, error: DeribitError) -> None:
        """Ask no more: of the instrument that is refused, or of anything where all would fail."""
        is_of_one = isinstance(error, DeribitRejected) and error.code not in codes.OF_THE_CALLER
        key = name if is_of_one else _ALL
        if key not in self._stopped_by:
            self._stopped_by[key] = error
            logger.error("Asking no more%s: %s", f" of {name}" if is_of_one else "", error.summary)

    def _count(self, request: ChartRequest, assembly: Assembly, sent: int) -> None:
        """Requests reach across jobs: they count for the first one that needed them."""
        for day in assembly.days_in(request.window):
            self._job_of[request.instrument.instrument_name, day].outcome.requests += sent
            return

    def _fail(self, request: ChartRequest, window: TimeWindow, error: DeribitError) -> None:
        name = request.instrument.instrument_name
        for day in self._assemblies[name].days_in(window):
            # Without what was asked, so that days that failed alike can be named together.
            is_odd = isinstance(error, DeribitBadPayload)
            reason = error.reason if is_odd else error.summary
            self._job_of[name, day].outcome.failures[name, day] = reason

    def fail_the_rest(self, reason: str) -> None:
        """Nothing more will be written: every day that is not proved has failed."""
        for key, job in self._job_of.items():
            if key not in job.outcome.proofs:
                job.outcome.failures.setdefault(key, reason)
        logger.warning("The backfill ends here: %s", reason)

    async def _write_as_they_come(self) -> None:
        """Write what has come in one transaction, again and again until the end."""
        is_over = False
        try:
            while not is_over:
                is_over = await self._gather()
                await self._write_gathered()
        except asyncio.CancelledError:
            # What has come whole is worth the moment that it takes to keep.
            while not self._fetched.empty():
                self._gathered.append(self._fetched.get_nowait())
            await self._write_gathered()
            raise

    async def _gather(self) -> bool:
        """Gather the days to write together; whether the end has come.

        A commit is durable, so it costs the same for one day or many.
        """
        self._gathered.append(await self._fetched.get())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GATHERING):
                while self._gathered[-1] is not None and len(self._gathered) < _WRITTEN_TOGETHER:
                    self._gathered.append(await self._fetched.get())
        return self._gathered[-1] is None

    async def _write_gathered(self) -> None:
        days = [day for day in self._gathered if day is not None]
        self._gathered = []
        if days:
            await asyncio.to_thread(self._write, days)

    def _write(self, days: Sequence[FetchedDay]) -> None:
        batches: dict[tuple[str, str], list[FetchedDay]] = {}
        for day in days:
            job = self._job_of[day.instrument_name, day.day]
            batches.setdefault((job.run_id, day.instrument_name), []).append(day)
        written: list[tuple[Job, list[DayProof]]] = []
        with self._warehouse.writing() as connection:
            for batch in batches.values():
                job = self._job_of[batch[0].instrument_name, batch[0].day]
                written.append((job, self._write_batch(connection, job, batch)))
        for job, proofs in written:
            if not proofs:
                continue
            for proof in proofs:
                job.outcome.proofs[proof.instrument_name, proof.day] = proof
                job.outcome.failures.pop((proof.instrument_name, proof.day), None)
            job.outcome.seconds = time.monotonic() - self._began
            self._on_written(job, proofs)

    def _write_batch(
        self, connection: reads.Connection, job: Job, days: Sequence[FetchedDay]
    ) -> list[DayProof]:
        """Prove and write days of one instrument and job, in the transaction that is open."""
        name = days[0].instrument_name
        wanted = {day.day for day in days}
        former = {
            proof.day: proof
            for proof in reads.proofs(
                connection,
                instrument_names=[name],
                resolution=self._resolution,
                first=min(wanted),
                last=max(wanted),
            )
            if proof.day in wanted
        }
        proved = []
        for day in days:
            known = former.get(day.day)
            held = Candles.none()
            if known is not None and known.received:
                held = reads.candles(connection, name, self._resolution, day_window(day.day))
            try:
                proved.append(prove(day, held, known))
            except DeribitBadPayload as error:
                job.outcome.failures[name, day.day] = error.reason
                continue
            job.outcome.candles += len(day.candles)
            job.outcome.revised += len(proved[-1].replaced)
        source = Provenance(self._warehouse.environment, self._exchange.source, job.run_id)
        write_days(connection, proved, former, source)
        return [day.proof for day in proved]


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


def _first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = several
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
