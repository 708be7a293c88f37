"""Full and read-only disks, truncated and foreign files: one sentence for each, and an unchanged
warehouse."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from _pytest.mark import ParameterSet

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.disks import Disk
from deribit_pipeline_tests.helpers.mutations import each_of_both
from deribit_pipeline_tests.helpers.processes import environment, script
from deribit_pipeline_tests.helpers.written_warehouse import fetched, write

WEEK = ["backfill", "--start", "2024-01-01", "--end", "2024-01-07"]
QUARTER = ["backfill", "--start", "2024-01-01", "--end", "2024-03-31"]
MONTH = ["backfill", "--start", "2024-01-01", "--end", "2024-01-31"]
COMMANDS = [WEEK, ["coverage"], ["verify"], ["check"], ["repair"], ["backup", "b.duckdb"]]
KINDS = ["folder", "text", "newer", "theirs", "no info", "odd info"]


def rare(value: float) -> ParameterSet:
    """A parameter for the slow tests only."""
    return pytest.param(value, marks=pytest.mark.torture)


def named(value: object) -> str | None:
    """The id of a command; pytest names the other parameters."""
    return str(value[0]) if isinstance(value, list) else None


class Output:
    """The output and the exit code of a command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        assert "Traceback" not in out + err
        assert "Logging error" not in out + err

    def complaint(self) -> str:
        """The sentence of the error."""
        assert self.code in (1, 2)
        output = [line for line in self.err.splitlines() if line.startswith("Error: ")]
        output += [line for line in self.out.splitlines() if line.startswith("FAIL warehouse ")]
        assert len(output) == 1, self.out + self.err
        return output[0]


