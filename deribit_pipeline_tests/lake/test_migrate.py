"""A warehouse is copied from a file to a lake and back: completely, once, and verified."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake, ObjectStorage
from deribit_pipeline.engine import migration
from deribit_pipeline.engine.migration import migrate
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.migrated_warehouses import (
    file,
    full,
    lake,
    to,
    whole,
)
from deribit_pipeline_tests.helpers.processes import variables_of
from deribit_pipeline_tests.helpers.servers import ObjectStore, Postgres
from deribit_pipeline_tests.helpers.written_warehouse import (
    FIRST,
    everything,
    fetched,
    rows,
    write,
)

__all__ = ["file", "full", "lake", "to", "whole"]  # fixtures

# What ends the process in the middle of a transaction, and lets it have many.
_DIES = """
import os, sys
from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.engine import migration
from deribit_pipeline.engine import copies
nth, migration._MOST_ROWS, days = int(sys.argv[1]), 3_000, copies._Part.days

def counted(*arguments):
    global nth
    nth -= 1
    if not nth:
        os.kill(os.getpid(), 9)
    return days(*arguments)

copies._Part.days = counted
sys.exit(exit_code(sys.argv[2:]))
"""


def test_all_that_is_held_moves_to_a_lake_and_back(
    full: Warehouse, lake: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "_MOST_ROWS", 3_000)
    before = full.location.read_bytes()
    held = everything(full)
    there = migrate(full, lake)
    assert (there.is_proved, there.days, there.verified.days) == (True, there.held, there.held)
    assert everything(lake) == held
    assert verify(lake).findings == []
    again = migrate(full, lake)
    assert (again.is_proved, again.days, again.rows) == (True, 0, 0)
    assert everything(lake) == held
    back = warehouse_at(tmp_path / "back.duckdb", Environment.SANDBOX)
    assert migrate(lake, back).is_proved
    assert everything(back) == held
    assert full.location.read_bytes() == before


def test_a_lake_moves_to_another_in_an_object_store_and_into_a_file(
    file: Warehouse, lake: Warehouse, store: ObjectStore, postgres: Postgres, to: Warehouse
) -> None:
    assert migrate(file, lake).is_proved
    storage = ObjectStorage(store.endpoint, store.region, store.key_id, store.secret)
    place = Lake(postgres.database(), f"{store.prefix()}/", storage)
    other = warehouse_at(place, Environment.SANDBOX)
    assert migrate(lake, other).is_proved
    assert everything(other) == everything(file)
    assert migrate(other, to).is_proved


def test_the_history_of_a_lake_begins_when_the_migration_ends(
    file: Warehouse, lake: Warehouse
) -> None:
    migrate(file, lake)
    assert rows(lake, "select count(*) from lake.snapshots()") == [(1,)]
    [(begins,)] = rows(lake, "select min(snapshot_time) from lake.snapshots()")
    at_its_beginning = f"from candles at (timestamp => '{begins}') order by all"
    assert rows(lake, at_its_beginning) == rows(file, "from candles order by all")


def test_a_migration_that_is_killed_goes_on_and_nothing_is_twice(
    file: Warehouse, lake: Warehouse, tmp_path: Path
) -> None:
    place = lake.location
    assert isinstance(place, Lake)
    env = os.environ | variables_of(place) | {"DERIBIT_ENV": "sandbox"}
    migrating = [sys.executable, "-c", _DIES]
    arguments = ["migrate-warehouse", str(file.location)]
    days = []
    for number in (9, 8):  # of six in each piece
        killed = subprocess.run(
            [*migrating, str(number), *arguments], env=env, cwd=tmp_path, capture_output=True,
            check=False,
        )  # fmt: skip
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        days.append(verify(lake).days)
        assert verify(lake).findings == []
    assert days == [2, 4]
    done = subprocess.run(
        [*migrating, "-1", *arguments], env=env, cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert everything(lake) == everything(file)


@pytest.mark.parametrize("place", ["to", pytest.param("lake", marks=pytest.mark.lake)])
def test_what_has_come_since_is_brought_by_the_same_command(
    file: Warehouse, request: pytest.FixtureRequest, place: str
) -> None:
    to = request.getfixturevalue(place)
    migrate(file, to)
    later = datetime(2024, 5, 1, tzinfo=UTC)
    gap_requested_again = fetched(FIRST + timedelta(days=3), absent=(3, 4))
    write(
        file, replace(fetched(price=0.75), as_of=later), replace(gap_requested_again, as_of=later)
    )
    write(file, fetched(FIRST + timedelta(days=5)))
    brought = migrate(file, to)
    assert (brought.is_proved, brought.days) == (True, 3)
    assert everything(to) == everything(file)
