"""Old runs are deleted from Dagster's storage; what the UI shows of instrument-days stays."""

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.partition_status_cache import (
    get_and_update_asset_status_cache_value,
)

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.defs import retention
from deribit_pipeline.defs.partition_events import already_recorded, record_events
from deribit_pipeline.defs.partitions import series_days
from deribit_pipeline.domain.dataset import SeriesKind
from deribit_pipeline.errors import RecordingError
from deribit_pipeline_tests.defs.test_event_log import bulk

GRID = series_days(SeriesKind.INSTRUMENT, ["A", "B"])
ROOT = Path(__file__).parents[2]
KEY = dg.AssetKey("candles")
LATER = timedelta(days=1)


@dg.asset(partitions_def=GRID, backfill_policy=dg.BackfillPolicy.single_run())
def candles(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    if "fail" in context.run.tags:
        raise dg.Failure("on purpose")
    return dg.MaterializeResult(metadata={"run": context.run.run_id})


@dg.asset_check(asset=candles)
def is_well() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    # As in dagster.yaml: the processes that capture output outlive the runs.
    silent = {
        "module": NoOpComputeLogManager.__module__,
        "class": NoOpComputeLogManager.__name__,
    }
    overrides = {"telemetry": {"enabled": False}, "compute_logs": silent} | bulk(home)
    with dg.DagsterInstance.local_temp(str(home), overrides=overrides) as made:
        yield made


def run(instance: dg.DagsterInstance, start: str, end: str, **tags: str) -> str:
    """Materialize a range of partitions; returns the run's id."""
    ends = {"start": start, "end": end}
    tags |= {f"dagster/asset_partition_range_{name}": key for name, key in ends.items()}
    done = dg.materialize([candles], instance=instance, tags=tags, raise_on_error=False)
    return done.run_id


def shown(instance: dg.DagsterInstance) -> dict[str, Any]:
    """The partitions that the UI shows of the asset, read without Dagster's cache."""
    instance.event_log_storage.wipe_asset_cached_status(KEY)
    status = get_and_update_asset_status_cache_value(instance, KEY, GRID)
    assert status is not None
    [record] = instance.get_asset_records([KEY])
    made = status.deserialize_materialized_partition_subsets(GRID).get_partition_keys()
    newest = {}
    for key in made:
        of_key = dg.AssetRecordsFilter(asset_key=KEY, asset_partitions=[key])
        newest[key] = instance.fetch_materializations(of_key, limit=1).records[0]
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        KEY, dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/partition/instrument"]
    )
    return {
        "materialized": set(made),
        "failed": set(status.deserialize_failed_partition_subsets(GRID).get_partition_keys()),
        "in progress": set(
            status.deserialize_in_progress_partition_subsets(GRID).get_partition_keys()
        ),
        "newest": newest,
        "tags": tags,
        "last": record.asset_entry.last_materialization_record,
    }


def pruned_later(home: Path) -> retention.Pruned:
    """Prune as if a day had passed since the last run."""
    return retention.prune(home, datetime.now(UTC) + LATER)


def rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(home / "history" / "runs" / "index.db")) as index:
        return index.execute(query).fetchall()


def files(home: Path) -> set[str]:
    return {path.name for path in (home / "history" / "runs").iterdir()}


def test_old_runs_go_and_what_the_ui_shows_of_their_days_stays(
    home: Path, instance: dg.DagsterInstance
) -> None:
    old = [run(instance, "A|2024-01-01", "B|2024-01-10") for _ in range(3)]
    assert shown(instance)["newest"]["A|2024-01-01"].run_id == old[-1]
    before, count = shown(instance), rows(home, "select max(id) from event_logs")
    pruned = pruned_later(home)
    assert pruned.runs == 3
    assert pruned.freed > 300_000
    assert (instance.get_runs(), files(home) & {f"{run_id}.db" for run_id in old}) == ([], set())
    assert shown(instance) == before
    assert len(before["materialized"]) == 20
    # Of 120 events of days the newest of each is left, and one that holds the last number.
    assert rows(home, "select count(*), max(id) from event_logs") == [(21, *count[0])]
    assert rows(home, "select count(distinct event_id) from asset_event_tags") == [(20,)]
    run(instance, "A|2024-01-01", "A|2024-01-02")
    assert len(shown(instance)["materialized"]) == 20
    assert pruned_later(home).runs == 1


