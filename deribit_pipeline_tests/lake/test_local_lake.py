"""A lake of one machine, its catalog in a SQLite file: readers and writers do not block each other,
and writers take turns."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deribit_pipeline import read
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import LOCAL_LAKE, LocalLake, location_of
from deribit_pipeline.engine.backup_copy import back_up
from deribit_pipeline.engine.comparison import compare
from deribit_pipeline.engine.migration import migrate
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.errors import LakeAway, SettingsError, WarehouseError, WarehouseUnusable
from deribit_pipeline.exchange.rate_limiter import file_bucket
from deribit_pipeline.lake import maintenance
from deribit_pipeline.lake.attached import attachable, forget
from deribit_pipeline.lake.maintenance import maintain
from deribit_pipeline.opening import buckets_beside, warehouse_at
from deribit_pipeline.warehouse.schema import TABLES
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.lake_days import HELD, assert_each_is_held_once, day, hold
from deribit_pipeline_tests.helpers.processes import assert_all_succeed
from deribit_pipeline_tests.helpers.written_warehouse import FIRST, everything, rows

_WRITES = """
import sys
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


@pytest.mark.lake
def test_a_writer_who_waits_comes_before_one_who_comes_again(
    made: Warehouse, local_lake: LocalLake
) -> None:
    """A busy worker, which begins its next transaction at once, does not lock others out."""
    with started(WRITES_DAYS, local_lake, "A") as waiting:
        number = 1
        while waiting.poll() is None:
            hold(made, day(number % 300))
            number += 1
        assert waiting.returncode == 0
    assert number < 100


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
        read.candles("BTC-PERPETUAL", FIRST, FIRST + timedelta(days=3), warehouse=place)
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


def use(lake: LocalLake) -> None:
    warehouse_at(lake, Environment.SANDBOX, patience=0.0).check()
    hold(warehouse_at(lake, Environment.SANDBOX, patience=0.0), day(0))


def of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("create table theirs (a)")


@pytest.mark.parametrize(
    ("begin", "sentence"),
    [
        (of_another_program, "it is not the catalog of a lake, so set DERIBIT_WAREHOUSE to"),
        (lambda path: path.write_text("no database"), "it is not the catalog of a lake, so set"),
        (Path.touch, "it is not the catalog of a lake, so set DERIBIT_WAREHOUSE to another file"),
        (Path.mkdir, "it is a folder): set DERIBIT_WAREHOUSE to a file"),
        (os.mkfifo, "it is a named pipe): set DERIBIT_WAREHOUSE to a file"),
    ],
)
def test_a_file_that_is_no_catalog_stays_as_it_is(
    local_lake: LocalLake, begin: Callable[[Path], object], sentence: str
) -> None:
    path = Path(local_lake.catalog)
    begin(path)
    before = path.read_bytes() if path.is_file() else None
    for _ in range(2):
        with pytest.raises(WarehouseUnusable) as caught:
            use(local_lake)
        assert sentence in str(caught.value)
        assert str(caught.value).startswith(f"{local_lake} cannot be used (")
        assert "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("catalog", ["/proc/nowhere/lake.sqlite", "/dev/null/lake.sqlite"])
def test_a_catalog_that_cannot_be_made(local_lake: LocalLake, catalog: str) -> None:
    with pytest.raises(WarehouseUnusable, match="cannot be used"):
        use(replace(local_lake, catalog=catalog))


