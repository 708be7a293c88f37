"""The assets in Dagster: ranges, failures that keep proved days, the range guard, the check."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.registry import ROW_DATASETS
from deribit_pipeline.definitions import build_definitions
from deribit_pipeline.defs.assets import dataset_asset
from deribit_pipeline.defs.partitions import days_by_series, partition_key, series_days
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Group, SeriesKind
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.previews import Preview
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.sandbox.exchange import CLIENT_ID, Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock

CHART = "public/get_tradingview_chart_data"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@pytest.fixture
def universe(settings: Settings) -> Settings:
    return replace(settings, instruments=("BTC-PERPETUAL", "ETH-PERPETUAL", "SOL_USDC-PERPETUAL"))


def run(
    settings: Settings,
    instance: dg.DagsterInstance,
    asset: str = "candles_1m",
    *,
    key: str | None = None,
    tags: dict[str, str] | None = None,
    config: dict[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialize one asset of the code location like Dagster's launchers."""
    definitions = build_definitions(settings)
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(asset)],
        partition_key=key,
        tags=tags,
        run_config=QUIET | (config or {}),
        raise_on_error=False,
    )


def failure_of(result: dg.ExecuteInProcessResult) -> tuple[str, dict[str, Any]]:
    """The message and the metadata of the failed step."""
    failure = result.failure_data_for_node("candles_1m")
    assert failure is not None, "the step did not fail"
    assert failure.user_failure_data is not None, failure.error.to_string()
    return str(failure.user_failure_data.description), dict(failure.user_failure_data.metadata)


def materialized(instance: dg.DagsterInstance, asset: str = "candles_1m") -> list[str]:
    return sorted(instance.get_materialized_partitions(dg.AssetKey(asset)))


def shown(instance: dg.DagsterInstance, asset: str = "candles_1m") -> dict[str, dict[str, Any]]:
    """The newest metadata that the UI shows of each partition, materialized or observed."""
    key = dg.AssetKey(asset)
    records = [
        *instance.fetch_observations(key, limit=1_000).records,
        *instance.fetch_materializations(key, limit=1_000).records,
    ]
    found = {}
    for record in sorted(records, key=lambda each: each.storage_id):
        event = record.asset_materialization or record.asset_observation
        assert event is not None
        assert event.partition is not None
        found[event.partition] = {name: value.value for name, value in event.metadata.items()}
    return found


def states(settings: Settings) -> list[tuple[Any, ...]]:
    with warehouse_at(settings.warehouse, settings.environment).reading() as connection:
        return connection.execute(
            "select instrument_name || '|' || day, state from candle_days order by all"
        ).fetchall()


