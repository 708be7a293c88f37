"""A lake on object storage: days are written, proved, shown, copied and maintained as on a disk."""

from datetime import date
from pathlib import Path

import pytest

from deribit_pipeline.domain.location import Lake, Location, ObjectStorage
from deribit_pipeline.engine.backup_copy import back_up
from deribit_pipeline.lake.maintenance import maintain
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.lake_days import assert_each_is_held_once, day, hold, write
from deribit_pipeline_tests.helpers.pipeline import Pipeline
from deribit_pipeline_tests.helpers.processes import environment, script
from deribit_pipeline_tests.helpers.servers import ObjectStore
from deribit_pipeline_tests.helpers.written_warehouse import NAME

WEEK = date(2024, 1, 1), date(2024, 1, 7)


@pytest.fixture
def location(database: str, store: ObjectStore) -> Location:
    storage = ObjectStorage(store.endpoint, store.region, store.key_id, store.secret)
    return Lake(database, f"{store.prefix()}/", storage)


def objects(store: ObjectStore, location: Lake) -> int:
    """The number of candle files in the store."""
    prefix = location.data.removeprefix(f"s3://{store.bucket}/")
    return len(list((store.folder / prefix / "main" / "candles").rglob("*.parquet")))


def test_days_are_proved_shown_copied_and_maintained_on_object_storage(
    pipeline: Pipeline, warehouse: Warehouse, settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    assert not pipeline.backfill(WEEK[0], WEEK[0]).failures
    outcome = pipeline.backfill(*WEEK)
    assert (len(outcome.proofs), outcome.failures) == (7, {})
    assert isinstance(settings.warehouse, Lake)
    assert objects(store, settings.warehouse) > 0
    assert warehouse.size > 0
    assert_each_is_held_once(warehouse, 7)
    assert pipeline.backfill(*WEEK, force=True).failures == {}
    assert back_up(warehouse, tmp_path / "b.duckdb").days == 7
    [candles] = [each for each in maintain(warehouse) if each.table == "candles"]
    assert candles.after.files < candles.before.files
    assert_each_is_held_once(warehouse, 7)
    for command, output in (
        (["coverage"], "7 complete; 10,080 candles"),
        (["verify", "--against", "b.duckdb"], "7 days"),
    ):
        done = script(*command, env=environment(settings), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert output in done.stdout + done.stderr


def test_a_store_that_is_killed_in_the_middle_and_starts_again_loses_nothing(
    warehouse: Warehouse, store: ObjectStore
) -> None:
    hold(warehouse, day(0))
    attempts = []

    def change(connection: Connection) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            store.kill()
        else:
            store.start()
        write(connection, day(1))

    warehouse.write(change, {NAME})
    assert len(attempts) == 2
    assert_each_is_held_once(warehouse, 2)