def test_the_last_attempt_at_a_day_is_kept_where_it_failed(
    home: Path, instance: dg.DagsterInstance
) -> None:
    run(instance, "A|2024-01-01", "A|2024-01-02")
    run(instance, "A|2024-01-01", "A|2024-01-03", fail="first")
    last = run(instance, "A|2024-01-02", "A|2024-01-04", fail="again")
    before = shown(instance)
    assert before["failed"] == {f"A|2024-01-0{day}" for day in (1, 2, 3, 4)}
    assert pruned_later(home).runs == 1
    assert shown(instance) == before
    assert any("on purpose" in str(event) for event in instance.all_logs(last))
    run(instance, "A|2024-01-01", "A|2024-01-04")
    assert pruned_later(home).runs == 3
    assert shown(instance)["failed"] == set()


def test_a_run_that_only_observed_a_day_is_deleted_and_its_newest_observation_stays(
    home: Path, instance: dg.DagsterInstance
) -> None:
    @dg.asset(name="candles", partitions_def=GRID)
    def gapped(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        record_events(context, [dg.AssetObservation(KEY, partition=context.partition_key)])
        return already_recorded()

    for _ in range(2):
        dg.materialize([gapped], instance=instance, partition_key="A|2024-01-01")
    newest = instance.fetch_observations(KEY, limit=1).records
    assert pruned_later(home).runs == 2
    assert instance.fetch_observations(KEY, limit=2).records == newest
    assert instance.get_materialized_partitions(KEY) == set()


def test_unfinished_and_young_runs_are_left_alone(home: Path, instance: dg.DagsterInstance) -> None:
    young = run(instance, "A|2024-01-01", "A|2024-01-02")
    waiting = instance.create_run_for_job(
        dg.Definitions(assets=[candles]).resolve_implicit_global_asset_job_def(),
        tags={"dagster/partition": "A|2024-01-03"},
        asset_selection=frozenset([KEY]),
    ).run_id
    assert retention.prune(home, datetime.now(UTC) - LATER).runs == 0
    assert {one.run_id for one in instance.get_runs()} == {young, waiting}
    assert retention.old_runs(home, datetime.now(UTC) + LATER) == [young]
    assert pruned_later(home).runs == 1
    assert [one.run_id for one in instance.get_runs()] == [waiting]
    assert pruned_later(home).runs == 0
    before = datetime.now(UTC) + LATER
    of_dagster = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE], updated_before=before
    )
    again = run(instance, "A|2024-01-01", "A|2024-01-02")
    assert retention.old_runs(home, before) == instance.get_run_ids(of_dagster) == [again]


def test_the_newest_result_of_a_check_stays(home: Path, instance: dg.DagsterInstance) -> None:
    for _ in range(3):
        dg.materialize([is_well], instance=instance, selection=dg.AssetSelection.all_asset_checks())
    [key] = is_well.check_keys
    checks = instance.event_log_storage
    before = checks.get_latest_asset_check_execution_by_key([key])
    assert pruned_later(home).runs == 3
    assert checks.get_latest_asset_check_execution_by_key([key]) == before
    assert len(checks.get_asset_check_execution_history(key, limit=9)) == 1


def test_a_schedule_keeps_its_newest_tick(home: Path, instance: dg.DagsterInstance) -> None:
    with closing(sqlite3.connect(home / "schedules" / "schedules.db")) as schedules:
        schedules.executemany(
            "insert into job_ticks (selector_id, timestamp) values ('one', ?)",
            [(f"2024-01-0{day} 00:10:00.000000",) for day in (1, 2, 3)],
        )
        schedules.commit()
        pruned_later(home)
        assert schedules.execute("select timestamp from job_ticks").fetchall() == [
            ("2024-01-03 00:10:00.000000",)
        ]