def test_the_code_location_loads_and_has_the_assets_of_the_contract(settings: Settings) -> None:
    definitions = build_definitions(settings)
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    names = {key.to_user_string() for key in graph.get_all_asset_keys()}
    lengths = ["1m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "3h", "6h", "12h", "1d"]
    candles = {f"candles_{length}" for length in lengths}
    market = {dataset.name for dataset in ROW_DATASETS if dataset.group is Group.MARKET}
    assert names == candles | market | {"deribit_api", "instruments"}
    for resolution in Resolution:
        node = graph.get(dg.AssetKey(f"candles_{resolution.label}"))
        assert node.description
        assert node.partitions_def.has_partition_key("BTC-PERPETUAL|2024-01-31")
        assert node.backfill_policy == dg.BackfillPolicy.single_run()
        assert node.metadata["dagster/column_schema"].columns[4].name == "high"


def test_an_asset_says_where_its_rows_come_from_and_what_keeps_them(settings: Settings) -> None:
    graph = build_definitions(settings).resolve_asset_graph()
    output = {
        name: graph.get(dg.AssetKey(name)).description or ""
        for name in ("trades", "candles_rebuilt", "funding_rates", "candles_5m")
    }
    by_hand = "Its schedule is off until you start it"
    assert by_hand in output["candles_rebuilt"]
    assert "made of the stored trades: one partition" in output.pop("candles_rebuilt")
    assert all("as returned by the exchange" in text for text in output.values())
    assert by_hand in output["trades"]
    assert by_hand not in output["funding_rates"]
    assert "Kept up to date by its schedules" in output["funding_rates"]
    assert "it has no schedule" in output["candles_5m"]


def test_descriptions_are_plain_text_because_lists_show_markdown_as_it_is_written(
    settings: Settings,
) -> None:
    definitions = build_definitions(replace(settings, client_id=CLIENT_ID, client_secret="secret"))
    graph = definitions.resolve_asset_graph()
    texts = [graph.get(key).description for key in graph.get_all_asset_keys()]
    for key in graph.get_all_asset_keys():
        schema = graph.get(key).metadata.get("dagster/column_schema")
        texts += [column.description for column in schema.columns] if schema else []
    texts += [graph.get(key).description for key in graph.asset_check_keys]
    texts += [each.description for each in definitions.schedules or [] if hasattr(each, "name")]
    assert len(texts) > 200
    for text in texts:
        assert text
        assert not re.search(r"`|\*\*|^[-#] ", text, re.MULTILINE), text


def test_candles_are_grouped_by_the_unit_of_their_length(settings: Settings) -> None:
    graph = build_definitions(settings).resolve_asset_graph()
    groups: dict[str, list[str]] = {}
    for dataset in CANDLES.values():
        group = graph.get(dg.AssetKey(dataset.name)).group_name
        groups.setdefault(str(group), []).append(dataset.short_label)
    assert groups == {
        "candles_minutes": ["1m", "3m", "5m", "10m", "15m", "30m"],
        "candles_hours": ["1h", "2h", "3h", "6h", "12h"],
        "candles_days": ["1d"],
    }


def test_no_job_over_these_assets_can_be_launched_by_partition(settings: Settings) -> None:
    # Dagster's job backfills lose partitions of ranged runs (dagster-io/dagster#28861).
    assert list(build_definitions(settings).jobs or []) == []


def test_a_key_names_the_instrument_first() -> None:
    grid = series_days(SeriesKind.INSTRUMENT, ["B", "A"])
    assert grid.get_partition_keys()[0] == "B|2018-08-01"
    assert partition_key("A", date(2024, 1, 31)) == "A|2024-01-31"
    assert days_by_series(["A|2024-01-31", "B|2024-01-01", "A|2024-02-01"]) == {
        "A": [date(2024, 1, 31), date(2024, 2, 1)],
        "B": [date(2024, 1, 1)],
    }


def test_one_key_is_one_day(settings: Settings, instance: dg.DagsterInstance) -> None:
    key = "BTC-PERPETUAL|2024-01-31"
    assert run(settings, instance, key=key).success
    assert states(settings) == [(key, "complete")]
    metadata = shown(instance)[key]
    assert metadata["run_days_by_state"] == {"complete": 1}
    assert (metadata["run_rows"], metadata["run_requests"], metadata["run_revised"]) == (
        1_440,
        2,
        0,
    )
    assert metadata["run_seconds"] > 0


def test_a_range_is_one_run_and_few_requests(
    settings: Settings, instance: dg.DagsterInstance, sandbox: SandboxExchange
) -> None:
    tags = {START: "BTC-PERPETUAL|2024-01-01", END: "ETH-PERPETUAL|2024-01-07"}
    assert run(settings, instance, "candles_5m", tags=tags).success
    assert len(materialized(instance, "candles_5m")) == 14
    assert sandbox.requests[CHART] == 4  # one of each instrument, and once more
    assert {state for _, state in states(settings)} == {"complete"}


class WithoutPreviews(ForegroundBackfill):
    """Cannot read back its rows, because another process has locked the file."""

    def previews(self, resolution: Resolution, days: Days, outcome: Outcome) -> list[Preview]:
        raise WarehouseError("the file was held by another process")


def test_days_stand_without_a_picture_too(
    settings: Settings, instance: dg.DagsterInstance, opened: Callable[..., Exchange]
) -> None:
    deribit = WithoutPreviews(opened(), warehouse_at(settings.warehouse, settings.environment))
    asset = dataset_asset(
        CANDLES[Resolution.MINUTE_1], series_days(SeriesKind.INSTRUMENT, settings.instruments)
    )
    location = dg.Definitions(assets=[asset], resources={"deribit": deribit})
    location.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, partition_key="BTC-PERPETUAL|2024-01-01", run_config=QUIET
    )
    [metadata] = shown(instance).values()
    assert metadata["run_days_by_state"] == {"complete": 1}
    assert "picture" not in metadata


def test_a_day_across_instruments_is_fetched_together(
    universe: Settings, instance: dg.DagsterInstance
) -> None:
    tags = {START: "BTC-PERPETUAL|2024-01-01", END: "SOL_USDC-PERPETUAL|2024-01-01"}
    assert run(universe, instance, tags=tags).success
    assert [key for key, _ in states(universe)] == materialized(instance)
    assert len(materialized(instance)) == 3


