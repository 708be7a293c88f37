"""Dagster's asset checks, made of the warehouse's rules."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
)

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.datasets.rules import rules_of
from deribit_pipeline.definitions import build_definitions
from deribit_pipeline.defs.checks import dataset_checks
from deribit_pipeline.defs.recording_check import datasets_to_record, recording_check
from deribit_pipeline.defs.schedules import is_kept
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.exchange.session import spool_of
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.recorder.recorder_loop import RECORDABLE
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.spool_entries import ALIVE, Entry
from deribit_pipeline.spool.writer import StreamWriter
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import HELD_NAMES as NAMES
from deribit_pipeline_tests.conftest import HELD_UNTIL as NOW
from deribit_pipeline_tests.conftest import every_store
from deribit_pipeline_tests.defs.test_assets import QUIET
from deribit_pipeline_tests.helpers.written_warehouse import forget_datasets

NAMES_OF_RULES = {rule.name for rule in rules_of(CANDLES[Resolution.HOUR_1])}


def evaluations(warehouse: Warehouse, resolution: Resolution) -> dict[str, dg.AssetCheckEvaluation]:
    checks = dataset_checks(CANDLES[resolution], warehouse, NAMES, lambda: NOW, is_on=True)
    asset = dg.AssetSpec(CANDLES[resolution].name)
    job = dg.define_asset_job("check", selection=dg.AssetSelection.all_asset_checks())
    location = dg.Definitions(assets=[asset], asset_checks=[checks], jobs=[job])
    with dg.DagsterInstance.ephemeral() as instance:
        result = location.resolve_job_def("check").execute_in_process(
            instance=instance, run_config=QUIET
        )
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def test_every_candles_asset_has_every_check_that_fits(settings: Settings) -> None:
    graph = build_definitions(settings).resolve_asset_graph()
    for resolution in Resolution:
        asset = dg.AssetKey(CANDLES[resolution].name)
        names = {key.name for key in graph.get_check_keys_for_assets({asset})}
        coarse = {"agrees_with_one_minute_candles"} if resolution.label in ("1h", "1d") else set()
        assert names == NAMES_OF_RULES - {"agrees_with_one_minute_candles"} | coarse


@every_store
def test_where_all_candles_are_sound_every_check_passes(sound: Warehouse) -> None:
    for resolution in ("1", "1D"):
        for each in evaluations(sound, Resolution(resolution)).values():
            assert each.passed, each
            assert each.description == "Holds for all 8 stored instrument-days."
            assert each.metadata["rows"].value == 0


def test_a_file_of_an_older_version_is_checked_as_it_is(sound: Warehouse) -> None:
    with sound.writing() as connection:
        forget_datasets(connection)
        connection.execute("update warehouse_info set schema_version = 1")
    for each in evaluations(sound, Resolution.DAY_1).values():
        assert each.passed, each
    with duckdb.connect(str(sound.location), read_only=True) as connection:
        query = "select schema_version from warehouse_info"
        assert connection.execute(query).fetchall() == [(1,)]


@every_store
def test_a_failed_check_says_how_many_which_and_how_it_was_found(
    sound: Warehouse, plant: Callable[[str], None]
) -> None:
    plant("update candles set high = low - 1 where resolution = '60'")
    plant("update candle_days set state = 'open' where resolution = '60' and day = '2024-04-08'")
    made = evaluations(sound, Resolution.HOUR_1)
    assert {name for name, each in made.items() if not each.passed} == {
        "no_past_day_is_open", "prices_are_in_range", "volumes_match_prices",
        "agrees_with_one_minute_candles",
    }  # fmt: skip
    prices, days = made["prices_are_in_range"], made["no_past_day_is_open"]
    assert prices.severity is dg.AssetCheckSeverity.WARN
    assert days.severity is dg.AssetCheckSeverity.ERROR
    assert days.description is not None
    assert days.description.startswith(
        "2 rows break this rule, first BTC-PERPETUAL, day 2024-04-08, state open, expected 24"
    )
    metadata: dict[str, Any] = {name: value.value for name, value in prices.metadata.items()}
    assert metadata["rows"] == 168
    assert "where resolution = '60'" in metadata["sql"]
    assert metadata["sql"].startswith("```sql\n")
    table = prices.metadata["first_rows"]
    assert isinstance(table, dg.TableMetadataValue)
    assert len(table.records) == 10
    assert table.records[0].data["opened_at"] == "2024-04-07 00:00:00+00"
    assert [column.name for column in table.schema.columns][:3] == [
        "instrument_name", "opened_at", "open"
    ]  # fmt: skip


def failed_checks(settings: Settings, instance: dg.DagsterInstance) -> set[str]:
    """Materialize three days of 2024, which check their asset; returns the checks that fail."""
    job = build_definitions(settings).resolve_implicit_global_asset_job_def()
    tags = {
        "dagster/asset_partition_range_start": "BTC-PERPETUAL|2024-01-01",
        "dagster/asset_partition_range_end": "BTC-PERPETUAL|2024-01-03",
    }
    result = job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey("candles_1m")], tags=tags,
        run_config=QUIET,
    )  # fmt: skip
    made = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert set(made) == NAMES_OF_RULES - {"agrees_with_one_minute_candles"}
    return {name for name, each in made.items() if not each.passed}


def test_a_backfill_of_history_passes_all_checks_while_no_schedule_is_running(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    assert failed_checks(settings, instance) == set()


def test_what_a_running_schedule_keeps_must_be_fresh(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    # By this machine's clock, January 2024 is long ago.
    assert failed_checks(replace(settings, schedules=True), instance) == {"is_fresh"}


def test_a_dataset_is_kept_by_the_schedules_that_run_in_the_ui(tmp_path: Path) -> None:
    candles, by_hand = CANDLES[Resolution.MINUTE_1], DATASETS["trades"]
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert is_kept(instance, candles, is_on=True)
        assert not is_kept(instance, candles, is_on=False)
        assert not is_kept(instance, CANDLES[Resolution.MINUTE_3], is_on=True)  # has no schedule
        switch(instance, by_hand, InstigatorStatus.RUNNING)
        assert is_kept(instance, by_hand, is_on=False)
        switch(instance, candles, InstigatorStatus.STOPPED)
        assert not is_kept(instance, candles, is_on=True)


def test_the_ui_records_what_its_schedules_take_in(tmp_path: Path) -> None:
    by_hand = DATASETS["trades"]
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert datasets_to_record(instance, Settings()) == []
        found = datasets_to_record(instance, Settings(schedules=True))
        assert found == [each.name for each in RECORDABLE if not each.is_scheduled_by_hand]
        switch(instance, by_hand, InstigatorStatus.RUNNING)
        assert datasets_to_record(instance, Settings()) == [by_hand.name]


def test_recordings_of_trades_are_checked_where_there_are_any(
    settings: Settings, tmp_path: Path
) -> None:
    def passed() -> bool:
        check = recording_check(settings, DATASETS["trades"], "trades")
        job = dg.define_asset_job("check", selection=dg.AssetSelection.all_asset_checks())
        location = dg.Definitions(assets=[dg.AssetSpec("trades")], asset_checks=[check], jobs=[job])
        with dg.DagsterInstance.ephemeral() as instance:
            result = location.resolve_job_def("check").execute_in_process(
                instance=instance, run_config=QUIET
            )
        [evaluation] = result.get_asset_check_evaluations()
        return evaluation.passed

    assert passed()
    spool = spool_of(settings)
    with spool.recording():
        now = datetime.now(UTC)
        writer = StreamWriter(spool, "trades/future.BTC")
        writer.write(now, [Entry(ALIVE, now, now - timedelta(minutes=2), {"connection": 1})])
    assert not passed()
    writer.write(now, [Entry(ALIVE, now, now, {"connection": 1})])
    assert passed()


def switch(instance: dg.DagsterInstance, dataset: Dataset, status: InstigatorStatus) -> None:
    """Start or stop all schedules of a dataset, as its page does."""
    location = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__")
    for schedule in dataset.schedules:
        origin = RemoteInstigatorOrigin(location, dataset.schedule_name(schedule))
        instance.add_instigator_state(
            InstigatorState(
                origin, InstigatorType.SCHEDULE, status, ScheduleInstigatorData("0 0 * * *")
            )
        )


def test_one_check_can_run_alone(settings: Settings, warehouse: Warehouse) -> None:
    with warehouse.writing():
        pass
    job = dg.define_asset_job(
        "check",
        selection=dg.AssetSelection.checks(
            dg.AssetCheckKey(dg.AssetKey("candles_1m"), "has_no_gaps")
        ),
    )
    location = dg.Definitions.merge(build_definitions(settings), dg.Definitions(jobs=[job]))
    with dg.DagsterInstance.ephemeral() as instance:
        result = location.resolve_job_def("check").execute_in_process(
            instance=instance, run_config=QUIET
        )
    [made] = result.get_asset_check_evaluations()
    assert (made.check_name, made.passed) == ("has_no_gaps", True)


def test_where_nothing_is_held_the_checks_pass_and_say_so(
    settings: Settings, warehouse: Warehouse
) -> None:
    for each in evaluations(warehouse, Resolution.DAY_1).values():
        assert (each.passed, "does not exist" in str(each.description)) == (False, True)
    with warehouse.writing():
        pass
    for each in evaluations(warehouse, Resolution.DAY_1).values():
        assert each.passed
        assert each.description == "No days of 1d candles are stored."


def test_a_file_that_cannot_be_read_fails_the_checks_with_one_sentence(settings: Settings) -> None:
    busy = warehouse_at(settings.warehouse, Environment.SANDBOX, patience=0.05)
    with busy.writing():
        pass
    with duckdb.connect(str(settings.warehouse)):
        for each in evaluations(busy, Resolution.DAY_1).values():
            assert not each.passed
            assert each.severity is dg.AssetCheckSeverity.ERROR
            assert "is open in this process" in str(each.description)
    settings.warehouse.write_text("something else")
    for each in evaluations(busy, Resolution.DAY_1).values():
        assert "cannot be opened as a DuckDB file" in str(each.description)
        assert "\n" not in str(each.description)
