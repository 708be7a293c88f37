"""Maintenance keeps a lake fast and small, and loses nothing."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import dagster as dg
import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.definitions import build_definitions
from deribit_pipeline.domain.candles import CANDLE_VALUES
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.engine.backup_copy import back_up
from deribit_pipeline.engine.comparison import compare
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.errors import WarehouseUnusable
from deribit_pipeline.lake import maintenance
from deribit_pipeline.lake.maintenance import Files, maintain
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.schema import TABLES
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import in_a_lake
from deribit_pipeline_tests.helpers.lake_days import assert_each_is_held_once, day, hold
from deribit_pipeline_tests.helpers.lakes import by_hand
from deribit_pipeline_tests.helpers.processes import name_warehouse
from deribit_pipeline_tests.helpers.servers import Postgres
from deribit_pipeline_tests.helpers.written_warehouse import rows

CLOSE = CANDLE_VALUES.index("close")
NOTHING_KEPT = timedelta(0)


@pytest.fixture
def worn(lake: Lake) -> Warehouse:
    """A lake of three files of candles, of which much of one and little of another is replaced."""
    worn = warehouse_at(lake, Environment.SANDBOX)
    for numbers in (range(4), range(4, 6), range(6, 7)):
        hold(worn, *map(day, numbers))
    for number in (1, 4):
        hold(worn, revised(day(number)))
    return worn


def returned_later(returned: FetchedDay, days: int) -> FetchedDay:
    return replace(returned, as_of=returned.as_of + timedelta(days=days))


def revised(returned: FetchedDay) -> FetchedDay:
    """The same day, returned a day later with another close in every second hour."""
    close = returned.rows["close"].copy()
    close[::120] += 1
    return returned_later(replace(returned, rows=returned.rows | {"close": close}), days=1)


@pytest.fixture
def before(worn: Warehouse, tmp_path: Path) -> Warehouse:
    """A copy of the lake as a file."""
    back_up(worn, tmp_path / "before.duckdb")
    return warehouse_at(tmp_path / "before.duckdb", Environment.SANDBOX)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the grace period of unneeded files, as if there were no other readers or writers."""
    monkeypatch.setattr(maintenance, "_GRACE", timedelta(0))


def require_the_same(lake: Warehouse, before: Warehouse) -> None:
    assert verify(lake).findings == []
    assert compare(lake, before).differences == []


def parquet(lake: Lake) -> set[Path]:
    return set(Path(lake.data).rglob("*.parquet"))


def orphan(lake: Lake) -> Path:
    """A file left by a worker that was killed before its commit."""
    left = Path(lake.data) / "main/candles/of-a-worker-that-was-killed.parquet"
    shutil.copy(next(iter(parquet(lake))), left)
    return left


def test_small_files_become_few_and_every_proof_still_holds(
    worn: Warehouse, before: Warehouse
) -> None:
    done = {each.table: each for each in maintain(worn)}
    candles = done["candles"]
    assert (candles.before.files, candles.after.files) == (7, 3)
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
    worn: Warehouse, before: Warehouse, lake: Lake, at_once: None
) -> None:
    maintain(worn)
    many = parquet(lake)
    left = orphan(lake)
    maintain(worn, NOTHING_KEPT)
    few = parquet(lake)
    assert left not in few
    assert len(few) < len(many)
    require_the_same(worn, before)
    with by_hand(lake) as connection:
        assert len(connection.execute("from lake.snapshots()").fetchall()) == 1


def test_what_others_may_still_read_stays(worn: Warehouse, lake: Lake) -> None:
    files = parquet(lake)
    maintain(worn, NOTHING_KEPT)
    assert files < parquet(lake)


@pytest.mark.parametrize("steps", [30, 60])
def test_maintenance_that_ends_anywhere_leaves_a_sound_lake(
    worn: Warehouse, before: Warehouse, monkeypatch: pytest.MonkeyPatch, at_once: None, steps: int
) -> None:
    took_place, numbers = maintenance._took_place, count()

    def some(warehouse: Warehouse, statement: str) -> bool:
        if next(numbers) == steps:
            raise KeyboardInterrupt
        return took_place(warehouse, statement)

    monkeypatch.setattr(maintenance, "_took_place", some)
    with pytest.raises(KeyboardInterrupt):
        maintain(worn, NOTHING_KEPT)
    require_the_same(worn, before)