def test_force_is_a_setting_of_the_run(
    settings: Settings, instance: dg.DagsterInstance, sandbox: SandboxExchange
) -> None:
    key = "BTC-PERPETUAL|2024-01-31"
    force = {"ops": {"candles_1m": {"config": {"force": True}}}}
    for config, requests in (({}, 2), ({}, 2), (force, 4)):  # one of two is for hours
        assert run(settings, instance, key=key, config=config).success
        assert sandbox.requests[CHART] == requests


def test_a_failing_range_records_what_it_proved(
    settings: Settings, instance: dg.DagsterInstance, faults: Faults
) -> None:
    def tells_of_late_january(method: str, reply: Reply) -> bool:
        ticks = reply.body["result"]["ticks"] if method == CHART else np.empty(0)
        return bool(np.any(ticks >= 1_706_140_800_000))  # 2024-01-25

    faults.corrupt_where("off_grid", tells_of_late_january)
    tags = {START: "BTC-PERPETUAL|2024-01-01", END: "BTC-PERPETUAL|2024-01-31"}
    result = run(settings, instance, tags=tags)
    assert not result.success
    proved = [key for key, _ in states(settings)]
    assert 10 < len(proved) < 31
    assert materialized(instance) == proved
    sentence, metadata = failure_of(result)
    assert "days are not proved: BTC-PERPETUAL|2024-01-" in sentence
    by_state = metadata["run_days_by_state"].value
    assert by_state == {"complete": len(proved), "not proved": 31 - len(proved)}

    faults.mend()
    assert run(settings, instance, tags=tags).success
    assert len(materialized(instance)) == 31


def test_an_unlisted_instrument_fails_with_one_sentence(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    nope = replace(settings, instruments=("NOPE",))
    result = run(nope, instance, key="NOPE|2024-01-31")
    sentence, _ = failure_of(result)
    assert "The exchange lists no instrument NOPE" in sentence


def test_a_run_in_which_dagster_would_lose_partitions_fails(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    # The tags of a backfill from a job: those of the range, and those of its first key.
    tags = {
        START: "BTC-PERPETUAL|2024-01-01",
        END: "BTC-PERPETUAL|2024-01-05",
        "dagster/partition/instrument": "BTC-PERPETUAL",
        "dagster/partition/utc_day": "2024-01-01",
    }
    result = run(settings, instance, tags=tags)
    assert not result.success
    assert materialized(instance) == []
    assert "launch the backfill from the asset's page" in failure_of(result)[0]


def test_a_reversed_range_fails(settings: Settings, instance: dg.DagsterInstance) -> None:
    tags = {START: "BTC-PERPETUAL|2024-01-05", END: "BTC-PERPETUAL|2024-01-01"}
    result = run(settings, instance, tags=tags)
    assert not result.success
    assert materialized(instance) == []
    assert "the range may be reversed" in failure_of(result)[0]


def check(settings: Settings) -> dg.AssetCheckEvaluation:
    definitions = build_definitions(settings)
    selection = dg.AssetSelection.checks_for_assets("deribit_api")
    job = dg.define_asset_job("check", selection=selection)
    with dg.DagsterInstance.ephemeral() as instance:
        location = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
        checking = location.resolve_job_def("check")
        result = checking.execute_in_process(instance=instance, run_config=QUIET)
    [evaluation] = result.get_asset_check_evaluations()
    return evaluation


def test_the_check_passes_where_all_is_at_hand(settings: Settings) -> None:
    evaluation = check(settings)
    assert (evaluation.asset_key, evaluation.check_name) == (
        dg.AssetKey("deribit_api"), "is_reachable"
    )  # fmt: skip
    assert evaluation.passed
    assert {
        "reachable", "clock", "environment", "platform", "limits", "websocket", "warehouse"
    } == set(evaluation.metadata)  # fmt: skip


def test_the_check_fails_with_what_to_do(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "no.duckdb").write_text("something else")
    wrong = replace(
        settings, warehouse=tmp_path / "no.duckdb", client_id=CLIENT_ID, client_secret="wrong"
    )
    evaluation = check(wrong)
    assert not evaluation.passed
    assert evaluation.description is not None
    assert "check DERIBIT_CLIENT_ID and DERIBIT_CLIENT_SECRET" in evaluation.description
    assert "cannot be opened as a DuckDB file" in evaluation.description


def test_the_grid_reaches_the_running_day_and_the_exchanges(clock: Clock) -> None:
    ahead = clock.now.date() + timedelta(days=4_000)
    grid = series_days(SeriesKind.INSTRUMENT, ["A"], date(2016, 1, 1), ahead)
    assert grid.has_partition_key(f"A|{ahead}")
    assert grid.has_partition_key("A|2016-01-01")
