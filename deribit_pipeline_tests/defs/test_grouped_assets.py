"""Groups of instruments in Dagster: assets, partitions, schedules and checks of their own."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorStatus

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.datasets.rules import rules_of
from deribit_pipeline.definitions import build_definitions
from deribit_pipeline.defs.checks import dataset_checks
from deribit_pipeline.defs.recording_check import datasets_to_record
from deribit_pipeline.defs.schedules import is_kept
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.engine.breaches import breaches
from deribit_pipeline.engine.group_members import PLAIN
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import HELD_UNTIL as NOW
from deribit_pipeline_tests.defs.test_assets import QUIET
from deribit_pipeline_tests.defs.test_checks import switch
from deribit_pipeline_tests.defs.test_schedules import Ticks, ranges
from deribit_pipeline_tests.engine.test_group_members import with_groups

GROUPS = "eth since 2024-01-05: ETH-PERPETUAL; dated: BTC-29MAR24"
BY_INSTRUMENT = [each for each in DATASETS.values() if each.series is SeriesKind.INSTRUMENT]
CANDLES_1M = DATASETS["candles_1m"]


@pytest.fixture
def grouped(settings: Settings) -> Settings:
    """One plain instrument, and two groups."""
    return with_groups(settings, "BTC-PERPETUAL", GROUPS)


def partitions_of(definitions: dg.Definitions, key: str) -> dg.PartitionsDefinition:
    found = definitions.resolve_asset_graph().get(dg.AssetKey(key.split("/"))).partitions_def
    assert found is not None
    return found


def test_each_group_has_an_asset_of_every_dataset_that_its_instruments_have(
    grouped: Settings, settings: Settings
) -> None:
    definitions = build_definitions(grouped)
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    names = {key.to_user_string() for key in graph.get_all_asset_keys()}
    plain = build_definitions(settings).resolve_asset_graph().get_all_asset_keys()
    eth = {f"eth/{dataset.name}" for dataset in BY_INSTRUMENT}
    dated = {f"dated/{each.name}" for each in BY_INSTRUMENT if not each.is_of_perpetuals}
    assert names == {key.to_user_string() for key in plain} | eth | dated
    rebuilt = graph.get(dg.AssetKey(["eth", "candles_rebuilt"]))
    assert rebuilt.parent_keys == {dg.AssetKey(["eth", "trades"])}
    assert "stored trades, for the instruments of the group eth:" in (rebuilt.description or "")
    assert {rebuilt.group_name, rebuilt.tags["instrument_group"]} == {"eth"}


def test_a_group_has_its_instruments_since_its_first_day(grouped: Settings) -> None:
    definitions = build_definitions(grouped)
    eth, plain = (
        partitions_of(definitions, "eth/candles_1m"),
        partitions_of(definitions, "candles_1m"),
    )
    assert eth.has_partition_key("ETH-PERPETUAL|2024-01-05")
    assert not eth.has_partition_key("ETH-PERPETUAL|2024-01-04")
    assert not eth.has_partition_key("BTC-PERPETUAL|2024-01-05")
    assert plain.has_partition_key("BTC-PERPETUAL|2024-01-04")
    assert not plain.has_partition_key("ETH-PERPETUAL|2024-01-05")


def test_a_group_that_a_selector_fills_stays_without_assets_until_something_is_listed(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    definitions = build_definitions(with_groups(settings, "BTC-PERPETUAL", "spot: kind=spot"))
    keys = definitions.resolve_asset_graph().get_all_asset_keys()
    assert not [key for key in keys if key.path[0] == "spot"]
    assert "kind=spot" in caplog.text
    assert (
        "The group spot of DERIBIT_GROUPS has no assets, because kind=spot selects" in caplog.text
    )


def test_a_group_is_materialized_under_its_own_name(
    grouped: Settings, instance: dg.DagsterInstance
) -> None:
    key = dg.AssetKey(["eth", "candles_1m"])
    job = build_definitions(grouped).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance, asset_selection=[key], partition_key="ETH-PERPETUAL|2024-01-31",
        run_config=QUIET,
    )  # fmt: skip
    assert result.success
    assert instance.get_materialized_partitions(key) == {"ETH-PERPETUAL|2024-01-31"}
    [run] = instance.get_runs()
    assert run.tags["instrument_group"] == "eth"


def test_a_moved_instrument_fails_its_run(grouped: Settings, instance: dg.DagsterInstance) -> None:
    moved = with_groups(grouped, "BTC-PERPETUAL", "other: ETH-PERPETUAL")
    succeeded = []
    for settings, group in ((grouped, "eth"), (moved, "other")):
        job = build_definitions(settings).resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey([group, "candles_1m"])],
            partition_key="ETH-PERPETUAL|2024-01-31", run_config=QUIET, raise_on_error=False,
        )  # fmt: skip
        succeeded.append(result.success)
    assert succeeded == [True, False]
    failure = result.failure_data_for_node("other__candles_1m")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert "put them back into the group eth" in str(failure.user_failure_data.description)


def test_each_group_has_schedules_of_its_own(grouped: Settings) -> None:
    ticks, now = Ticks(grouped), datetime(2024, 3, 1, 0, 10, tzinfo=UTC)
    for name, instrument in (
        ("candles_hourly", "BTC-PERPETUAL"),
        ("eth_candles_hourly", "ETH-PERPETUAL"),
        ("dated_candles_hourly", "BTC-29MAR24"),
    ):
        key = f"{instrument}|2024-03-01"
        assert ranges(ticks.at(name, now)) == [(key, key, False)]
    location = build_definitions(grouped)
    crons = {each: location.resolve_schedule_def(each).cron_schedule
             for each in ("candles_hourly", "eth_candles_hourly")}  # fmt: skip
    assert len(set(crons.values())) == 1
    assert ticks.at("eth_candles_hourly", datetime(2024, 1, 4, 23, 10, tzinfo=UTC)) == []


def test_the_recorder_records_what_the_schedule_of_any_group_takes_in(
    grouped: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def running(instance: dg.DagsterInstance, dataset: object, group: str, *, is_on: bool) -> bool:
        return dataset == DATASETS["trades"] and group == "dated"

    monkeypatch.setattr("deribit_pipeline.defs.recording_check.is_kept", running)
    with dg.DagsterInstance.ephemeral() as instance:
        assert datasets_to_record(instance, grouped) == ["trades"]
        assert datasets_to_record(instance, replace(grouped, groups=())) == []


def test_a_running_schedule_keeps_its_own_group_only(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert is_kept(instance, CANDLES_1M, "eth", is_on=True)
        switch(instance, CANDLES_1M, InstigatorStatus.RUNNING)  # of the plain asset
        assert is_kept(instance, CANDLES_1M, is_on=False)
        assert not is_kept(instance, CANDLES_1M, "eth", is_on=False)


@pytest.mark.parametrize("dataset", BY_INSTRUMENT, ids=lambda dataset: dataset.name)
def test_every_rule_names_the_instrument_first(sound: Warehouse, dataset: Dataset) -> None:
    values = dataset.rule_values((), NOW.date())
    for rule in rules_of(dataset):
        with sound.reading() as connection:
            found = breaches(connection, rule, rule.parameters(values))
        assert found.columns[0] in ("instrument_name", "series"), rule.name


def test_the_checks_of_a_group_report_its_instruments_and_the_plain_ones_all_others(
    sound: Warehouse, plant: Callable[[str], None]
) -> None:
    plant("update candles set high = low - 1 where resolution = '60'")
    dataset, members = DATASETS["candles_1h"], {"SOL_USDC-PERPETUAL": "alts", "NEW": "tail"}
    found = {}
    for group in (PLAIN, "alts", "tail"):
        checks = dataset_checks(dataset, sound, (), lambda: NOW, group=group, members=members)
        [key] = {each.asset_key for each in checks.check_keys}
        job = dg.define_asset_job("check", selection=dg.AssetSelection.all_asset_checks())
        location = dg.Definitions(assets=[dg.AssetSpec(key)], asset_checks=[checks], jobs=[job])
        with dg.DagsterInstance.ephemeral() as instance:
            result = location.resolve_job_def("check").execute_in_process(
                instance=instance, run_config=QUIET
            )
        for each in result.get_asset_check_evaluations():
            if each.check_name == "prices_are_in_range":
                found[key.to_user_string()] = (each.metadata["rows"].value, each.description or "")
                assert "list_contains(cast([" in str(each.metadata["sql"].value)
    assert {name: rows for name, (rows, _) in found.items()} == {
        "candles_1h": 84, "alts/candles_1h": 84, "tail/candles_1h": 0,
    }  # fmt: skip
    assert "first BTC-PERPETUAL, opened_at 2024-04-07" in found["candles_1h"][1]
    assert "first SOL_USDC-PERPETUAL, opened_at 2024-04-07" in found["alts/candles_1h"][1]
