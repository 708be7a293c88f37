"""A lake of one machine, its catalog in a SQLite file: readers and writers do not block each other,
and writers take turns."""

import fcntl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event
from time import sleep

import pytest

from deribit_pipeline import read
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import LocalLake
from deribit_pipeline.engine.backup_copy import back_up
from deribit_pipeline.engine.comparison import compare
from deribit_pipeline.engine.migration import migrate
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.lake import maintenance
from deribit_pipeline.lake.attached import attachable
from deribit_pipeline.lake.maintenance import maintain
from deribit_pipeline.lake.sqlite_catalog import SqliteCatalog
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse.schema import TABLES
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.lake_days import HELD, assert_each_is_held_once, day, hold
from deribit_pipeline_tests.helpers.processes import assert_all_succeed
from deribit_pipeline_tests.helpers.written_warehouse import FIRST, everything, rows

_WRITES = """
import sys
sys.modules["psycopg2"] = None  # it is not needed
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import location_of
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline_tests.helpers.lake_days import day, hold, write

place, name = sys.argv[1:]
lake = warehouse_at(location_of(place, None, {}), Environment.SANDBOX)
"""

WRITES_DAYS = f"""{_WRITES}
for number in range(4):
    hold(lake, day(number, name))
"""

WAITS_BEFORE_ITS_COMMIT = f"""{_WRITES}
with lake.writing() as connection:
    write(connection, *(day(number, name) for number in range(20)))
    print("written", flush=True)
    input()
"""


REWRITES_DAYS = f"""{_WRITES}
from dataclasses import replace
from datetime import timedelta

for number in range(1, 1_000):
    returned = day(number % 3, name, price=1 / number)
    hold(lake, replace(returned, as_of=returned.as_of + timedelta(days=number)))
    print("held", flush=True)
"""


def started(code: str, lake: LocalLake, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, lake.address, name], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def made(local_lake: LocalLake) -> Warehouse:
    """An existing lake with one day."""
    warehouse = warehouse_at(local_lake, Environment.SANDBOX, patience=60.0)
    hold(warehouse, day(0))
    return warehouse


@pytest.mark.lake
def test_processes_write_series_at_once_and_a_reader_that_stays_connected_blocks_none(
    made: Warehouse, local_lake: LocalLake
) -> None:
    with attachable(local_lake) as notebook:
        notebook.execute(f"attach '{local_lake.address}' as lake (read_only)")
        notebook.execute("use lake")
        notebook.begin()
        assert notebook.execute(HELD).fetchall() == [(1_440, 1_440)]
        assert_all_succeed([started(WRITES_DAYS, local_lake, name) for name in ("A", "B")])
        assert notebook.execute(HELD).fetchall() == [(1_440, 1_440)]
        notebook.rollback()
        assert notebook.execute(HELD).fetchall() == [(9 * 1_440, 9 * 1_440)]
    assert_each_is_held_once(made, 9)


@pytest.mark.lake
def test_a_reader_is_not_blocked_by_a_writer_whose_death_leaves_no_lock_and_no_rows(
    made: Warehouse, local_lake: LocalLake
) -> None:
    with started(WAITS_BEFORE_ITS_COMMIT, local_lake, "A") as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "written\n"
        assert rows(made, HELD) == [(1_440, 1_440)]
        impatient = warehouse_at(local_lake, Environment.SANDBOX, patience=0.0)
        with pytest.raises(WarehouseError, match="was held by other workers for 0 s"):
            hold(impatient, day(1))
        writer.kill()
        writer.wait()
    hold(impatient, day(0, "A"))
    assert_each_is_held_once(made, 2)


@pytest.mark.torture
@pytest.mark.parametrize("wait", [0.0, 0.1, 0.2, 0.3, 0.5])
def test_a_writer_that_is_killed_at_any_moment_leaves_a_sound_lake(
    made: Warehouse, local_lake: LocalLake, wait: float
) -> None:
    with started(REWRITES_DAYS, local_lake, "A") as writer:
        assert writer.stdout
        for _ in range(4):
            assert writer.stdout.readline() == "held\n"
        sleep(wait)
        writer.kill()
    hold(warehouse_at(local_lake, Environment.SANDBOX, patience=0.0), day(1))
    assert_each_is_held_once(made, 5)


def is_locked(file: Path) -> bool:
    with file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_writer_who_waits_comes_before_a_busy_one_that_comes_again(
    local_lake: LocalLake,
) -> None:
    catalog = SqliteCatalog(local_lake, 60.0, Event())
    entered = []

    def work(name: str) -> None:
        with catalog.alone():
            entered.append(name)

    with ThreadPoolExecutor() as pool:
        with catalog.alone():
            waiting = pool.submit(work, "waiting")
            while not is_locked(Path(f"{local_lake.catalog}.gate")):
                assert not waiting.done()
                sleep(0.01)
        work("busy")
    assert entered == ["waiting", "busy"]


def test_a_writer_that_is_to_end_waits_no_longer(local_lake: LocalLake) -> None:
    given_up = Event()
    given_up.set()
    catalog = SqliteCatalog(local_lake, 60.0, Event())
    with (
        catalog.alone(),
        pytest.raises(WarehouseError, match="was held by other workers"),
        SqliteCatalog(local_lake, 60.0, given_up).beside(["A"]),
    ):
        pass


@pytest.mark.lake
def test_a_lake_is_made_by_one_of_those_who_begin_at_once(local_lake: LocalLake) -> None:
    assert_all_succeed([started(WRITES_DAYS, local_lake, name) for name in ("A", "B")])
    assert_each_is_held_once(warehouse_at(local_lake, Environment.SANDBOX), 8)


@pytest.mark.lake
def test_a_migration_to_it_and_back_a_backup_and_the_reader_give_the_same(
    local_lake: LocalLake, tmp_path: Path
) -> None:
    file, back = (
        warehouse_at(tmp_path / name, Environment.SANDBOX) for name in ("w.duckdb", "back.duckdb")
    )
    hold(file, *(day(number) for number in range(3)))
    lake = warehouse_at(local_lake, Environment.SANDBOX)
    for source, target in ((file, lake), (lake, back)):
        done = migrate(source, target)
        assert (done.is_proved, done.days) == (True, 3)
        assert everything(target) == everything(file)
    assert back_up(lake, tmp_path / "b.duckdb").days == 3
    assert verify(lake).findings == []
    assert compare(lake, file).differences == []
    frames = [
        read.candles("BTC-PERPETUAL", FIRST, FIRST + timedelta(days=2), warehouse=place)
        for place in (local_lake.address, tmp_path / "w.duckdb")
    ]
    assert len(frames[0]) == 3 * 1_440
    assert frames[0].equals(frames[1])


@pytest.mark.lake
def test_maintenance_of_a_local_lake_loses_nothing(
    made: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_candles = [table for table in TABLES if table.name.startswith("candle")]
    monkeypatch.setattr(maintenance, "TABLES", of_candles)
    monkeypatch.setattr(maintenance, "_GRACE", timedelta(0))
    for number in range(1, 4):
        hold(made, day(number))
    files = {each.table: (each.before.files, each.after.files) for each in maintain(made)}
    assert files["candles"] == (4, 1)
    assert_each_is_held_once(made, 4)
