"""The SQLite file of a lake's catalog: what is wrong with it is one sentence, and no other file is
touched."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import LocalLake
from deribit_pipeline.errors import LakeAway, WarehouseError, WarehouseUnusable
from deribit_pipeline.exchange.rate_limiter import file_bucket
from deribit_pipeline.lake.attached import forget
from deribit_pipeline.opening import buckets_beside, warehouse_at
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.lake_days import HELD, assert_each_is_held_once, day, hold
from deribit_pipeline_tests.helpers.written_warehouse import rows


@pytest.fixture
def made(local_lake: LocalLake) -> Warehouse:
    """An existing lake with one day."""
    warehouse = warehouse_at(local_lake, Environment.SANDBOX, patience=60.0)
    hold(warehouse, day(0))
    return warehouse


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
