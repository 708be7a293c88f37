"""Dagster's storage in PostgreSQL for several machines: safe to open concurrently, with the events
of many partitions stored at once.

The stock storages create their tables if missing, and fail if several processes do so at once. The
stock event log opens two connections for each planned event, one for each instrument-day of a run,
which takes 24 ms. It needs the extra `postgres`, and relies on private names of dagster 1.13.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from dagster._serdes import ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from dagster_postgres.utils import (
    create_pg_connection,
    create_pg_engine,
    get_token_provider_from_config,
    pg_url_from_config,
)
from sqlalchemy import text
from sqlalchemy.pool import NullPool

from deribit_pipeline.defs.event_log import BulkEventLogStorage

# One lock for the three storages: they share the table with their version. A transaction lock also
# ends if connections are pooled or the process dies.
_LOCK = text("select pg_advisory_xact_lock(hashtext('dagster'))")


class _OpenedInTurn:
    """A stock storage that one process at a time opens, and so creates."""

    def __init__(self, **arguments: Any) -> None:
        with _alone(arguments["postgres_url"], arguments["token_provider"]):
            super().__init__(**arguments)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
        )


@contextmanager
def _alone(url: str, token_provider: Any) -> Iterator[None]:
    engine = create_pg_engine(url, token_provider, poolclass=NullPool)
    with create_pg_connection(engine) as connection, connection.begin():
        connection.execute(_LOCK)
        yield


class SharedPostgresRunStorage(_OpenedInTurn, PostgresRunStorage):
    """Run storage, in the stock storage's tables."""


class SharedPostgresScheduleStorage(_OpenedInTurn, PostgresScheduleStorage):
    """Schedule storage, in the stock storage's tables."""


class SharedPostgresEventLogStorage(_OpenedInTurn, BulkEventLogStorage, PostgresEventLogStorage):
    """The event log, in the stock storage's tables."""
