"""The backfill of every dataset but candles: its source fetches, one writer proves and writes."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import date

import numpy as np

from deribit_pipeline.domain.dataset import Dataset, Group
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.rows import Columns, differences, keys_of, some_of
from deribit_pipeline.engine.backfill import Backfill, reason_of
from deribit_pipeline.engine.day_writes import invalidate
from deribit_pipeline.engine.jobs import Days, Job
from deribit_pipeline.engine.proved_days import DayWriter
from deribit_pipeline.engine.source import FailedDays, source_of
from deribit_pipeline.engine.writing import OnWritten, Writer
from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitError,
    DeribitPipelineError,
    DeribitRejected,
    WrongEnvironment,
)
from deribit_pipeline.exchange import codes
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.listings import exchange_time, warn_of_clock
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

# Series that are fetched at the same time. The requests of each are in flight together too.
_SERIES_AT_ONCE = 8

# Fetched days that may wait for the writer: a day of a bulky dataset may have a million rows.
_MOST_WAITING, _MOST_BULKY_WAITING = 120, 1

# How often a day that changes what is held is asked for until two answers say the same.
_ROUNDS = 5


class RowsBackfill(Backfill):
    """One backfill of a dataset whose source brings its days."""

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
        self._source = source_of(dataset)
        self._stopped_by: DeribitError | None = None
        self._withdrawn: list[tuple[str, FailedDays]] = []
        self._counted = self._sent()

    async def _make(self, days: Days) -> None:
        if self._dataset.group is Group.ACCOUNT:
            self._warehouse.keep_private()
        if any(self._source.requests(name, sorted(some)) for name, some in days.items()):
            warn_of_clock(await exchange_time(self._client))
        writer = Writer(
            self._warehouse,
            DayWriter(self._dataset, self._provenance),
            self._job_of,
            confirm=self._said_twice,
            on_written=self._on_written,
            most_waiting=_MOST_BULKY_WAITING if self._dataset.is_bulky else _MOST_WAITING,
            is_bulky=self._dataset.is_bulky,
        )
        plan = iter(days.items())
        try:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(writer.run())
                    async with asyncio.TaskGroup() as workers:
                        for _ in range(1 if self._dataset.is_bulky else _SERIES_AT_ONCE):
                            workers.create_task(self._fetch(plan, writer))
                    await writer.end()
            finally:  # whatever ended it: nobody asks again for a day that stands as complete
                await asyncio.to_thread(self._withdraw)
        except (DeribitPipelineError, BaseExceptionGroup) as raised:
            self._end(raised)

    def _withdraw(self) -> None:
        """Take back what a source gave and found wrong afterwards, when it may stand written."""
        for series, piece in self._withdrawn:
            self._fail_days({series: piece.days}, reason_of(piece.error))

        def take_back(connection: Connection) -> None:
            for series, piece in self._withdrawn:
                invalidate(connection, self._dataset, series, piece.days)

        if self._withdrawn:
            self._warehouse.write(take_back, {series for series, _ in self._withdrawn})

    async def _fetch(self, plan: Iterator[tuple[str, Collection[date]]], writer: Writer) -> None:
        for series, days in plan:
            awaited = set(days)
            try:
                if self._stopped_by is not None:
                    raise self._stopped_by
                async with aclosing(self._fetched(series, sorted(awaited))) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, FailedDays):
                            if not awaited.issuperset(piece.days):
                                self._withdrawn.append((series, piece))
                            awaited -= set(piece.days)
                            logger.error("Not proved: %s", piece.error)
                            self._count(series, piece.days[0])
                            self._fail_days({series: piece.days}, reason_of(piece.error))
                            continue
                        awaited.discard(piece.day)
                        self._count(series, piece.day)
                        await writer.put(piece)
            except DeribitError as error:
                if self._stopped_by is None:
                    logger.error("Asking no more of %s: %s", series, error.summary)
                    self._stopped_by = None if _is_of_one(error) else error
                for day in sorted(awaited)[:1]:
                    self._count(series, day)
                self._fail_days({series: sorted(awaited)}, reason_of(error))
            else:
                assert not awaited, f"the source left {series} {sorted(awaited)} out"

    async def _said_twice(self, day: FetchedDay) -> FetchedDay | None:
        """What two answers say alike of a day; where there are no two, the day has failed."""
        heard = [day]
        try:
            for _ in range(_ROUNDS):
                async with aclosing(self._fetched(day.series, [day.day])) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, FailedDays):
                            raise piece.error
                        if any(_agree(self._dataset, piece.rows, former.rows) for former in heard):
                            return replace(piece, is_confirmed=True)
                        heard.append(piece)
        except DeribitError as error:
            reason = reason_of(error)
        else:
            reason = "answers contradict each other about its rows"
        finally:
            self._count(day.series, day.day)
        self._fail_days({day.series: [day.day]}, reason)
        return None

    def _fetched(
        self, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        return self._source.fetch(self._exchange, self._warehouse, series, days)

    def _count(self, series: str, day: date) -> None:
        """Requests reach across jobs: they count for the one whose day comes next."""
        sent = self._sent()
        self._job_of[series, day].outcome.requests += sent - self._counted
        self._counted = sent

    def _sent(self) -> int:
        clients = (self._exchange.client, self._exchange.history)
        return sum(client.rpc.requests.total() for client in clients if client is not None)


def _is_of_one(error: DeribitError) -> bool:
    """Whether the error is of one series: others may be had all the same."""
    if isinstance(error, DeribitBadPayload):
        return not isinstance(error, WrongEnvironment)
    return isinstance(error, DeribitRejected) and error.code not in codes.OF_THE_CALLER


def _agree(dataset: Dataset, one: Columns, other: Columns) -> bool:
    """Whether they say the same, but that either may have rows that the other has not: what was
    open before, or is no longer told."""
    keys, others = keys_of(dataset, one), keys_of(dataset, other)
    _, ours, theirs = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
    if len(ours) < min(len(keys), len(others)):
        return False
    return not differences(some_of(one, ours), some_of(other, theirs)).any()
