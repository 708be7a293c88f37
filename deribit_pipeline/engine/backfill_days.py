"""The backfill of any dataset: its source fetches, one writer proves and writes."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from deribit_pipeline.domain.dataset import Dataset, Group
from deribit_pipeline.domain.proofs import FetchedDay, Proof, Provenance
from deribit_pipeline.engine.day_writes import invalidate
from deribit_pipeline.engine.failures import (
    INTERRUPTED,
    WRONG_INPUT,
    drop_what_is_gone,
    ending_of,
    note_failures,
    reason_of,
)
from deribit_pipeline.engine.incomplete import Known, known_of
from deribit_pipeline.engine.jobs import Days, Job
from deribit_pipeline.engine.outcome import Key, Outcome, added_up, log_progress
from deribit_pipeline.engine.previews import Previews
from deribit_pipeline.engine.proved_days import DayWriter
from deribit_pipeline.engine.relisted import listed_now
from deribit_pipeline.engine.source import Context, FailedDays, Pieces, Session, source_of
from deribit_pipeline.engine.writing import OnWritten, Writer
from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitError,
    DeribitPipelineError,
    LakeAway,
    WarehouseUnusable,
    first_of,
)
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

# How often days are fetched again because a listing changed meanwhile.
_MOST_LISTINGS = 3

Wrong = tuple[str, Sequence[date], str]
"""A series and fetched days of it that must not be stored, and why."""


def make_complete(
    exchange: Exchange,
    warehouse: Warehouse,
    dataset: Dataset,
    jobs: Sequence[Job],
    *,
    force: bool = False,
    known: Known | None = None,
    on_written: OnWritten = lambda job, proofs: None,
) -> Outcome:
    """Fetch, prove and store the days of these jobs, as far as the exchange's responses prove them.

    Settled days are not requested again, unless `force` is set; `known` is what the caller has just
    read of them. Returns the outcome of all jobs; each job has its own in its `outcome`, and a day
    is counted, and written, under the run of its job. A day is written whole as soon as it is
    proved: a failed day leaves the others unchanged, and is recorded in the warehouse until it is
    proved.

    Raises UnknownInstrument before anything is written, and DeribitError if not even the listing or
    the clock is available. If the warehouse fails, the backfill ends and its remaining days have
    failed; if it is replaced or removed meanwhile, raises WarehouseError.
    """
    backfill = _Backfill(exchange, warehouse, dataset, jobs, on_written)
    try:
        if days := backfill.unsettled(known, force=force):
            exchange.run(backfill.make(days))
        backfill.recount()
    except (*WRONG_INPUT, WarehouseUnusable):
        raise  # nothing was requested
    except BaseException as error:
        backfill.fail_the_rest(ending_of(error))
        raise
    finally:
        backfill.note_failures()
    return added_up([job.outcome for job in jobs])


@dataclass(frozen=True, slots=True)
class ForegroundBackfill:
    """Makes the days of one job at a time complete: the interface for Dagster's assets."""

    exchange: Exchange
    warehouse: Warehouse

    def backfill(self, dataset: Dataset, job: Job, *, force: bool = False) -> Outcome:
        """As `make_complete`, and log the progress."""

        def log(job: Job, proofs: Sequence[Proof]) -> None:
            log_progress(proofs, dataset, job.outcome)

        make_complete(self.exchange, self.warehouse, dataset, [job], force=force, on_written=log)
        return job.outcome

    def previews(self, dataset: Dataset, days: Days, outcome: Outcome) -> Previews:
        """See Source."""
        return source_of(dataset).previews(dataset, self.warehouse, days, outcome)


