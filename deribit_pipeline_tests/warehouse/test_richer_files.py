"""Replacing a file or folder: never by something with less in it, never partially, never a
device or pipe."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.engine import copies, migration
from deribit_pipeline.engine.backup_copy import back_up
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.errors import InputError, WarehouseError
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline.warehouse.whole_files import whole_file, whole_folder
from deribit_pipeline_tests.helpers.command_line import Command, commands
from deribit_pipeline_tests.helpers.processes import name_warehouse
from deribit_pipeline_tests.helpers.written_warehouse import FIRST, NAME, fetched, write


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def filled(path: Path, *days: int, price: float = 1.0) -> Warehouse:
    made = warehouse_at(path, Environment.SANDBOX, patience=60)
    write(made, *(fetched(day(number), price=price) for number in days))
    return made


@pytest.fixture
def live(tmp_path: Path) -> Warehouse:
    return filled(tmp_path / "live.duckdb", *range(20))


@pytest.fixture
def old(tmp_path: Path) -> Warehouse:
    return filled(tmp_path / "old.duckdb", 0)


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command line on the warehouse old.duckdb."""
    name_warehouse(monkeypatch, tmp_path / "old.duckdb", tmp_path)
    return commands(capsys)


def test_a_backup_that_holds_more_is_replaced_only_on_request_and_kept(
    live: Warehouse, old: Warehouse, command: Command
) -> None:
    before = live.location.read_bytes()
    code, out, err = command("backup", "live.duckdb")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"live.duckdb holds what {old} does not: {NAME} 1m 2024-01-02 (complete) and 18" in err
    assert live.location.read_bytes() == before
    code, _, err = command("backup", "live.duckdb", "--replace")
    assert (code, verify(live).days) == (0, 1)
    assert err.endswith("/live.duckdb.former.\n")
    assert Path("live.duckdb.former").read_bytes() == before
    write(live, fetched(day(7)))
    assert command("backup", "live.duckdb", "--replace")[0] == 0
    assert verify(warehouse_at(Path("live.duckdb.former-2"), Environment.SANDBOX)).days == 2
    assert Path("live.duckdb.former").read_bytes() == before
    assert not list(Path().glob(".*"))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda there, here: write(here, fetched(day(1), absent=(3,))), id="gapped"),
        pytest.param(lambda there, here: write(here, fetched(day(2))), id="another day"),
        pytest.param(
            lambda there, here: write(there, fetched(day(1), price=2.0)) or write(here, fetched()),
            id="revised later",
        ),
    ],
)
def test_as_many_days_are_no_reason_to_replace_others(
    tmp_path: Path, change: Callable[[Warehouse, Warehouse], None]
) -> None:
    there, here = filled(tmp_path / "there.duckdb", 0, 1), filled(tmp_path / "here.duckdb", 0)
    change(there, here)
    with pytest.raises(InputError, match=r"holds what .* does not"):
        back_up(here, there.location)
    assert verify(there).days == 2


def test_a_backup_that_holds_no_more_is_replaced(live: Warehouse, tmp_path: Path) -> None:
    to = tmp_path / "backup.duckdb"
    assert back_up(live, to).days == 20
    write(live, fetched(day(20)), fetched(day(3), price=0.5))
    made = back_up(live, to, replace=True)
    assert (made.days, made.former) == (21, None)


def test_what_has_come_while_the_copy_was_made_is_seen(old: Warehouse, tmp_path: Path) -> None:
    to = tmp_path / "backup.duckdb"
    others: list[Warehouse] = []
    reading = old.reading

    @contextmanager
    def slow(**options: bool) -> Iterator[object]:
        with reading(**options) as connection:
            yield connection
        if not others:  # another process is done with its backup before this one takes its place
            others.append(filled(tmp_path / "theirs.duckdb", *range(5)))
            others[0].location.rename(to)

    old.reading = slow  # type: ignore[method-assign,assignment]
    with pytest.raises(InputError, match=r"holds what .* does not"):
        back_up(old, to)
    assert verify(warehouse_at(to, Environment.SANDBOX)).days == 5


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)  # a short name: the test's folder is the current one


