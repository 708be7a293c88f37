"""The event log in PostgreSQL has the same rows as Dagster's own."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import psycopg2
import pytest

from deribit_pipeline.defs import postgres_storage as books
from deribit_pipeline_tests.defs import test_partition_events
from deribit_pipeline_tests.defs.test_event_log import QUERIES, run_all, without_identity
from deribit_pipeline_tests.helpers.deployment import storage_in
from deribit_pipeline_tests.helpers.servers import Postgres


def stock(url: str) -> dict[str, Any]:
    """The section of a `dagster.yaml` for Dagster's stock storage."""
    return {"storage": {"postgres": {"postgres_url": url}}}


def written(home: Path, url: str, overrides: dict[str, Any]) -> Iterator[list[tuple[Any, ...]]]:
    """What the tables hold after the runs, query by query."""
    run_all(home, overrides)
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        for query in QUERIES:
            cursor.execute(query)
            yield [tuple(without_identity(value) for value in row) for row in cursor.fetchall()]


@pytest.mark.parametrize("together", ["0", "16"])
def test_it_holds_the_rows_of_the_stock_storage_in_postgres(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, together: str
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", together)  # of events that Dagster itself logs
    url = postgres.database()
    expected = list(written(tmp_path / "stock", url, stock(url)))
    url = postgres.database()
    assert list(written(tmp_path / "ours", url, storage_in(url))) == expected
    events = [row[0] for row in expected[0]]
    assert events.count("ASSET_MATERIALIZATION") == 42
    assert events.count("ASSET_MATERIALIZATION_PLANNED") == 45


class Counting(books.SharedPostgresEventLogStorage):
    """Counts its connections: each is one transaction."""

    opened: ClassVar[int] = 0

    def _connect(self) -> Any:
        Counting.opened += 1
        return super()._connect()


def test_a_run_of_many_days_has_as_many_transactions_in_postgres_as_one_of_a_day(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "SharedPostgresEventLogStorage", Counting)
    overrides = storage_in(database) | {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        opened = []
        for last in ("A|2024-01-02", "B|2024-01-20"):
            Counting.opened = 0
            assert test_partition_events.run(instance, last).success
            opened.append(Counting.opened)
    few, many = opened
    assert 0 < many <= few


def test_days_recorded_together_in_postgres_are_shown_as_days_logged_one_by_one(
    tmp_path: Path, postgres: Postgres
) -> None:
    each = test_partition_events.shown(tmp_path / "each", stock(postgres.database()), each="yes")
    ours = test_partition_events.shown(tmp_path / "ours", storage_in(postgres.database()))
    assert ours == each
