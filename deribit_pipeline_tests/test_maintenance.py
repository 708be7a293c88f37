"""A lake is kept fast and small, and loses nothing by it."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.definitions import build_definitions
from deribit_pipeline.domain import Environment
from deribit_pipeline.errors import WarehouseUnusable
from deribit_pipeline.location import Lake
from deribit_pipeline.operations.comparison import compare
from deribit_pipeline.operations.verification import verify
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse import maintenance
from deribit_pipeline.warehouse.backup import back_up
from deribit_pipeline.warehouse.maintenance import Files, maintain
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.lakes import by_hand
from deribit_pipeline_tests.pipeline import Pipeline
from deribit_pipeline_tests.processes import variables_of

FIRST = date(2024, 1, 1)
LONG_AGO = timedelta(0)


@pytest.fixture
def location(database: str, tmp_path: Path) -> Lake:
    return Lake(database, f"{tmp_path}/lake/")


@pytest.fixture
def worn(pipeline: Pipeline) -> Warehouse:
    """A lake into which six days came one by one, two of them twice."""
    for number in range(6):
        day = FIRST + timedelta(days=number)
        assert not pipeline.backfill(day, day).failures
    for number in (1, 4):
        day = FIRST + timedelta(days=number)
        with pipeline.warehouse.writing() as connection:
            connection.execute(
                "update candles set close = close + 1 "
                "where cast(opened_at as date) = $day and epoch_ms(opened_at) % 7200000 = 0",
                {"day": day},
            )
        assert pipeline.backfill(day, day, force=True).revised == 12
    return pipeline.warehouse


@pytest.fixture
def before(worn: Warehouse, tmp_path: Path) -> Warehouse:
    """All that the lake holds, as a file."""
    back_up(worn, tmp_path / "before.duckdb")
    return Warehouse(tmp_path / "before.duckdb", Environment.SANDBOX)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody be in the middle of anything."""
    monkeypatch.setattr(maintenance, "_GRACE", "interval 0 day")


def require_the_same(lake: Warehouse, before: Warehouse) -> None:
    assert verify(lake).findings == []
    assert compare(lake, before).differences == []


def parquet(lake: Lake) -> set[Path]:
    return set(Path(lake.data).rglob("*.parquet"))


def test_small_files_become_few_and_every_proof_still_holds(
    worn: Warehouse, before: Warehouse
) -> None:
    done = {each.table: each for each in maintain(worn)}
    candles = done["candles"]
    assert (candles.before.files, candles.after.files) == (8, 3)
    assert candles.after.size < candles.before.size
    # Its rows, and which of them were replaced, were in PostgreSQL before.
    assert (done["candle_days"].before.files, done["candle_days"].after.files) == (0, 2)
    assert done["trades"].after == Files(0, 0)
    require_the_same(worn, before)


def test_a_second_time_there_is_nothing_to_do(worn: Warehouse) -> None:
    maintain(worn)
    for each in maintain(worn):
        assert each.before == each.after


def test_what_no_snapshot_needs_is_removed(
    worn: Warehouse, before: Warehouse, location: Lake, at_once: None
) -> None:
    maintain(worn)
    many = parquet(location)
    left = Path(location.data) / "main/candles/of-a-worker-that-was-killed.parquet"
    shutil.copy(next(iter(many)), left)
    maintain(worn, LONG_AGO)
    few = parquet(location)
    assert left not in few
    assert len(few) < len(many)
    require_the_same(worn, before)
    with by_hand(location) as connection:
        assert len(connection.execute("from lake.snapshots()").fetchall()) == 1


def test_what_others_may_still_read_stays(worn: Warehouse, location: Lake) -> None:
    files = parquet(location)
    maintain(worn, LONG_AGO)
    assert files < parquet(location)


@pytest.mark.parametrize("steps", [30, 60])
def test_maintenance_that_ends_anywhere_leaves_a_sound_lake(
    worn: Warehouse, before: Warehouse, monkeypatch: pytest.MonkeyPatch, at_once: None, steps: int
) -> None:
    whole = maintenance._steps

    def some(keep: timedelta) -> Iterator[str]:
        for number, step in enumerate(whole(keep)):
            if number == steps:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(maintenance, "_steps", some)
    with pytest.raises(KeyboardInterrupt):
        maintain(worn, LONG_AGO)
    require_the_same(worn, before)


def test_days_are_written_and_changed_meanwhile(worn: Warehouse, pipeline: Pipeline) -> None:
    with ThreadPoolExecutor() as beside:
        maintained = beside.submit(lambda: [maintain(worn, LONG_AGO) for _ in range(2)])
        for number in range(4, 9):
            day = FIRST + timedelta(days=number)
            assert not pipeline.backfill(day, day, force=True).failures
    assert maintained.result()
    assert verify(worn).findings == []
    held = pipeline.rows("select count(*), count(distinct opened_at) from candles")
    assert held == [(9 * 1_440, 9 * 1_440)]


def test_two_lakes_never_share_a_place(worn: Warehouse, location: Lake, postgres: object) -> None:
    other = Lake(postgres.database(), location.data)  # type: ignore[attr-defined]
    with (
        pytest.raises(WarehouseUnusable, match="holds files of another lake"),
        Warehouse(other, Environment.SANDBOX).writing(),
    ):
        pass


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Settings
) -> Callable[[], tuple[int, str]]:
    """Runs the command `maintain` in a folder without a `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DERIBIT_ENV", "sandbox")
    for name, value in variables_of(settings.warehouse).items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: exit_code(["maintain", *arguments])


def test_the_command_shows_what_became_of_each_table(
    worn: Warehouse, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--keep-days", "7") == 0
    said = capsys.readouterr()
    assert "candle_days" in said.out
    assert "trades" not in said.out
    assert "Snapshots of the last 7 days are kept" in said.err


def test_a_file_needs_none(
    tmp_path: Path,
    run: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DERIBIT_WAREHOUSE", str(tmp_path / "w.duckdb"))
    monkeypatch.delenv("DERIBIT_WAREHOUSE_DATA")
    assert run() == 0
    assert "is one file, which needs no maintenance" in capsys.readouterr().err


def test_the_job_says_what_it_did(worn: Warehouse, settings: Settings) -> None:
    job = build_definitions(settings).resolve_job_def("maintain_warehouse")
    result = job.execute_in_process(instance=dg.DagsterInstance.ephemeral())
    [output] = result.filter_events(lambda event: event.is_successful_output)
    told = {name: value.value for name, value in output.event_specific_data.metadata.items()}
    assert told["files_after"] < told["files_before"]


def test_only_a_lake_has_the_schedule(settings: Settings, tmp_path: Path) -> None:
    in_file = replace(settings, warehouse=tmp_path / "w.duckdb")
    names = [
        {schedule.name for schedule in build_definitions(each).schedules or ()}
        for each in (settings, in_file)
    ]
    assert names[0] - names[1] == {"maintain_warehouse"}
