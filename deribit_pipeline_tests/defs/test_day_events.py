"""What Dagster's UI shows of a day: its own state and numbers, in green only if it is settled."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.definitions import build_definitions
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.defs.test_assets import (
    END,
    QUIET,
    START,
    failure_of,
    materialized,
    run,
    shown,
)
from deribit_pipeline_tests.helpers.processes import environment

BTC = "BTC-PERPETUAL"
NOON_OF_JANUARY_2 = int(datetime(2024, 1, 2, 12, tzinfo=UTC).timestamp() * 1_000)
FOUR_DAYS = {START: f"{BTC}|2024-01-01", END: f"{BTC}|2024-01-04"}
HOUR = 3_600_000


def proofs(warehouse: Warehouse) -> dict[str, tuple[str, int, int, str]]:
    with warehouse.reading() as connection:
        rows = connection.execute(
            "select instrument_name || '|' || day, state, received, missing, content_hash "
            "from candle_days"
        ).fetchall()
    return {key: tuple(values) for key, *values in rows}


def test_each_day_of_a_run_shows_its_own_state_rows_missing_and_hash(
    settings: Settings, instance: dg.DagsterInstance, sandbox: SandboxExchange, warehouse: Warehouse
) -> None:
    sandbox.charts.omit(BTC, NOON_OF_JANUARY_2, NOON_OF_JANUARY_2 + HOUR)
    assert run(settings, instance, tags=FOUR_DAYS).success
    held, events = proofs(warehouse), shown(instance)
    assert len(held) == 4
    assert held == {
        key: (each["state"], each["rows"], each["missing"], each["content_hash"])
        for key, each in events.items()
    }
    assert (events[f"{BTC}|2024-01-02"]["rows"], events[f"{BTC}|2024-01-03"]["rows"]) == (
        1_380,
        1_440,
    )
    assert {(each["run_days"], each["run_rows"]) for each in events.values()} == {
        (4, 4 * 1_440 - 60)
    }


def test_the_newest_settled_day_of_a_run_has_its_totals_and_its_picture(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    tags = {START: f"{BTC}|2024-01-01", END: "ETH-PERPETUAL|2024-01-03"}
    assert run(settings, instance, tags=tags).success
    events = shown(instance)
    assert len(events) == 6
    [newest] = [key for key, each in events.items() if "picture" in each]
    assert newest.endswith("|2024-01-03")
    assert events[newest]["run_days_by_state"] == {"complete": 6}
    totals = {"run_missing", "run_revised", "run_requests", "run_seconds", "run_rows_per_second"}
    assert [key for key, each in events.items() if totals & set(each)] == [newest]


def test_a_gapped_day_is_not_materialized_and_its_run_succeeds(
    settings: Settings, instance: dg.DagsterInstance, sandbox: SandboxExchange
) -> None:
    sandbox.charts.omit(BTC, NOON_OF_JANUARY_2, NOON_OF_JANUARY_2 + HOUR)
    assert run(settings, instance, tags=FOUR_DAYS).success
    gapped = f"{BTC}|2024-01-02"
    assert materialized(instance) == [f"{BTC}|2024-01-0{day}" for day in (1, 3, 4)]
    assert (shown(instance)[gapped]["state"], shown(instance)[gapped]["missing"]) == ("gapped", 60)
    sandbox.charts.find(BTC)
    assert run(settings, instance, key=gapped).success
    assert gapped in materialized(instance)


def test_a_day_is_materialized_once_it_is_over(
    settings: Settings, instance: dg.DagsterInstance, clock: Clock
) -> None:
    today = f"{BTC}|{clock.now.date()}"
    assert run(settings, instance, key=today).success
    assert materialized(instance) == []
    assert (shown(instance)[today]["state"], shown(instance)[today]["rows"]) == ("open", 720)
    clock.forward(timedelta(days=1))
    assert run(settings, instance, key=today).success
    assert materialized(instance) == [today]


def test_a_day_before_the_listing_is_materialized_without_rows(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    unlisted = "BTC-PERPETUAL|2018-08-02"
    assert run(settings, instance, key=unlisted).success
    assert materialized(instance) == [unlisted]
    assert (shown(instance)[unlisted]["state"], shown(instance)[unlisted]["rows"]) == (
        "not_listed",
        0,
    )


def test_a_run_that_finds_a_recorded_day_gapped_fails(
    settings: Settings, instance: dg.DagsterInstance, sandbox: SandboxExchange
) -> None:
    key = f"{BTC}|2024-01-02"
    instance.report_runless_asset_event(
        dg.AssetMaterialization("candles_1m", partition=key)  # as former versions recorded it
    )
    sandbox.charts.omit(BTC, NOON_OF_JANUARY_2, NOON_OF_JANUARY_2 + HOUR)
    result = run(settings, instance, tags=FOUR_DAYS)
    assert not result.success
    assert f"gapped that an earlier run recorded as complete: {key}." in failure_of(result)[0]
    assert len(shown(instance)) == 4


def test_an_asset_made_of_another_follows_it_in_the_same_run(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    definitions = build_definitions(settings)
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey("trades"), dg.AssetKey("candles_rebuilt")],
        partition_key=f"{BTC}|2024-04-08",
        run_config=QUIET,
    )
    assert result.success
    for asset in ("trades", "candles_rebuilt"):
        assert materialized(instance, asset) == [f"{BTC}|2024-04-08"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("--instruments", "BTC-PERPETUAL,ETH-PERPETUAL", "--end", "2024-01-03"),
            {"dataset": "candles_1m", "instruments": "BTC-PERPETUAL, ETH-PERPETUAL",
             "days": "2024-01-01 to 2024-01-03"},
        ),
        (
            ("--dataset", "volatility_index", "--series", "BTC", "--end", "2024-01-01"),
            {"dataset": "volatility_index", "currencies": "BTC", "days": "2024-01-01"},
        ),
    ],
)  # fmt: skip
def test_a_run_is_tagged_with_dataset_series_and_days_and_not_with_its_process(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    expected: dict[str, str],
) -> None:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(settings.dagster_home.parent)
    assert exit_code(["backfill", "--start", "2024-01-01", *arguments]) == 0
    with dg.DagsterInstance.get() as recorded:
        [made] = recorded.get_runs()
    shown_tags = {
        name: value
        for name, value in made.tags.items()
        if not name.startswith(("dagster/", ".dagster/"))
    }
    assert shown_tags == expected
