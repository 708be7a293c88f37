"""The writer of a backfill: proves what was fetched and writes it, many days in a transaction."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from deribit_pipeline.domain import Candles, DayProof, Resolution, day_window
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
"""Asks the exchange about a day again; None where no two of its answers agree."""


class Writer:
    """Takes fetched days in any order and writes each whole, as soon as it is proved.

    What the exchange says of a closed candle is not exchanged for something else on the word of
    one answer: `confirm` asks for another first.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        resolution: Resolution,
        source: str,
        job_of: Mapping[Key, Job],
        *,
        confirm: Confirm,
        on_written: OnWritten,
    ) -> None:
        self._warehouse = warehouse
        self._resolution = resolution
        self._source = source
        self._job_of = job_of
        self._confirm = confirm
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
                for day in await self._write_gathered():
                    await self._settle(day)
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

    async def _settle(self, day: FetchedDay) -> None:
        """Have a day confirmed that says something else than what is held."""
        confirmed = await self._confirm(day)
        if confirmed is not None:
            self._gathered.append(confirmed)
            return
        job, key = self._job_of[day.instrument_name, day.day], (day.instrument_name, day.day)
        job.outcome.failures[key] = "answers contradict each other about candles that are held"

    async def _write_gathered(self) -> list[FetchedDay]:
        """Write what was gathered; the days that must be confirmed first are left."""
        days = [day for day in self._gathered if day is not None]
        self._gathered = []
        return await asyncio.to_thread(self._write, days) if days else []

    def _write(self, days: Sequence[FetchedDay]) -> list[FetchedDay]:
        batches: dict[tuple[str, str], list[FetchedDay]] = {}
        for day in days:
            job = self._job_of[day.instrument_name, day.day]
            batches.setdefault((job.run_id, day.instrument_name), []).append(day)
        written: list[tuple[Job, list[DayProof]]] = []
        doubted: list[FetchedDay] = []
        with self._warehouse.writing() as connection:
            for batch in batches.values():
                job = self._job_of[batch[0].instrument_name, batch[0].day]
                written.append((job, self._write_batch(connection, job, batch, doubted)))
        for job, proofs in written:
            if not proofs:
                continue
            for proof in proofs:
                job.outcome.proofs[proof.instrument_name, proof.day] = proof
                job.outcome.failures.pop((proof.instrument_name, proof.day), None)
            job.outcome.seconds = time.monotonic() - self._began
            self._on_written(job, proofs)
        return doubted

    def _write_batch(
        self,
        connection: reads.Connection,
        job: Job,
        days: Sequence[FetchedDay],
        doubted: list[FetchedDay],
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
                settled = prove(day, held, known)
            except DeribitBadPayload as error:
                job.outcome.failures[name, day.day] = error.reason
                continue
            if len(settled.replaced) and not day.is_confirmed:
                doubted.append(day)
                continue
            proved.append(settled)
            job.outcome.candles += len(day.candles)
            job.outcome.revised += len(settled.replaced)
        source = Provenance(self._warehouse.environment, self._source, job.run_id)
        write_days(connection, proved, former, source)
        return [day.proof for day in proved]
