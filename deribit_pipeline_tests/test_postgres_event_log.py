"""The batched event log in PostgreSQL says to the row what Dagster's own says."""

import multiprocessing
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import psycopg2
import pytest

from deribit_pipeline.defs import postgres as books
from deribit_pipeline_tests.deployment import read
from deribit_pipeline_tests.servers import Postgres
from deribit_pipeline_tests.test_event_log import QUERIES, candles, run_all, without_identity

TOGETHER = 4


def stock(url: str) -> dict[str, Any]:
    """What a `dagster.yaml` says of Dagster's own storage."""
    return {"storage": {"postgres": {"postgres_url": url}}}


def batched(url: str) -> dict[str, Any]:
    """What `deploy/dagster.yaml` says of the three, for this database."""
    storages = {name: part for name, part in read("dagster.yaml").items() if "_storage" in name}
    return {name: part | {"config": {"postgres_url": url}} for name, part in storages.items()}


def written(home: Path, url: str, overrides: dict[str, Any]) -> Iterator[list[tuple[Any, ...]]]:
    """What the tables hold after the runs, query by query."""
    run_all(home, overrides)
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        for query in QUERIES:
            cursor.execute(query)
            yield [tuple(without_identity(value) for value in row) for row in cursor.fetchall()]


def test_it_holds_the_rows_of_the_stock_storage(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "16")
    url = postgres.database()
    expected = list(written(tmp_path / "stock", url, stock(url)))
    url = postgres.database()
    assert list(written(tmp_path / "ours", url, batched(url))) == expected
    events = [row[0] for row in expected[0]]
    assert events.count("ASSET_MATERIALIZATION") == 42
    assert events.count("ASSET_MATERIALIZATION_PLANNED") == 45


class Counting(books.BatchedPostgresEventLogStorage):
    """Counts its connections: each is one transaction."""

    opened: ClassVar[int] = 0

    def _connect(self) -> Any:
        Counting.opened += 1
        return super()._connect()


def test_a_batch_is_one_transaction(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "16")
    monkeypatch.setattr(books, "BatchedPostgresEventLogStorage", Counting)
    tags = {
        "dagster/asset_partition_range_start": "A|2024-01-01",
        "dagster/asset_partition_range_end": "B|2024-01-20",
    }
    overrides = batched(database) | {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        Counting.opened = 0
        assert dg.materialize([candles], instance=instance, tags=tags).success
    # Forty planned and forty materialized events in batches of sixteen, and the run's own.
    assert 0 < Counting.opened < 40


def _open(home: str, url: str, start: Barrier) -> None:
    start.wait()
    overrides = batched(url) | {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(home, overrides=overrides) as instance:
        instance.get_runs()


def test_processes_that_open_an_empty_database_at_once_all_start(
    tmp_path: Path, database: str
) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(TOGETHER, timeout=60)
    homes = [tmp_path / str(number) for number in range(TOGETHER)]
    openers = []
    for home in homes:
        home.mkdir()
        openers.append(context.Process(target=_open, args=(str(home), database, start)))
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    assert [opener.exitcode for opener in openers] == [0] * TOGETHER
