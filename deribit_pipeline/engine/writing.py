"""The writer of a backfill: proves fetched days and writes them, many days in a transaction."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from deribit_pipeline.domain.proofs import FetchedDay, Proof
from deribit_pipeline.domain.rows import count_of
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.outcome import Key
from deribit_pipeline.engine.proved_days import DayWriter, Written
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.warehouse.connections import within_memory
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

# DuckDB's commit and the closing of its file take 80 ms, for one day as for many: days are written
# together once there are this many of them, or this many rows (of 120 days at one minute), or once
# the first has waited this many seconds.
_WRITTEN_TOGETHER, _ROWS_TOGETHER, _GATHERING = 4_000, 170_000, 1.5

# How many fetched days may wait for the writer: 80 kB each at one minute, a million rows of a bulky
# dataset.
_MOST_WAITING, _MOST_BULKY_WAITING = 400, 1

# Seconds between attempts to interrupt a write: only a running statement can be interrupted.
_INTERRUPTING = 0.05

OnWritten = Callable[[Job, Sequence[Proof]], None]
"""Called with the days that were just written, by job, on the writing thread."""


Confirm = Callable[[FetchedDay], Awaitable[FetchedDay | None]]
"""Requests a day again; returns None if that failed, and was reported."""


class Writer:
    """Accepts fetched days in any order and writes each whole, as soon as it is proved.

    No single response replaces stored rows: `confirm` requests another first. The number of waiting
    days is bounded, whatever the range. If a day `is_bulky`, an interruption does not wait for it.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        days: DayWriter,
        job_of: Mapping[Key, Job],
        *,
        confirm: Confirm,
        on_written: OnWritten,
        is_bulky: bool,
    ) -> None:
        self._warehouse = warehouse
        self._days = days
        self._job_of = job_of
        self._confirm = confirm
        self._on_written = on_written
        self._is_bulky = is_bulky
        most_waiting = _MOST_BULKY_WAITING if is_bulky else _MOST_WAITING
        self._together = _MOST_BULKY_WAITING if is_bulky else _WRITTEN_TOGETHER
        self._connection: Connection | None = None
        self._began = time.monotonic()
        self._fetched: asyncio.Queue[FetchedDay | None] = asyncio.Queue(most_waiting)
        self._gathered: list[FetchedDay | None] = []

    async def put(self, day: FetchedDay) -> None:
        """Hand over a day; waits while too many others are queued."""
        await self._fetched.put(day)

    async def end(self) -> None:
        """Signal that no more days follow."""
        await self._fetched.put(None)

    async def run(self) -> None:
        """Write the queued days in one transaction, repeatedly until the end.

        When cancelled, it still writes the days that are queued, if that takes only a moment.
        """
        is_over = False
        try:
            while not is_over:
                is_over = await self._gather()
                unconfirmed = await self._write_gathered()
                confirmed = await asyncio.gather(*map(self._confirm, unconfirmed))
                self._gathered += [day for day in confirmed if day is not None]
                await self._write_gathered()
        except asyncio.CancelledError:
            while not (self._is_bulky or self._fetched.empty()):
                self._gathered.append(self._fetched.get_nowait())
            if not self._is_bulky:
                await self._write_gathered()
            raise

    async def _gather(self) -> bool:
        """Gather the days to write together; returns whether the end was reached.

        A commit is durable, so it costs the same for one day or many.
        """
        self._gathered.append(await self._fetched.get())
        rows = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GATHERING):
                while (newest := self._gathered[-1]) is not None:
                    rows += count_of(newest.rows)
                    if len(self._gathered) >= self._together or rows >= _ROWS_TOGETHER:
                        break
                    self._gathered.append(await self._fetched.get())
        return self._gathered[-1] is None

    async def _write_gathered(self) -> list[FetchedDay]:
        """Write the gathered days; those that must be confirmed first are deferred."""
        days = [day for day in self._gathered if day is not None]
        self._gathered = []
        if not days:
            return []
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, days))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await self._end(writing)
            raise

    async def _end(self, writing: asyncio.Future[list[FetchedDay]]) -> None:
        """Wait for the writing thread: it cannot be cancelled, and only one may write. Its current
        DuckDB statement can be interrupted and is rolled back: a bulky day takes seconds."""
        while self._is_bulky and not writing.done():
            if self._connection is not None:
                self._connection.interrupt()
            await asyncio.wait([writing], timeout=_INTERRUPTING)
        with contextlib.suppress(WarehouseError) if self._is_bulky else contextlib.nullcontext():
            await writing

    def _write(self, days: Sequence[FetchedDay]) -> list[FetchedDay]:
        together: dict[tuple[str, str], list[FetchedDay]] = {}
        for day in days:
            job = self._job_of[day.series, day.day]
            together.setdefault((job.run_id, day.series), []).append(day)

        def write(connection: Connection) -> list[tuple[FetchedDay, Written]]:
            self._connection = connection
            is_limited = self._is_bulky and isinstance(self._warehouse.location, Path)
            limit = within_memory(connection) if is_limited else contextlib.nullcontext()
            try:
                with limit:
                    return [
                        (some[0], self._days.write(connection, run_id, series, some))
                        for (run_id, series), some in together.items()
                    ]
            finally:
                self._connection = None

        written = self._warehouse.write(write, {day.series for day in days})
        for first, result in written:
            self._report(self._job_of[first.series, first.day], result)
        return [day for _, result in written for day in result.unconfirmed]

    def _report(self, job: Job, written: Written) -> None:
        """Count what is durable now."""
        outcome = job.outcome
        outcome.failures |= written.failures
        outcome.rows += written.rows
        outcome.recorded += written.recorded
        outcome.revised += written.revised
        for proof in written.proofs:
            key = (proof.series, proof.day)
            outcome.proofs[key] = proof
            outcome.failures.pop(key, None)
        outcome.seconds = time.monotonic() - self._began
        if written.proofs:
            self._on_written(job, written.proofs)
