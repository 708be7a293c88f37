"""The command line records each instrument in the assets of its group."""

import dagster as dg
import pytest

from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.configured_commands import Command, rows

DAYS = ("--start", "2024-04-08", "--end", "2024-04-09")
PLAIN = {"DERIBIT_INSTRUMENTS": "BTC-PERPETUAL"}
GROUPED = PLAIN | {"DERIBIT_GROUPS": "eth: ETH-PERPETUAL; alts: SOL_USDC-PERPETUAL"}


def recorded(settings: Settings, *asset: str) -> set[str]:
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        return set(instance.get_materialized_partitions(dg.AssetKey(asset)))


def keys(name: str) -> set[str]:
    return {f"{name}|2024-04-08", f"{name}|2024-04-09"}


def test_by_default_all_groups_are_backfilled_each_into_its_assets(
    command: Command, settings: Settings
) -> None:
    output = command("backfill", *DAYS, **GROUPED)
    assert output.code == 0, output.err
    assert recorded(settings, "candles_1m") == keys("BTC-PERPETUAL")
    assert recorded(settings, "eth", "candles_1m") == keys("ETH-PERPETUAL")
    assert recorded(settings, "alts", "candles_1m") == keys("SOL_USDC-PERPETUAL")
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        runs = {run.run_id: run.tags.get("instrument_group", "") for run in instance.get_runs()}
    held = rows(settings, "select distinct instrument_name, run_id from candle_days")
    assert {name: runs[run] for name, run in held} == {
        "BTC-PERPETUAL": "", "ETH-PERPETUAL": "eth", "SOL_USDC-PERPETUAL": "alts",
    }  # fmt: skip


def test_repair_records_what_it_fetches_in_the_assets_of_the_group(
    command: Command, settings: Settings
) -> None:
    last = ("--start", "2024-04-08", "--end", "2024-04-08")
    assert command("backfill", *last, "--dataset", "funding_rates", **GROUPED).code == 0
    assert command("backfill", *DAYS, "--dataset", "volatility_index", **GROUPED).code == 0
    assert command("repair", **GROUPED).code in (0, 1)
    assert "ETH-PERPETUAL|2024-04-08" in recorded(settings, "eth", "funding_rates")
    assert recorded(settings, "volatility_index")


def test_settled_days_are_recorded_in_a_new_home_without_a_request(
    command: Command, settings: Settings
) -> None:
    assert command("backfill", *DAYS, "--instruments", "ETH-PERPETUAL", **PLAIN).code == 0
    moved = command("backfill", *DAYS, **GROUPED | {"DAGSTER_HOME": f"{settings.dagster_home}-2"})
    assert moved.code == 0, moved.err
    again = command("backfill", *DAYS, **GROUPED | {"DAGSTER_HOME": f"{settings.dagster_home}-3"})
    assert again.err.splitlines()[-1].startswith("0 chart requests")
    with dg.DagsterInstance.from_config(f"{settings.dagster_home}-3") as instance:
        key = dg.AssetKey(["eth", "candles_1m"])
        assert instance.get_materialized_partitions(key) == keys("ETH-PERPETUAL")


@pytest.mark.parametrize(
    ("first", "second", "remedy"),
    [
        (GROUPED, {"DERIBIT_GROUPS": "tail: ETH-PERPETUAL"}, "back into the group eth"),
        (GROUPED, {"DERIBIT_GROUPS": ""}, "back into the group eth"),
        (PLAIN, GROUPED, "take them out of the group"),
    ],
)
def test_a_moved_instrument_is_refused_with_exit_code_2(
    command: Command,
    settings: Settings,
    first: dict[str, str],
    second: dict[str, str],
    remedy: str,
) -> None:
    eth = ("--instruments", "ETH-PERPETUAL")
    assert command("backfill", *DAYS, *eth, **first).code == 0
    output = command("backfill", *DAYS, *eth, **PLAIN | second)
    assert output.code == 2
    assert "The days of ETH-PERPETUAL are recorded in the assets" in output.err
    assert remedy in output.err
    assert recorded(settings, "tail", "candles_1m") == set()


def test_the_ui_does_not_start_where_an_instrument_was_moved(command: Command) -> None:
    eth = ("--instruments", "ETH-PERPETUAL")
    assert command("backfill", *DAYS, *eth, **GROUPED).code == 0
    output = command("ui", "--port", "0", **PLAIN | {"DERIBIT_GROUPS": "tail: ETH-PERPETUAL"})
    assert output.code == 2
    assert "are recorded in the assets of the group eth" in output.err


def test_groups_that_are_wrong_end_with_exit_code_2(command: Command) -> None:
    output = command("backfill", *DAYS, DERIBIT_GROUPS="alts SOL_USDC-PERPETUAL")
    assert output.code == 2
    assert "DERIBIT_GROUPS holds 'alts SOL_USDC-PERPETUAL', which is malformed" in output.err
    assert len(output.err.splitlines()) == 1