@pytest.mark.parametrize("after", ["runs", "event_logs", "job_ticks"])
def test_death_on_the_way_is_made_good_by_the_same_command(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    run(instance, "A|2024-01-01", "B|2024-01-10")
    run(instance, "A|2024-01-01", "B|2024-01-10")
    before, delete = shown(instance), retention._delete

    def deadly(connection: sqlite3.Connection, ids: list[str], *columns: str) -> None:
        delete(connection, ids, *columns)
        if f"{after}." in columns[-1]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(retention, "_delete", deadly)
        with pytest.raises(KeyboardInterrupt):
            pruned_later(home)
    assert shown(instance) == before
    pruned_later(home)
    assert shown(instance) == before
    assert {name.partition(".")[0] for name in files(home)} == {"index"}
    assert rows(home, "select count(*) from event_logs") == [(21,)]


def test_others_read_and_record_meanwhile(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_WORTH_BYTES", 10_000)
    for _ in range(2):
        run(instance, "A|2024-01-01", "B|2024-01-10")
    before, pruned = datetime.now(UTC), 0
    with closing(sqlite3.connect(home / "history" / "runs" / "index.db")) as reader:
        reader.execute("begin")
        assert reader.execute("select count(*) from event_logs").fetchone() == (84,)
        worker = threading.Thread(target=run, args=(instance, "A|2024-02-01", "B|2024-02-10"))
        worker.start()
        while worker.is_alive():
            pruned += retention.prune(home, before).runs
        worker.join()
        assert reader.execute("select count(*) from event_logs").fetchone() == (84,)
    assert pruned == 2
    assert len(shown(instance)["materialized"]) == 40


def test_a_file_with_much_room_in_it_is_written_anew(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_WORTH_BYTES", 10_000)
    for _ in range(3):
        run(instance, "A|2024-01-01", "B|2024-01-10")
    before, index = shown(instance), home / "history" / "runs" / "index.db"
    size = index.stat().st_size
    pruned_later(home)
    assert index.stat().st_size < 0.7 * size
    assert rows(home, "pragma integrity_check") == [("ok",)]
    assert shown(instance) == before


def test_a_home_without_storage_has_nothing_to_prune(tmp_path: Path) -> None:
    assert pruned_later(tmp_path) == retention.Pruned(0, 0)
    assert retention.old_runs(tmp_path, datetime.now(UTC)) == []
    assert list(tmp_path.iterdir()) == []


def test_dagsters_storage_that_cannot_be_read_is_one_sentence(
    home: Path, instance: dg.DagsterInstance
) -> None:
    instance.dispose()
    (home / "history" / "runs.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(RecordingError, match="cannot be pruned .file is not a database."):
        pruned_later(home)


def test_the_command_says_what_went(
    home: Path,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    run(instance, "A|2024-01-01", "A|2024-01-02")
    with closing(sqlite3.connect(home / "history" / "runs.db")) as runs:
        runs.execute("update runs set update_timestamp = datetime('now', '-80 days')")
        runs.commit()
    capsys.readouterr()
    for days, count in (("81", 0), ("79", 1)):
        assert exit_code(["prune", "--older-than", days, "--plan"]) == 0
        assert capsys.readouterr().err == f"Runs to prune in {home}: {count}.\n"
    assert exit_code(["prune", "--older-than", "79"]) == 0
    assert re.fullmatch(rf"Runs pruned in {home}: 1; 0\.\d MB freed\.\n", capsys.readouterr().err)
    assert instance.get_runs() == []
    for wrong in ("0", "-1", "soon", "1000000"):
        assert exit_code(["prune", "--older-than", wrong]) == 2
        assert "'--older-than'" in capsys.readouterr().err


ELSEWHERE = {
    "ours in PostgreSQL": (ROOT / "deploy" / "dagster.yaml").read_text(),
    "Dagster's in PostgreSQL": "storage: {postgres: {postgres_url: postgresql://nowhere/dagster}}",
    "somebody's own": "storage: {custom: {module: theirs, class: TheirStorage}}",
}
HERE = {
    "ours": (ROOT / "deribit_pipeline" / "dagster.yaml").read_text(),
    "ours formerly": (Path(__file__).parent / "former" / "dagster-0.1.0.yaml").read_text(),
    "Dagster's": "storage: {sqlite: {base_dir: {env: DAGSTER_HOME}}}",
    "nothing said of them": "telemetry: {enabled: false}",
    "nothing said": "",
}


@pytest.mark.parametrize("configuration", ELSEWHERE.values(), ids=ELSEWHERE)
def test_dagsters_storage_elsewhere_is_not_reported_as_pruned(
    home: Path, instance: dg.DagsterInstance, configuration: str
) -> None:
    run(instance, "A|2024-01-01", "A|2024-01-02")
    (home / "dagster.yaml").write_text(configuration)
    for ask in (retention.prune, retention.old_runs):
        with pytest.raises(RecordingError, match="is not in its folder"):
            ask(home, datetime.now(UTC) + LATER)
    assert len(instance.get_runs()) == 1


@pytest.mark.parametrize("configuration", HERE.values(), ids=HERE)
def test_dagsters_storage_in_the_home_is_pruned_by_any_class_name(
    tmp_path: Path, configuration: str
) -> None:
    (tmp_path / "dagster.yaml").write_text(configuration)
    assert pruned_later(tmp_path) == retention.Pruned(0, 0)


@pytest.mark.parametrize("configuration", ["storage: {custom: {", "- storage"])
def test_a_configuration_that_is_not_understood_is_one_sentence(
    tmp_path: Path, configuration: str
) -> None:
    (tmp_path / "dagster.yaml").write_text(configuration)
    with pytest.raises(RecordingError, match="dagster.yaml .* not understood: fix it"):
        pruned_later(tmp_path)