def _link(path: Path) -> None:
    _fifo(path.with_name("target"))
    path.symlink_to("target")


EXPORT = ["export", "--instruments", NAME, "--start", "2024-01-01", "--end", "2024-01-01"]


@pytest.mark.parametrize("make", [_fifo, _socket, _link, Path.mkdir])
@pytest.mark.parametrize(
    "line",
    [
        ["backup", "here"],
        ["coverage", "--html", "here"],
        ["chart", "--instruments", NAME, "--html", "here"],
        [*EXPORT, "--format", "csv", "--to", "here"],
        ["verify", "--against", "here"],
    ],
    ids=lambda line: line[0],
)
def test_nothing_but_a_file_is_replaced_or_opened(
    old: Warehouse, command: Command, line: list[str], make: Callable[[Path], None]
) -> None:
    here = Path("here")
    make(here)
    before = here.lstat()
    if line[0] == "export" and here.is_dir():
        _fifo(here / "mine")  # an export may replace an empty folder
    code, out, err = command(*line)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert (here.lstat().st_mode, here.lstat().st_ino) == (before.st_mode, before.st_ino)
    assert not list(Path().glob(".*"))


def test_a_link_to_a_file_stays_and_its_file_is_replaced(old: Warehouse, command: Command) -> None:
    Path("real.html").write_text("<!DOCTYPE html>former")
    Path("here.html").symlink_to("real.html")
    assert command("coverage", "--html", "here.html")[0] == 0
    assert Path("here.html").is_symlink()
    assert NAME in Path("real.html").read_text()


def test_a_page_that_became_something_else_meanwhile_is_left_alone(tmp_path: Path) -> None:
    there = tmp_path / "page.html"
    there.write_text("a letter")

    @contextmanager
    def guard() -> Iterator[None]:
        raise InputError("it is no page")
        yield

    with pytest.raises(InputError), whole_file(there, replacing=True, guard=guard) as made:
        made.write_text("a page")
    assert there.read_text() == "a letter"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


KILLED = """
import os, sys, pathlib
from deribit_pipeline.warehouse.whole_files import whole_folder
rename = pathlib.Path.rename
def once(self, to):
    if pathlib.Path(to).name == "out":
        os._exit(9)
    return rename(self, to)
pathlib.Path.rename = once
with whole_folder(pathlib.Path(sys.argv[1])) as made:
    (made / "rows").write_text("new")
"""


def test_a_killed_export_and_a_failing_one_leave_the_former(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with whole_folder(out) as made:
        (made / "rows").write_text("former")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)
    assert (killed.returncode, out.exists()) == (9, False)
    with pytest.raises(OSError, match="disk"), whole_folder(out) as made:
        raise OSError("disk")
    assert (out / "rows").read_text() == "former"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_take_its_place_leaves_the_former(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = tmp_path / "out", Path.rename
    with whole_folder(out) as made:
        (made / "rows").write_text("former")

    def fails(self: Path, to: Path) -> Path:
        if to == out and not self.name.endswith("-former"):
            raise OSError("no room")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="no room"), whole_folder(out) as made:
        (made / "rows").write_text("new")
    assert (out / "rows").read_text() == "former"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.processes
def test_a_day_that_another_has_written_since_it_was_compared_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = filled(tmp_path / "here.duckdb", 0, 1), filled(tmp_path / "there.duckdb", 2)
    write(here, fetched(day(2)))
    copy_whole, is_written = copies.copy_whole, []

    def another(*arguments: object) -> None:
        if not is_written:
            is_written.append(True)
            write(there, fetched(day(1), price=3.0))
        copy_whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(copies, "copy_whole", another)
    monkeypatch.setattr(migration, "_whole", lambda warehouse, table: (id(warehouse), 0))
    with pytest.raises(WarehouseError, match="was written by another process meanwhile"):
        migration.migrate(here, there)
    with there.reading() as connection:
        held = connection.execute(
            "select distinct close from candles where opened_at::date = $day", {"day": day(1)}
        ).fetchall()
    assert held == [(3.0,)]