def changed(lake: LocalLake, statement: str) -> None:
    """Change the catalog in another process: closing a file drops the locks of this one on it."""
    code = (
        "import sqlite3, sys; theirs = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "theirs.execute(sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", code, lake.catalog, statement], check=True)
    forget()


@pytest.mark.lake
def test_a_catalog_of_another_version_or_damaged_or_removed_is_one_sentence(
    made: Warehouse, local_lake: LocalLake
) -> None:
    changed(local_lake, "update ducklake_metadata set value = '2.0' where key = 'version'")
    with pytest.raises(WarehouseUnusable, match=r"catalog version is 2\.0"):
        use(local_lake)
    changed(local_lake, "update ducklake_metadata set value = '1.0' where key = 'version'")
    assert_each_is_held_once(made, 1)
    os.truncate(local_lake.catalog, 9_000)
    forget()
    with pytest.raises(WarehouseUnusable, match="it is damaged, so put a backup of it and"):
        use(local_lake)
    Path(local_lake.catalog).unlink()
    with pytest.raises(WarehouseUnusable, match="it is not the catalog of a lake"):
        hold(made, day(1))


@contextmanager
def locked(lake: LocalLake) -> Iterator[None]:
    """Another program, which writes the catalog without the locks of this project."""
    code = (
        "import sqlite3, sys; theirs = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "theirs.execute('begin immediate'); print('locked', flush=True); input()"
    )
    command = [sys.executable, "-c", code, lake.catalog]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as theirs:
        assert theirs.stdout
        assert theirs.stdout.readline() == b"locked\n"
        yield
        theirs.kill()


@pytest.mark.lake
def test_another_program_that_writes_the_catalog_delays_a_writer_and_no_reader(
    made: Warehouse, local_lake: LocalLake
) -> None:
    impatient = warehouse_at(local_lake, Environment.SANDBOX, patience=0.0)
    with locked(local_lake):
        assert rows(made, HELD) == [(1_440, 1_440)]
        with pytest.raises(LakeAway, match="check that no other program locks it"):
            hold(impatient, day(1))
    hold(impatient, day(1))
    assert_each_is_held_once(made, 2)


@pytest.mark.parametrize("readonly", ["lake.sqlite", "."])
def test_who_may_only_read_the_catalog_is_refused_in_one_sentence(
    made: Warehouse, local_lake: LocalLake, monkeypatch: pytest.MonkeyPatch, readonly: str
) -> None:
    place = Path(local_lake.catalog).parent / readonly
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != place and access(path, mode))
    other = warehouse_at(local_lake, Environment.SANDBOX)
    with pytest.raises(WarehouseUnusable, match="let this user write the file and its folder, al"):
        rows(other, HELD)


def test_rows_of_an_account_are_for_this_user_only(local_lake: LocalLake) -> None:
    private = warehouse_at(local_lake, Environment.SANDBOX)
    private.keep_private()
    hold(private, day(0))
    private.keep_private()
    modes = [Path(each).stat().st_mode & 0o777 for each in (local_lake.catalog, local_lake.data)]
    assert modes == [0o600, 0o700]


def test_a_link_to_a_catalog_is_the_same_lake_with_the_same_locks(
    made: Warehouse, local_lake: LocalLake, tmp_path: Path
) -> None:
    (tmp_path / "link.sqlite").symlink_to(local_lake.catalog)
    linked = replace(local_lake, catalog=f"{tmp_path}/link.sqlite")
    through = warehouse_at(linked, Environment.SANDBOX, patience=0.0)
    assert made.is_same_as(through)
    with made.writing(), pytest.raises(WarehouseError, match="was held by other workers"):
        hold(through, day(1))


def test_its_writers_share_the_rate_limit_of_the_machine(local_lake: LocalLake) -> None:
    with buckets_beside(local_lake) as buckets:
        assert buckets is file_bucket


def test_its_files_are_beside_it_unless_they_are_named(tmp_path: Path) -> None:
    for data, place in (
        (None, f"{tmp_path}/data/x.sqlite.files/"),
        ("lake", f"{tmp_path}/lake/"),
        ("s3://bucket/x", "s3://bucket/x/"),
    ):
        lake = location_of(f"{LOCAL_LAKE}data/x.sqlite", data, {}, tmp_path)
        assert isinstance(lake, LocalLake)
        assert (lake.catalog, lake.data) == (f"{tmp_path}/data/x.sqlite", place)
        assert str(lake) == f"{LOCAL_LAKE}{tmp_path}/data/x.sqlite"


@pytest.mark.parametrize("catalog", ["", "postgresql://me:geheim@db/x", "host=db password=geheim"])
def test_a_connection_string_is_no_catalog_in_a_file(catalog: str) -> None:
    with pytest.raises(SettingsError, match="or in a file: ducklake:sqlite:…") as caught:
        location_of(LOCAL_LAKE + catalog, None, {})
    assert "geheim" not in str(caught.value)
