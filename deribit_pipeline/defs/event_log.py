"""Dagster's events in batches: its SQLite event log, with a batch in one transaction.

The stock storage writes each event of a batch by itself, with connections and fsyncs of its own:
25 to 43 ms for each instrument-day, where the exchange's rate limit gives one every 14 ms. Written
together they cost 1 to 2 ms. Nothing else differs, and a test holds the rows against the stock
storage's. It rests on private names of dagster 1.13, which pyproject.toml therefore bounds.
"""

import os
import uuid
from collections.abc import Sequence

import dagster as dg
from dagster._core.events import (
    ASSET_EVENTS,
    BATCH_WRITABLE_EVENTS,
    DagsterEvent,
    DagsterEventBatchMetadata,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy.engine import Connection

from deribit_pipeline.defs.liveness import note_process

# Dagster hands events over in batches only where this says how large they may be.
os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "500")

_BATCHED = BATCH_WRITABLE_EVENTS & ASSET_EVENTS


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """The event log, in the stock storage's files."""

    def store_event(self, event: EventLogEntry) -> None:
        """Write an event as the stock storage does, and note the process of a run that starts."""
        super().store_event(event)
        note_process(self._instance, event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write events of one run's assets: to the run's file and to the index that the UI reads,
        in one transaction each."""
        together, alone = divided(events)
        if together:
            rows = [self._event_to_row(event) for event in together]
            with self.run_connection(together[0].run_id) as connection:
                connection.execute(SqlEventLogStorageTable.insert(), rows)
            with self.index_transaction() as connection:
                store_batch(self, connection, together)
        super().store_event_batch(alone)


def divided(
    events: Sequence[EventLogEntry],
) -> tuple[list[EventLogEntry], list[EventLogEntry]]:
    """The events of one run's assets, which can be written together, and all others: what a run
    plans comes in one batch, its checks behind its partitions."""
    if len({event.run_id for event in events}) != 1:
        return [], list(events)
    together = [event for event in events if event.dagster_event_type in _BATCHED]
    return together, [event for event in events if event.dagster_event_type not in _BATCHED]


def store_batch(
    storage: SqlEventLogStorage, connection: Connection, events: Sequence[EventLogEntry]
) -> None:
    """Write a batch to the tables that the UI reads, in the transaction that is open."""
    insert, rows = SqlEventLogStorageTable.insert(), [storage._event_to_row(e) for e in events]
    returning = insert.returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
    ids = [row.id for row in connection.execute(returning, rows)]
    storage._store_asset_event_tags(connection, events, ids)
    # Each overwrites what the former said of its asset, so the last one is enough.
    newest = {
        str(event.get_dagster_event().asset_key): (event, event_id)
        for event, event_id in zip(events, ids, strict=True)
    }
    for event, event_id in newest.values():
        storage._store_asset_event(connection, event, event_id)


def record(
    context: dg.AssetExecutionContext, materializations: Sequence[dg.AssetMaterialization]
) -> None:
    """Record materializations now and in batches, where `context.log_event` writes each alone."""
    step, batch = context.get_step_execution_context(), str(uuid.uuid4())
    for number, materialization in enumerate(materializations, 1):
        metadata = DagsterEventBatchMetadata(batch, is_end=number == len(materializations))
        DagsterEvent.asset_materialization(step, materialization, batch_metadata=metadata)
