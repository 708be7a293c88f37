"""A backup is a copy of one moment or nothing, and never replaces anything else."""

import subprocess
import sys
import threading
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import LAKE, Lake, Location
from deribit_pipeline.engine.backup_copy import back_up
from deribit_pipeline.engine.comparison import compare
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.errors import InputError, WarehouseError
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import every_store
from deribit_pipeline_tests.helpers.command_line import Command, commands
from deribit_pipeline_tests.helpers.processes import name_warehouse
from deribit_pipeline_tests.helpers.servers import Postgres
from deribit_pipeline_tests.helpers.written_warehouse import (
    FIRST,
    NAME,
    everything,
    fetched,
    forget_datasets,
    rows,
    write,
)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "it's here"


@pytest.fixture
def file(location: Location, here: Path) -> Warehouse:
    """A warehouse of three days, of which one is gapped and one was revised."""
    here.mkdir()
    if isinstance(location, Path):
        location = here / "copy.duckdb"
    file = warehouse_at(location, Environment.SANDBOX, patience=60)
    write(file, fetched(), fetched(day(1), absent=(3, 4)), fetched(day(2)))
    write(file, fetched(price=0.5))
    return file


@pytest.fixture
def to(here: Path) -> Path:
    return here / "backup.duckdb"


@pytest.fixture
def command(
    file: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Runs a command line on the warehouse: its exit code, stdout and stderr."""
    name_warehouse(monkeypatch, file.location, tmp_path)
    return commands(capsys)


def test_a_backup_is_a_warehouse_that_holds_the_same(file: Warehouse, to: Path) -> None:
    made = back_up(file, to)
    copy = Warehouse(to, Environment.SANDBOX)
    assert everything(copy) == everything(file)
    assert (made.days, made.candles, made.size) == (3, 4_318, to.stat().st_size)
    assert verify(copy).findings == []
    objects = (
        "select table_name, comment from duckdb_tables() union all "
        "select view_name, comment from duckdb_views() where not internal union all "
        "select function_name, comment from duckdb_functions() where not internal order by all"
    )
    assert rows(copy, objects) == rows(file, objects)
    assert rows(copy, "select count(*) from complete_candles") == [(2_880,)]


@every_store
def test_a_backup_goes_on_as_a_warehouse(file: Warehouse, to: Path) -> None:
    back_up(file, to)
    copy = Warehouse(to, Environment.SANDBOX)
    for either in (copy, file):
        write(either, fetched(day(3)))
    assert compare(file, copy).differences == []


def test_a_backup_is_of_one_moment_while_another_writes(file: Warehouse, to: Path) -> None:
    is_over = threading.Event()

    def write_on() -> None:
        number = 3
        while not is_over.is_set():
            write(file, fetched(day(number)))
            number += 1

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        for _ in range(3):
            back_up(file, to)
            copy = Warehouse(to, Environment.SANDBOX)
            assert verify(copy).findings == []
            assert verify(copy).days >= 3
    finally:
        is_over.set()
        writer.join()
    assert verify(file).findings == []


def test_only_a_backup_of_the_same_environment_is_replaced(file: Warehouse, to: Path) -> None:
    back_up(file, to)
    write(file, fetched(day(3)))
    assert back_up(file, to).days == 4
    theirs = Warehouse(to.with_name("mainnet.duckdb"), Environment.MAINNET)
    write(theirs, fetched())
    with duckdb.connect(str(to.with_name("other.duckdb"))) as connection:
        connection.execute("create table warehouse_info (environment text, schema_version int)")
    to.with_name("notes.txt").write_text("not to be lost")
    to.with_name("empty").touch()
    to.with_name("folder").mkdir()
    names = ("mainnet.duckdb", "other.duckdb", "notes.txt", "empty", "folder")
    before = {name: contents(to.with_name(name)) for name in names}
    for name in names:
        with pytest.raises(InputError, match=f"{name} exists and is no backup of a sandbox wareh"):
            back_up(file, to.with_name(name))
    assert {name: contents(to.with_name(name)) for name in names} == before


def contents(path: Path) -> bytes:
    return b"" if path.is_dir() else path.read_bytes()


def test_the_warehouse_is_not_its_own_backup(file: Warehouse, to: Path) -> None:
    to.symlink_to(file.location)
    for same in (file.location, to):
        with pytest.raises(InputError, match="is the warehouse itself"):
            back_up(file, same)
    assert verify(file).findings == []


def test_a_backup_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist: there is nothing to back up yet"):
        back_up(Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX), tmp_path / "b.duckdb")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["nowhere", "/proc", "/dev/null"])
def test_a_folder_that_cannot_take_a_backup_is_one_sentence(command: Command, folder: str) -> None:
    code, out, err = command("backup", f"{folder}/b.duckdb")
    assert (code in (1, 2), out, err.count("\n")) == (True, "", 1)
    assert err.startswith(f"Error: The backup {folder}/b.duckdb cannot be written")


def test_a_backup_that_fails_leaves_the_former_one(file: Warehouse, to: Path) -> None:
    back_up(file, to)
    before = to.read_bytes()
    data = file.location.read_bytes()
    file.location.write_bytes(data[: len(data) - 300_000])
    with pytest.raises(WarehouseError, match="is damaged|cannot be opened"):
        back_up(file, to)
    assert to.read_bytes() == before
    assert sorted(path.name for path in to.parent.iterdir()) == ["backup.duckdb", "copy.duckdb"]


def test_what_a_killed_backup_left_is_removed_by_the_next(file: Warehouse, to: Path) -> None:
    killed = (
        "import os, sys, pathlib; from deribit_pipeline.warehouse.whole_files import whole_file\n"
        "with whole_file(pathlib.Path(sys.argv[1]), replacing=True) as made:\n"
        "    made.touch(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", killed, str(to)], check=False).returncode == 9
    assert not to.exists()
    back_up(file, to)
    assert sorted(path.name for path in to.parent.iterdir()) == ["backup.duckdb", "copy.duckdb"]


def test_the_log_of_a_file_that_is_gone_is_not_replayed_into_a_new_one(
    file: Warehouse, to: Path
) -> None:
    for path in (to, file.location.with_name("new.duckdb")):
        killed = (
            "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); "
            "c.execute('create table t as select 1'); os._exit(9)"
        )
        subprocess.run([sys.executable, "-c", killed, str(path)], check=False)
        path.unlink()
        assert path.with_name(f"{path.name}.wal").exists()
        if path == to:
            back_up(file, to)
        else:
            with Warehouse(path, file.environment).writing():
                pass
        with duckdb.connect(str(path), read_only=True) as connection:
            tables = connection.execute("select table_name from duckdb_tables()").fetchall()
        assert ("t",) not in tables


def test_a_warehouse_with_an_unusual_name_is_copied(tmp_path: Path) -> None:
    odd = Warehouse(tmp_path / "a\"b's.duckdb", Environment.SANDBOX)
    write(odd, fetched(day(1)))
    assert back_up(odd, tmp_path / "c\"d's.duckdb").days == 1


def test_the_commands_say_what_was_copied_and_what_differs(
    command: Command, file: Warehouse
) -> None:
    code, out, err = command("backup", "b.duckdb")
    assert (code, out) == (0, "")
    assert err.startswith("b.duckdb holds 3 days with 4,318 candles in ")
    assert command("verify", "--against", "b.duckdb")[:2] == (0, "")
    write(file, fetched(day(1)), fetched(day(3)))
    with duckdb.connect("b.duckdb") as connection:
        connection.execute("update candle_days set content_hash = 'x' where day = '2024-01-01'")
        connection.execute(
            "insert into candle_days select * replace ('2024-02-01'::date as day) "
            "from candle_days where day = '2024-01-03'"
        )
    code, out, err = command("verify", "--against", "b.duckdb")
    lines = out.splitlines()
    assert code == 1
    assert lines[0].startswith(f"{NAME} 1m 2024-01-01: content_hash is ")
    assert lines[0].endswith(", x in b.duckdb")
    assert lines[1].startswith(
        f"{NAME} 1m 2024-01-02: state is complete, gapped in b.duckdb; received is 1440, "
        "1438 in b.duckdb; missing is 0, 2 in b.duckdb; content_hash is "
    )
    assert lines[2:] == [
        f"{NAME} 1m 2024-01-04: b.duckdb does not hold it",
        f"{NAME} 1m 2024-02-01: only b.duckdb holds it",
    ]
    assert err.startswith("5 days compared with b.duckdb in ")
    assert err.endswith("; 4 differ.\n")


@pytest.mark.parametrize(
    ("options", "expected_code", "differing"),
    [
        ("--start 2024-01-02", 0, 0),
        ("--end 2024-01-01", 1, 1),
        ("--resolution 60", 1, 0),  # nothing was compared
        (f"--instruments {NAME} --resolution 1", 1, 1),
    ],
)
def test_a_comparison_is_of_the_days_requested(
    command: Command, file: Warehouse, to: Path, options: str, expected_code: int, differing: int
) -> None:
    back_up(file, to)
    write(file, fetched())
    code, out, _ = command("verify", "--against", to, *options.split())
    assert (code, len(out.splitlines())) == (expected_code, differing)


def test_a_backup_of_an_older_version_is_compared_and_left_as_it_is(
    command: Command, file: Warehouse, to: Path
) -> None:
    back_up(file, to)
    with Warehouse(to, file.environment).writing() as connection:
        forget_datasets(connection)
        connection.execute("update warehouse_info set schema_version = 1")
    before = to.read_bytes()
    code, out, _ = command("verify", "--against", to)
    assert (code, out) == (0, "")
    assert to.read_bytes() == before


def test_only_a_warehouse_of_the_same_environment_is_compared(
    command: Command, file: Warehouse
) -> None:
    theirs = Warehouse(Path("mainnet.duckdb"), Environment.MAINNET)
    write(theirs, fetched())
    Path("notes.txt").write_text("no database")
    for name, sentence in (
        ("nowhere", "--against nowhere does not exist: name a backup"),
        ("notes.txt", "notes.txt cannot be opened as a DuckDB file"),
        ("mainnet.duckdb", "mainnet.duckdb is the warehouse of mainnet, and DERIBIT_ENV is sand"),
    ):
        code, out, err = command("verify", "--against", name)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"Error: {sentence}")


def test_a_lake_is_compared_like_a_file(
    command: Command, file: Warehouse, database: str, here: Path
) -> None:
    lake = Lake(database, f"{here}/lake/")
    place = ("--against", LAKE + lake.catalog, "--against-data", lake.data)
    output = [command("verify", *place)]
    assert (output[0][0], output[0][2]) == (
        2, f"Error: --against {lake} does not exist: name a backup of the warehouse.\n"
    )  # fmt: skip
    write(
        warehouse_at(lake, file.environment), fetched(price=0.5), fetched(day(1)), fetched(day(2))
    )
    output.append(command("verify", *place))
    code, out, err = output[-1]
    assert (code, len(out.splitlines())) == (1, 1)
    assert f"state is gapped, complete in {lake}" in out
    assert err.startswith(f"3 days compared with {lake} in ")
    assert Postgres.PASSWORD not in str(output)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--against", "postgresql://me:geheim@db/lake"], "a DuckLake whose catalog is in"),
        (["--against", "postgres:password=geheim", "--against-data", "x"], "a DuckLake whose"),
        (["--against", "b.duckdb", "--against-data", "s3://x/y"], "b.duckdb is a file and has no"),
        (["--against-data", "s3://x/y"], "is for a DuckLake in --against"),
    ],
)
def test_what_cannot_be_compared_with_is_one_sentence(
    command: Command, options: list[str], sentence: str
) -> None:
    code, out, err = command("verify", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert "geheim" not in err
