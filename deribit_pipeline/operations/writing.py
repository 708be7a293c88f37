"""The writer of a backfill: proves what was fetched and writes it, many days in a transaction."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from deribit_pipeline.domain import Candles, DayProof, ProvedDay, Resolution, day_window
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.operations.jobs import Job
from deribit_pipeline.operations.outcome import Key
from deribit_pipeline.planning.days import FetchedDay, prove
from deribit_pipeline.warehouse import reads
from deribit_pipeline.warehouse.file import Warehouse
from deribit_pipeline.warehouse.writes import Provenance, write_days

# Fetched days that may wait for the writer, 80 kB each at one minute: it bounds the memory
# whatever the range, and is a second's work for the writer.
_MOST_WAITING = 400

# DuckDB's commit and the closing of its file take 80 ms, for one day as for many: days are written
# together once there are so many, or the first has waited so many seconds.
_WRITTEN_TOGETHER, _GATHERING = 120, 1.5

OnWritten = Callable[[Job, Sequence[DayProof]], None]
"""Told of the days that were just written, by job, from the thread that writes."""

Confirm = Callable[[FetchedDay], Awaitable[FetchedDay | None]]
"""Asks the exchange about a day again; None where that failed, and was said."""


@dataclass(slots=True)
class _Batch:
    """Days of one instrument and job, and what became of them in a transaction."""

    job: Job
    days: list[FetchedDay] = field(default_factory=list)
    proved: list[ProvedDay] = field(default_factory=list)
    doubted: list[FetchedDay] = field(default_factory=list)
    failures: dict[Key, str] = field(default_factory=dict)
    candles: int = 0


class Writer:
    """Takes fetched days in any order and writes each whole, as soon as it is proved.

    What is held of a closed candle is not replaced on the word of one answer: `confirm` asks for
    another first. `clock` is the exchange's, in its newest answer.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        resolution: Resolution,
        source: str,
        job_of: Mapping[Key, Job],
        *,
        confirm: Confirm,
        clock: Callable[[], datetime | None],
        on_written: OnWritten,
    ) -> None:
        self._warehouse = warehouse
        self._resolution = resolution
        self._source = source
        self._job_of = job_of
        self._confirm = confirm
        self._clock = clock
        self._on_written = on_written
        self._began = time.monotonic()
        self._fetched: asyncio.Queue[FetchedDay | None] = asyncio.Queue(_MOST_WAITING)
        self._gathered: list[FetchedDay | None] = []

    async def put(self, day: FetchedDay) -> None:
        """Hand over a day; waits while too many others do."""
        await self._fetched.put(day)

    async def end(self) -> None:
        """Say that no more days come."""
        await self._fetched.put(None)

    async def run(self) -> None:
        """Write what has come in one transaction, again and again until the end.

        Cancelled, it still writes what has come whole: that is worth the moment it takes.
        """
        is_over = False
        try:
            while not is_over:
                is_over = await self._gather()
                doubted = await self._write_gathered()
                confirmed = await asyncio.gather(*map(self._confirm, doubted))
                self._gathered += [day for day in confirmed if day is not None]
                await self._write_gathered()
        except asyncio.CancelledError:
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

    async def _write_gathered(self) -> list[FetchedDay]:
        """Write what was gathered; the days that must be confirmed first are left."""
        days = [day for day in self._gathered if day is not None]
        self._gathered = []
        if not days:
            return []
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, days))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing  # a thread cannot be cancelled, and only one may write
            raise

    def _write(self, days: Sequence[FetchedDay]) -> list[FetchedDay]:
        batches: dict[tuple[str, str], _Batch] = {}
        for day in days:
            job = self._job_of[day.instrument_name, day.day]
            batches.setdefault((job.run_id, day.instrument_name), _Batch(job)).days.append(day)
        with self._warehouse.writing() as connection:
            for batch in batches.values():
                self._write_batch(connection, batch)
        for batch in batches.values():
            self._report(batch)
        return [day for batch in batches.values() for day in batch.doubted]

    def _report(self, batch: _Batch) -> None:
        """Count what is durable now."""
        outcome = batch.job.outcome
        outcome.failures |= batch.failures
        outcome.candles += batch.candles
        for day in batch.proved:
            key = (day.proof.instrument_name, day.proof.day)
            outcome.proofs[key] = day.proof
            outcome.failures.pop(key, None)
            outcome.revised += len(day.replaced)
        outcome.seconds = time.monotonic() - self._began
        if batch.proved:
            self._on_written(batch.job, [day.proof for day in batch.proved])

    def _write_batch(self, connection: reads.Connection, batch: _Batch) -> None:
        """Prove and write, in the transaction that is open."""
        name = batch.days[0].instrument_name
        wanted = {day.day for day in batch.days}
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
        for day in batch.days:
            known = former.get(day.day)
            held = Candles.none()
            if known is not None and known.received:
                held = reads.candles(connection, name, self._resolution, day_window(day.day))
            try:
                proved = prove(day, held, known)
            except DeribitBadPayload as error:
                batch.failures[name, day.day] = error.reason
                continue
            if len(proved.replaced) and not day.is_confirmed:
                batch.doubted.append(day)
            else:
                # Known only now: the first of the answers that a day was put together from may be
                # from before its last candles were over.
                known_at = max(day.as_of, self._clock() or day.as_of)
                batch.proved.append(replace(proved, as_of=known_at))
                batch.candles += len(day.candles)
        run_id = batch.job.run_id
        source = Provenance(self._warehouse.environment, self._source, run_id)
        write_days(connection, batch.proved, former, source)
