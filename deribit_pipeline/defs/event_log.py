"""Dagster's event log, which stores the events of many partitions at once.

The stock storage builds, logs and writes one planned and one materialization event for each
instrument-day, each with connections and fsyncs of its own: 25 to 43 ms a day. Here, the planned
events of a run are made from a single one, and all events of its days are stored together, in one
transaction. The rows are the same, and a test compares them with the stock storage's. It relies on
private names of dagster 1.13, which pyproject.toml therefore pins.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy.engine import Connection

from deribit_pipeline.defs.event_rows import OF_PARTITIONS, Row, rows_of, tags_of
from deribit_pipeline.defs.liveness import note_process


class BulkEventLogStorage(SqlEventLogStorage):
    """An event log in SQL, in the stock storage's tables."""

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """So that Dagster hands over one planned event for all partitions of a run. Stored as one
        for each, they are what the UI needs to show the partitions of a failed run."""
        return True

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event as the stock storage does, but a planned one for each of its partitions.
        A starting run is tagged with its process."""
        if _subset(event) is not None:
            self.store_event_batch([event])
            return
        super().store_event(event)
        note_process(self._instance, event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events of one run's assets together: in the log of the run, if it has one of
        its own, and then in the tables that the UI reads, each in one transaction. All others,
        such as those of checks, are stored one by one."""
        together, alone = _divided([one for event in events for one in _by_partition(event)])
        if together:
            rows = list(rows_of(self, together))
            if self.is_run_sharded:
                with self.run_connection(together[0].run_id) as connection:
                    connection.execute(SqlEventLogStorageTable.insert(), rows)
            with self.index_transaction() as connection:
                self._store_together(connection, together, rows)
        for event in alone:
            self.store_event(event)

    def _store_together(
        self, connection: Connection, events: Sequence[EventLogEntry], rows: Sequence[Row]
    ) -> None:
        insert = SqlEventLogStorageTable.insert().returning(SqlEventLogStorageTable.c.id)
        # Ids ascend in the order of the rows. SQLAlchemy can sort them too, and takes as long for
        # that as for the rest.
        ids = sorted(connection.execute(insert, rows).scalars())
        stored = list(zip(events, ids, strict=True))
        if tagged := [each for each in stored if tags_of(each[0])]:
            self._store_asset_event_tags(connection, *zip(*tagged, strict=True))
        # Each event overwrites the previous state of its asset, so the last one is enough.
        newest = {row["asset_key"]: each for row, each in zip(rows, stored, strict=True)}
        for event, event_id in newest.values():
            self._store_asset_event(connection, event, event_id)


class BulkSqliteEventLogStorage(BulkEventLogStorage, SqliteEventLogStorage):
    """The event log in SQLite, in the stock storage's files: one for each run, and the index."""


def _divided(
    events: Sequence[EventLogEntry],
) -> tuple[list[EventLogEntry], list[EventLogEntry]]:
    """Split events into those of one run's assets, which can be stored together, and all
    others."""
    if len({event.run_id for event in events}) != 1:
        return [], list(events)
    together = [event for event in events if event.dagster_event_type in OF_PARTITIONS]
    return together, [event for event in events if event.dagster_event_type not in OF_PARTITIONS]


def _by_partition(event: EventLogEntry) -> Iterator[EventLogEntry]:
    """The event itself; of one that is planned for a subset of partitions, one for each."""
    subset = _subset(event)
    if subset is None:
        yield event
        return
    dagster_event = event.get_dagster_event()
    asset = dagster_event.asset_materialization_planned_data.asset_key
    for key in subset.get_partition_keys():
        data = AssetMaterializationPlannedData(asset, partition=key)
        yield event._replace(dagster_event=dagster_event._replace(event_specific_data=data))


def _subset(event: EventLogEntry) -> Any:
    """The partitions of a planned event that is for several; None for any other event."""
    dagster_event = event.dagster_event
    if dagster_event is None or not dagster_event.is_asset_materialization_planned:
        return None
    return dagster_event.asset_materialization_planned_data.partitions_subset
