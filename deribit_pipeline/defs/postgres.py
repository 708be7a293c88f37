"""Where Dagster keeps its books when several machines run it: PostgreSQL, events in batches.

The stock storage opens two connections for each planned event, one for each instrument-day of a
run: 24 ms, and 58 ms where nothing comes in batches. Written together they cost 2 ms. Nothing else
differs. It needs the extra `postgres`, and rests on private names of dagster 1.13.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dagster._core.events.log import EventLogEntry
from dagster._serdes import ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config

from deribit_pipeline.defs.event_log import divided, store_batch


class BatchedPostgresEventLogStorage(PostgresEventLogStorage):
    """The event log, in the stock storage's tables."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "BatchedPostgresEventLogStorage":
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
        )

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write events of one run's assets in one transaction."""
        together, alone = divided(events)
        if together:
            with self.index_transaction() as connection:
                store_batch(self, connection, together)
        super().store_event_batch(alone)