class _Backfill:
    """One backfill: workers fetch, one writer proves and writes."""

    def __init__(
        self,
        exchange: Exchange,
        warehouse: Warehouse,
        dataset: Dataset,
        jobs: Sequence[Job],
        on_written: OnWritten,
    ) -> None:
        self._exchange = exchange
        self._warehouse = warehouse.pinned()
        self._dataset = dataset
        self._source = source_of(dataset)
        self._jobs = jobs
        self._on_written = on_written
        self._job_of = {key: job for job in jobs for key in job.series_days()}
        self._context = Context(exchange, self._warehouse, dataset)
        self._delivered: set[Key] = set()
        self._withdrawn: list[Wrong] = []
        self._counted = self._sent()

    def unsettled(self, known: Known | None, *, force: bool) -> dict[str, list[date]]:
        """The days to fetch, in the order of the jobs, so that the first of them ends first."""
        required: dict[str, list[date]] = {}
        for name, day in sorted(self._job_of):
            required.setdefault(name, []).append(day)
        if known is None:
            known = Known() if force else known_of(self._warehouse, self._dataset, required)
            if known.on_listing:
                listing = listed_now(self._exchange, self._warehouse, known.on_listing)
                known = known.with_listings(self._exchange.run(listing))
        self._context = replace(self._context, listed=known.listed, is_forced=force)
        for key, proof in known.settled.items():
            if key in self._job_of:
                self._job_of[key].outcome.proofs[key] = proof
        left = known.unsettled(required)
        return {name: left[name] for job in self._jobs for name in job.days if name in left}

    async def make(self, days: Days) -> None:
        """Fetch, prove and write these days."""
        if self._dataset.group is Group.ACCOUNT:
            self._warehouse.keep_private()
        session = await self._source.open(self._context, days)
        requested = days
        try:
            for _ in range(_MOST_LISTINGS):
                await self._fetch_all(session, days)
                days = await session.relisted(days)
                if not days:
                    await session.end(requested)
                    for job in self._jobs:
                        job.outcome.figures = session.figures
                    return
                reason = "the exchange's listing of the instrument changed meanwhile"
                changed = [(name, list(some), reason) for name, some in days.items()]
                await asyncio.to_thread(self._invalidate, changed)
            self._fail_days(days, "the exchange's listing of the instrument keeps changing")
        except (DeribitPipelineError, BaseExceptionGroup) as raised:
            self._end(raised)

    async def _fetch_all(self, session: Session, days: Days) -> None:
        writer = Writer(
            self._warehouse,
            DayWriter(self._dataset, self._provenance, session.known_at),
            self._job_of,
            confirm=partial(self._confirmed, session),
            on_written=self._on_written,
            is_bulky=self._dataset.is_bulky,
        )
        plan = await session.plan(days)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(writer.run())
                async with asyncio.TaskGroup() as workers:
                    for _ in range(session.workers):
                        workers.create_task(self._fetch(plan, writer))
                await writer.end()
        finally:  # in any case: no settled day is requested again
            if self._withdrawn:
                await asyncio.to_thread(self._invalidate, self._withdrawn)
                self._withdrawn = []

    async def _fetch(self, plan: Iterator[tuple[str, Pieces]], writer: Writer) -> None:
        """Fetch one part after the other of the plan that all workers share."""
        for series, pieces in plan:
            async with aclosing(pieces):
                async for piece in pieces:
                    if isinstance(piece, FailedDays):
                        self._take_failed(series, piece)
                        continue
                    self._count(series, piece.day)
                    self._delivered.add((series, piece.day))
                    await writer.put(piece)

    def _take_failed(self, series: str, piece: FailedDays) -> None:
        if not piece.days:
            return
        if not self._delivered.isdisjoint((series, day) for day in piece.days):
            self._withdrawn.append((series, piece.days, reason_of(piece.error)))
        if piece.error is not self._context.stops.of(series):
            logger.error("Not proved: %s", piece.error)
        self._count(series, piece.days[0])
        self._fail_days({series: piece.days}, reason_of(piece.error))

    async def _confirmed(self, session: Session, day: FetchedDay) -> FetchedDay | None:
        """The day as two responses agree on it; None if no two do: the day has failed."""
        try:
            return await session.again(day)
        except DeribitError as error:
            if not isinstance(error, DeribitBadPayload):
                self._context.stops.add(day.series, error)
            self._fail_days({day.series: [day.day]}, reason_of(error))
            return None
        finally:
            self._count(day.series, day.day)

    def _invalidate(self, wrong: Sequence[Wrong]) -> None:
        """Invalidate what was fetched, and possibly written, for these days."""
        for series, days, reason in wrong:
            self._fail_days({series: days}, reason)
            self._delivered -= {(series, day) for day in days}

        def change(connection: Connection) -> None:
            for series, days, _ in wrong:
                invalidate(connection, self._dataset, series, days)

        self._warehouse.write(change, {series for series, *_ in wrong})

    def recount(self) -> None:
        """Recount the proved days in the warehouse as it is now: another process may have replaced
        the file or invalidated a proof. A lake that is unreachable at the moment holds everything
        that was committed."""
        try:
            with self._warehouse.reading() as connection:
                for job in self._jobs:
                    drop_what_is_gone(connection, self._dataset, job.outcome)
        except LakeAway as error:
            logger.warning("The proved days cannot be counted again: %s", error)

    def fail_the_rest(self, reason: str) -> None:
        """Nothing more will be written: every day that is not proved has failed."""
        for key, job in self._job_of.items():
            if key not in job.outcome.proofs:
                job.outcome.failures.setdefault(key, reason)
        logger.warning("Ending the backfill: %s", reason)

    def note_failures(self) -> None:
        """Record the days that failed, unless the process that ended the backfill is waiting for
        it."""
        failed = {
            key: (reason, job.run_id)
            for job in self._jobs
            for key, reason in job.outcome.failures.items()
            if reason != INTERRUPTED
        }
        if not failed and any(job.outcome.failures for job in self._jobs):
            return
        proved = {key for job in self._jobs for key in job.outcome.proofs}
        note_failures(self._warehouse, self._dataset, failed, proved)

    def _fail_days(self, days: Days, reason: str) -> None:
        for name, some in days.items():
            for day in some:
                outcome = self._job_of[name, day].outcome
                outcome.proofs.pop((name, day), None)
                outcome.failures[name, day] = reason

    def _end(self, raised: BaseException) -> None:
        """End with an error that this project raises deliberately; raise any other again."""
        error = first_of(raised) if isinstance(raised, BaseExceptionGroup) else raised
        if not isinstance(error, DeribitPipelineError):
            raise error from None
        self.fail_the_rest(str(error))

    def _provenance(self, run_id: str) -> Provenance:
        return Provenance(self._warehouse.environment, self._exchange.source, run_id)

    def _count(self, series: str, day: date) -> None:
        """Requests are shared by jobs: they count for the one whose day is returned next."""
        sent = self._sent()
        self._job_of[series, day].outcome.requests += sent - self._counted
        self._counted = sent

    def _sent(self) -> int:
        """How many of the counted requests were sent."""
        sent = Counter[str]()
        for client in (self._exchange.client, self._exchange.history):
            sent += client.rpc.requests if client is not None else Counter()
        return sent[self._source.counted_method] if self._source.counted_method else sent.total()
