"""One DuckDB of a process opens one file after another, and nothing is left of the former one."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest

from deribit_pipeline.processes import name_of
from deribit_pipeline.warehouse import attached_file as module
from deribit_pipeline.warehouse.attached_file import attached_file

Made = Callable[[str], str]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Creates a file with a table of one row, and returns its path."""

    def made(name: str) -> str:
        path = str(tmp_path / name)
        with attached_file(path, read_only=False) as connection:
            connection.execute("create table numbers as select 1 as n")
        return path

    return made


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[duckdb.DuckDBPyConnection]]:
    """The DuckDBs that are created from now on, when none is idle."""
    made: list[duckdb.DuckDBPyConnection] = []
    connect = duckdb.connect

    def noted() -> duckdb.DuckDBPyConnection:
        made.append(connect())
        return made[-1]

    monkeypatch.setattr(module, "_idle", [])
    monkeypatch.setattr(duckdb, "connect", noted)
    yield made
    for database in made:
        database.close()


def value(path: str, query: str = "select n from numbers") -> object:
    with attached_file(path, read_only=True) as connection:
        [(found,)] = connection.execute(query).fetchall()
    return found


def test_files_are_opened_by_one_duckdb_one_after_another(
    created: list[duckdb.DuckDBPyConnection], made: Made
) -> None:
    for name in ("a", "b", "c"):
        assert value(made(name)) == 1
    assert len(created) == 1


def test_files_that_are_open_together_do_not_see_each_other(
    created: list[duckdb.DuckDBPyConnection], made: Made
) -> None:
    others = "select database_name from duckdb_databases() where not internal order by all"
    paths = [made(name) for name in ("a", "b", "c")]
    with ExitStack() as stack:
        found = [
            stack.enter_context(attached_file(path, read_only=True)).execute(others).fetchall()
            for path in paths
        ]
        assert found == [[("memory",), ("warehouse",)]] * 3
    assert len(created) == 3


def test_a_file_is_closed_when_the_block_ends(made: Made, tmp_path: Path) -> None:
    path = made("a")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]  # and no write-ahead log
    with duckdb.connect(path) as another:  # nor a lock
        another.execute("update numbers set n = 2")
    assert value(path) == 2


def test_a_file_is_closed_after_an_error(
    created: list[duckdb.DuckDBPyConnection], made: Made
) -> None:
    path = made("a")
    with pytest.raises(duckdb.ConversionException), attached_file(path, read_only=False) as one:
        one.execute("select cast('x' as integer)")
    with duckdb.connect() as another:
        another.execute(f"attach '{path}' as a")
    assert value(path) == 1
    assert len(created) == 3  # the one with the error is not used again


def test_nothing_of_a_session_is_left_for_the_next(
    created: list[duckdb.DuckDBPyConnection], made: Made
) -> None:
    path = made("a")
    with attached_file(path, read_only=False) as connection:
        connection.execute("set TimeZone = 'Asia/Tokyo'")
        connection.execute("create temp table numbers as select 7 as n")
        connection.begin()
        connection.execute("update warehouse.numbers set n = 2")
    assert value(path) == 1
    assert value(path, "select current_setting('TimeZone')") != "Asia/Tokyo"
    assert len(created) == 1


@pytest.mark.usefixtures("created")
def test_a_file_that_is_read_is_not_written(made: Made) -> None:
    path = made("a")
    with (
        pytest.raises(duckdb.InvalidInputException, match="read-only"),
        attached_file(path, read_only=True) as connection,
    ):
        connection.execute("update numbers set n = 2")


@pytest.mark.usefixtures("created")
def test_what_exceeds_the_memory_goes_beside_the_file(made: Made) -> None:
    setting = "select current_setting('temp_directory')"
    for path in (made("a"), made("it's b")):
        assert re.fullmatch(re.escape(path) + r"\.\d+@\d*\.\d+\.tmp", value(path, setting))


def test_two_readers_of_a_file_put_what_exceeds_the_memory_into_different_folders(
    made: Made,
) -> None:
    path, setting = made("a"), "select current_setting('temp_directory')"
    with attached_file(path, read_only=True) as one, attached_file(path, read_only=True) as other:
        folders = {each.execute(setting).fetchone() for each in (one, other)}
    assert len(folders) == 2


@pytest.mark.parametrize(
    ("process", "days", "is_there"),
    [("{dead}", 2, False), ("{dead}", 0, True), ("{us}", 2, True), ("malformed", 2, True)],
)
def test_folders_of_killed_processes_are_removed_after_a_day(
    created: list[duckdb.DuckDBPyConnection], made: Made, process: str, days: int, is_there: bool
) -> None:
    path = made("a")
    name = process.format(dead=f"{os.getpid()}@1", us=name_of(os.getpid()))
    folder = Path(f"{path}.{name}.7.tmp")
    folder.mkdir()
    (folder / "rows").write_bytes(b"7")
    then = time.time() - days * 86_400 - 60
    os.utime(folder, (then, then))
    module._idle.clear()
    assert value(path) == 1
    assert len(created) == 2
    assert folder.exists() is is_there


def test_a_duckdb_whose_memory_was_exceeded_beside_one_file_is_not_used_for_another(
    created: list[duckdb.DuckDBPyConnection], made: Made
) -> None:
    path, other = made("a"), made("b")
    with attached_file(path, read_only=False) as connection:
        connection.execute("set memory_limit = '20MB'")
        connection.execute("create temp table large as select uuid() from range(2_000_000)")
        assert list(Path(path).parent.glob("a*.tmp"))
    assert str(value(other, "select current_setting('temp_directory')")).startswith(other)
    assert not list(Path(path).parent.glob("a*.tmp"))
    assert len(created) == 2


@pytest.mark.processes
def test_a_forked_process_opens_files_with_a_duckdb_of_its_own(made: Made) -> None:
    path = made("a")
    code = f"""
import multiprocessing, sys
from deribit_pipeline.processes import name_of
from deribit_pipeline.warehouse import attached_file as module
from deribit_pipeline.warehouse.attached_file import attached_file
from deribit_pipeline.warehouse.empty_warehouse import empty_warehouse

def read():
    assert not module._idle
    with attached_file({path!r}, read_only=True) as connection, empty_warehouse() as empty:
        assert connection.execute("select sum(n) from numbers").fetchall() == [(1,)]
        assert empty.execute("select count(*) from candles").fetchall() == [(0,)]

read()
child = multiprocessing.get_context("fork").Process(target=read)
child.start()
child.join()
sys.exit(child.exitcode)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