def test_maintenance_that_ends_in_the_middle_of_each_step_leaves_a_sound_lake(
    worn: Warehouse,
    before: Warehouse,
    lake: Lake,
    at_once: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The other tables are empty here, and a step for each would take long.
    of_candles = [table for table in TABLES if table.name.startswith("candle")]
    monkeypatch.setattr(maintenance, "TABLES", of_candles)
    left = orphan(lake)
    for step in ("flush_inlined", "expire", "rewrite", "merge", "cleanup_old", "delete_orphaned"):
        with pytest.raises(KeyboardInterrupt), ending_in(step):
            maintain(worn, NOTHING_KEPT)
        assert verify(worn).findings == []
    maintain(worn, NOTHING_KEPT)
    require_the_same(worn, before)
    assert left not in parquet(lake)


@contextmanager
def ending_in(step: str) -> Iterator[None]:
    """Let maintenance end in the first such step that finds something to do, before its commit."""

    def took_place(warehouse: Warehouse, statement: str) -> bool:
        with warehouse.writing() as connection:
            found = bool(connection.execute(statement).fetchall())
            if found and step in statement:
                raise KeyboardInterrupt
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maintenance, "_took_place", took_place)
        yield


def test_days_are_written_and_changed_meanwhile(worn: Warehouse) -> None:
    with ThreadPoolExecutor() as beside:
        maintained = beside.submit(lambda: [maintain(worn, NOTHING_KEPT) for _ in range(2)])
        for number in range(4, 9):
            hold(worn, returned_later(day(number, price=0.5), days=2))
    assert maintained.result()
    assert_each_is_held_once(worn, 9)
    assert rows(worn, "select count(*) from candles where close = 0.5") == [(5 * 1_440,)]


def test_two_lakes_never_share_a_place(worn: Warehouse, lake: Lake, postgres: Postgres) -> None:
    other = Lake(postgres.database(), lake.data)
    with (
        pytest.raises(WarehouseUnusable, match="holds files of another lake"),
        warehouse_at(other, Environment.SANDBOX).writing(),
    ):
        pass


def test_the_command_shows_what_became_of_each_table(
    worn: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name_warehouse(monkeypatch, worn.location, tmp_path)
    assert exit_code(["maintain", "--keep-days", "7"]) == 0
    output = capsys.readouterr()
    assert "candle_days" in output.out
    assert "trades" not in output.out
    assert "Snapshots of the last 7 days are kept" in output.err


def test_a_file_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name_warehouse(monkeypatch, tmp_path / "w.duckdb", tmp_path)
    assert exit_code(["maintain"]) == 1
    assert "does not exist" in capsys.readouterr().err
    with warehouse_at(tmp_path / "w.duckdb", Environment.SANDBOX).writing():
        pass
    assert exit_code(["maintain"]) == 0
    assert "is one file, which needs no maintenance" in capsys.readouterr().err


@in_a_lake
def test_the_job_says_what_it_did(worn: Warehouse, settings: Settings) -> None:
    for number in (7, 8):  # two small files more, where rows out of the catalog make new ones
        hold(worn, day(number))
    job = build_definitions(settings).resolve_job_def("maintain_warehouse")
    result = job.execute_in_process(instance=dg.DagsterInstance.ephemeral())
    [output] = result.filter_events(lambda event: event.is_successful_output)
    returned = {name: value.value for name, value in output.event_specific_data.metadata.items()}
    assert returned["files_after"] < returned["files_before"]


@in_a_lake
def test_only_a_lake_has_the_schedule(settings: Settings, tmp_path: Path) -> None:
    in_file = replace(settings, warehouse=tmp_path / "w.duckdb")
    names = [
        {schedule.name for schedule in build_definitions(each).schedules or ()}
        for each in (settings, in_file)
    ]
    assert names[0] - names[1] == {"maintain_warehouse"}