Run = Callable[..., Output]


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command line with the settings, or with a warehouse or home of another path."""
    monkeypatch.chdir(settings.dagster_home.parent)

    def run(*arguments: str, **changed: Path) -> Output:
        for name, value in environment(replace(settings, **changed)).items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = exit_code(list(arguments))
        return Output(code, *capsys.readouterr())

    return run


def held(file: Path, settings: Settings) -> int:
    """The days that the warehouse holds; every one of them is proved."""
    result = verify(Warehouse(file, settings.environment))
    assert result.findings == []
    return result.days


# --- cut short, or not ours


@pytest.fixture
def whole(warehouse: Warehouse) -> bytes:
    """The bytes of a warehouse that holds a day."""
    write(warehouse, fetched())
    return warehouse.location.read_bytes()


@each_of_both("command, kept", COMMANDS, [0, 10, 4_096, 12_288, 0.5, -262_144, -1], named)
def test_a_warehouse_cut_short_is_one_sentence_and_left_as_it_is(
    run: Run, warehouse: Warehouse, whole: bytes, command: list[str], kept: float
) -> None:
    length = int(kept * len(whole)) if kept == 0.5 else int(kept) % len(whole)
    warehouse.location.write_bytes(whole[:length])
    complaint = run(*command).complaint()
    assert "put a backup in its place" in complaint
    assert warehouse.location.read_bytes() == whole[:length]
    assert not Path("b.duckdb").exists()


def test_a_warehouse_that_is_put_back_works(run: Run, warehouse: Warehouse, whole: bytes) -> None:
    warehouse.location.write_bytes(whole[:-1])
    run(*WEEK).complaint()
    warehouse.location.write_bytes(whole)
    assert run(*WEEK).code == 0
    assert run("verify").code == 0


@pytest.mark.parametrize("at", [4_100, 12_300, 0.3, 0.6, 0.9])
def test_a_changed_byte_is_never_taken_for_data(
    run: Run, warehouse: Warehouse, whole: bytes, at: float
) -> None:
    place = int(at * len(whole)) if at < 1 else int(at)
    warehouse.location.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
    output = run("verify")
    if output.code:  # nothing exists at that path
        assert "computed checksum" in output.complaint()
        assert "put a backup in its place" in output.complaint()
    else:
        assert "1 days with 1,440 rows recomputed" in output.err


@each_of_both("command, kind", COMMANDS, KINDS, named)
def test_what_is_no_warehouse_of_ours_is_one_sentence(
    run: Run, warehouse: Warehouse, command: list[str], kind: str
) -> None:
    made = {
        "newer": "create table warehouse_info as select 'sandbox' as environment, "
        "99 as schema_version",
        "theirs": "create table theirs (a integer)",
        "no info": "create table warehouse_info (environment text, schema_version integer)",
        "odd info": "create table warehouse_info (a integer)",
    }
    if kind == "folder":
        warehouse.location.mkdir()
    elif kind == "text":
        warehouse.location.write_text("opened_at,open,high\n" * 1_000)
    else:
        with duckdb.connect(str(warehouse.location)) as connection:
            connection.execute(made[kind])
    before = None if kind == "folder" else warehouse.location.read_bytes()
    assert str(warehouse.location) in run(*command).complaint()
    assert before is None or warehouse.location.read_bytes() == before


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_name_that_no_disk_takes_is_one_sentence(run: Run, command: list[str]) -> None:
    assert "cannot be reached" in run(*command, warehouse=Path("w" * 300)).complaint()


def test_a_missing_folder_is_made_by_a_backfill_alone(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "no" / "such" / "w.duckdb"
    assert "does not exist" in run("coverage", warehouse=missing).complaint()
    assert "does not exist" in run("verify", warehouse=missing).complaint()
    assert not missing.parent.exists()
    assert run(*WEEK, warehouse=missing).code == 0
    assert run("verify", warehouse=missing).code == 0


def test_a_link_to_another_disk_is_followed(run: Run, tmp_path: Path, settings: Settings) -> None:
    elsewhere = tmp_path / "elsewhere.duckdb"
    settings.warehouse.symlink_to(elsewhere)
    assert run(*WEEK).code == 0
    assert settings.warehouse.is_symlink()
    assert held(elsewhere, settings) == 14


# --- full


@pytest.mark.parametrize("free", [0, 4_096, rare(16_384), rare(300_000)])
def test_a_full_disk_leaves_no_half_of_a_new_warehouse(
    run: Run, disk: Disk, settings: Settings, free: int
) -> None:
    file = disk.path / "w.duckdb"
    disk.resize(max(free, 1))
    output = run(*WEEK, warehouse=file)
    assert output.code in (1, 2)
    assert "No space left on device" in output.err
    assert "does not exist" in run("verify", warehouse=file).complaint()
    disk.resize(64_000_000)
    assert run(*WEEK, warehouse=file).code == 0
    assert held(file, settings) == 14


@pytest.mark.parametrize("free", [0, rare(4_096), rare(200_000)])
def test_a_full_disk_keeps_what_was_held(
    run: Run, disk: Disk, settings: Settings, free: int
) -> None:
    file = disk.path / "w.duckdb"
    run(*WEEK, warehouse=file)
    disk.leave(free)
    output = run(*MONTH, warehouse=file)
    assert output.code == 1
    assert "its disk is full" in output.err
    assert held(file, settings) == 14
    assert run("coverage", warehouse=file).code == 0
    disk.resize(64_000_000)
    assert run(*MONTH, warehouse=file).code == 0
    assert held(file, settings) == 62


@pytest.mark.torture
def test_a_disk_that_fills_on_the_way_keeps_whole_days(
    run: Run, disk: Disk, settings: Settings
) -> None:
    file = disk.path / "w.duckdb"
    disk.resize(
        6_000_000
    )  # enough for more than the 120 days that are written together, but not for all
    output = run(*QUARTER, warehouse=file)
    assert output.code == 1
    assert "its disk is full" in output.err
    assert held(file, settings) < 182
    disk.resize(64_000_000)
    assert run(*QUARTER, warehouse=file).code == 0
    assert held(file, settings) == 182


def test_a_full_disk_leaves_the_former_backup(run: Run, disk: Disk, settings: Settings) -> None:
    to = disk.path / "b.duckdb"
    run(*WEEK)
    run("backup", str(to))
    before = to.read_bytes()
    run(*MONTH)
    disk.leave(300_000)
    assert "The backup" in run("backup", str(to)).complaint()
    assert to.read_bytes() == before
    assert [path.name for path in disk.path.iterdir()] == ["b.duckdb"]
    disk.resize(64_000_000)
    assert run("backup", str(to)).code == 0
    assert run("verify", "--against", str(to)).code == 0


@pytest.mark.processes
@pytest.mark.parametrize("size", [1, *map(rare, (4_096, 100_000, 400_000, 800_000, 1_200_000))])
def test_a_full_disk_of_dagster_costs_no_day(
    disk: Disk, settings: Settings, tmp_path: Path, size: int
) -> None:
    env = environment(replace(settings, dagster_home=disk.path / "home"))
    disk.resize(size)
    ended = script(*WEEK, env=env, cwd=tmp_path)
    output = Output(ended.returncode, ended.stdout, ended.stderr)
    if output.code:
        assert "DAGSTER_HOME" in output.complaint()
    disk.resize(64_000_000)
    ended = script(*WEEK, env=env, cwd=tmp_path)
    assert (ended.returncode, ended.stderr.count("Error")) == (0, 0), ended.stderr
    assert held(settings.warehouse, settings) == 14


def test_a_disk_of_dagster_that_fills_later_costs_no_day(
    run: Run, disk: Disk, settings: Settings, sandbox: SandboxExchange
) -> None:
    home = disk.path / "home"
    assert run(*WEEK, dagster_home=home).code == 0
    disk.leave(0)
    assert "DAGSTER_HOME" in run(*MONTH, dagster_home=home).complaint()
    kept = held(settings.warehouse, settings)
    disk.resize(64_000_000)
    assert run(*MONTH, dagster_home=home).code == 0
    assert kept <= held(settings.warehouse, settings) == 62


# --- read-only


def test_a_read_only_warehouse_is_read_and_not_written(
    run: Run, disk: Disk, settings: Settings
) -> None:
    file = disk.path / "w.duckdb"
    run(*WEEK, warehouse=file)
    disk.set_read_only(True)
    for command in (MONTH, ["repair"], ["check"]):
        assert "cannot be written (it is read-only)" in run(*command, warehouse=file).complaint()
    for command in (["coverage"], ["verify"], ["backup", "b.duckdb"]):
        assert run(*command, warehouse=file).code == 0
    assert run("verify", "--against", "b.duckdb", warehouse=file).code == 0
    disk.set_read_only(False)
    assert run(*MONTH, warehouse=file).code == 0
    assert held(file, settings) == 62


def test_a_read_only_disk_takes_neither_a_warehouse_nor_a_backup(run: Run, disk: Disk) -> None:
    run(*WEEK)
    disk.set_read_only(True)
    complaint = run(*WEEK, warehouse=disk.path / "w.duckdb").complaint()
    assert "cannot be written (Read-only file system)" in complaint
    assert "Read-only file system" in run("backup", str(disk.path / "b.duckdb")).complaint()


def test_a_read_only_home_of_dagster_costs_no_day(run: Run, disk: Disk, settings: Settings) -> None:
    home = disk.path / "home"
    run(*WEEK, dagster_home=home)
    disk.set_read_only(True)
    assert "DAGSTER_HOME" in run(*MONTH, dagster_home=home).complaint()
    disk.set_read_only(False)
    assert run(*MONTH, dagster_home=home).code == 0
    with warehouse_at(settings.warehouse, settings.environment).reading() as connection:
        assert len(proofs_of(connection, CANDLES[Resolution.MINUTE_1])) == 62
