"""The command line as a user runs it: what it prints, what it leaves, how it exits."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb

from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock, recorded
from deribit_pipeline_tests.helpers.configured_commands import WEEK, Command, rows

CHART = "public/get_tradingview_chart_data"


def test_a_backfill_is_proved_summed_up_and_shown_in_dagster(
    command: Command, settings: Settings
) -> None:
    output = command("backfill", *WEEK)
    assert output.code == 0
    for name in ("BTC-PERPETUAL", "ETH-PERPETUAL"):
        assert output.summary(name) == {"complete": "7", "candles": "10,080"}
    assert "14 of 14 days" in output.err
    assert re.search(r"8 chart requests, 20,160 candles received in \d", output.err)
    assert rows(settings, "select count(*) from complete_candles") == [(20_160,)]
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        assert len(instance.get_materialized_partitions(dg.AssetKey("candles_1m"))) == 14
        [run] = instance.get_runs()
        assert run.is_success
        assert rows(settings, "select distinct run_id from candle_days") == [(run.run_id,)]


def test_the_same_again_requests_nothing(command: Command, sandbox: SandboxExchange) -> None:
    command("backfill", *WEEK)
    before = sandbox.requests.copy()
    output = command("backfill", *WEEK)
    assert (output.code, sandbox.requests) == (0, before)
    assert output.out == "All 14 days are already complete.\n"


def test_days_unknown_to_dagster_are_recorded_without_requests(
    command: Command, settings: Settings, sandbox: SandboxExchange, tmp_path: Path
) -> None:
    command("backfill", *WEEK)
    before = sandbox.requests.copy()
    assert command("backfill", *WEEK, DAGSTER_HOME=str(tmp_path / "new_home")).code == 0
    assert sandbox.requests == before
    with dg.DagsterInstance.from_config(str(tmp_path / "new_home")) as instance:
        assert len(instance.get_materialized_partitions(dg.AssetKey("candles_1m"))) == 14


def test_a_plan_counts_and_does_nothing(
    command: Command, settings: Settings, sandbox: SandboxExchange
) -> None:
    quarter = ("--start", "2024-01-01", "--end", "2024-03-31", "--plan")
    output = command("backfill", *quarter, DERIBIT_REQUESTS_PER_SECOND="20", DERIBIT_BURST="10")
    assert output.code == 0
    counts = dict(re.findall(r"│ ([a-z, -]+?) +│ ([\d,.]+) +│", output.out))
    assert counts == {
        "requested instrument-days": "182",
        "already proved": "0",
        "chart requests": "56",
        "rows, at most": "262,080",
        "seconds at the rate limit": "2.4",
        "seconds in all, about": "5",
    }
    assert sandbox.requests[CHART] == 0
    assert not settings.warehouse.exists()


def test_a_plan_of_what_is_proved_is_empty(command: Command, sandbox: SandboxExchange) -> None:
    command("backfill", *WEEK)
    before = sandbox.requests.copy()
    output = command("backfill", *WEEK, "--plan")
    assert re.search(r"already proved +│ 14 ", output.out)
    assert re.search(r"chart requests +│ 0 ", output.out)
    assert sandbox.requests == before


def test_force_requests_again(command: Command, sandbox: SandboxExchange) -> None:
    command("backfill", *WEEK)
    before = sandbox.requests[CHART]
    assert command("backfill", *WEEK, "--force").code == 0
    assert sandbox.requests[CHART] == 2 * before


def test_a_range_without_an_end_ends_today_and_all_that_is_closed_is_proved(
    command: Command, clock: Clock, settings: Settings
) -> None:
    today = clock.now.date()
    output = command("backfill", "--start", str(today - timedelta(days=1)))
    assert output.code == 0
    assert output.summary("BTC-PERPETUAL") == {"complete": "1", "open": "1", "candles": "2,160"}
    assert (
        "Not over yet: 2 days; every closed row is stored. For the rest, run the same command "
        f"tomorrow with --start {today}.\n" in output.err
    )
    clock.forward(timedelta(days=1))
    output = command("backfill", "--start", str(today - timedelta(days=1)), "--end", str(today))
    assert output.code == 0
    assert output.summary("BTC-PERPETUAL") == {"complete": "2", "candles": "2,880"}


def test_an_instrument_outside_the_universe_works_by_name(command: Command) -> None:
    output = command(
        "backfill", "--instruments", "SOL_USDC-PERPETUAL", "--start", "2022-03-14",
        "--end", "2022-03-16", "--resolution", "60",
    )  # fmt: skip
    assert output.code == 0
    assert output.summary("SOL_USDC-PERPETUAL") == {
        "complete": "2",
        "not listed": "1",
        "candles": "35",
    }


def test_a_range_before_the_grid_of_the_ui_works(command: Command) -> None:
    output = command("backfill", "--start", "2017-12-30", "--end", "2018-01-02")
    assert (output.code, output.summary("BTC-PERPETUAL")["not listed"]) == (0, "4")


def test_a_gapped_day_is_proved(
    command: Command, sandbox: SandboxExchange, settings: Settings
) -> None:
    sandbox.charts.omit("BTC-PERPETUAL", 1_704_067_200_000, 1_704_067_260_000)
    output = command("backfill", *WEEK)
    assert output.code == 0
    assert output.summary("BTC-PERPETUAL") == {
        "complete": "6",
        "gapped": "1",
        "candles": "10,079",
        "missing": "1",
    }


def test_what_is_not_proved_is_named_with_the_reason(command: Command, faults: Faults) -> None:
    faults.corrupt_where("off_grid", lambda method, reply: method == CHART)
    output = command("backfill", *WEEK)
    assert output.code == 1
    assert output.summary("BTC-PERPETUAL")["not proved"] == "7"
    assert re.search(
        r"Not proved: BTC-PERPETUAL 2024-01-01 to .*did not open every 0:01:00", output.err
    )
    assert "Traceback" not in output.err + output.out


def test_repair_finds_what_is_not_complete_and_requests_again(
    command: Command, sandbox: SandboxExchange, clock: Clock
) -> None:
    clock.now = datetime(2024, 1, 10, 12, tzinfo=UTC)
    sandbox.charts.omit("BTC-PERPETUAL", 1_704_067_200_000, 1_704_067_260_000)
    command("backfill", *WEEK)
    assert command("backfill", "--start", "2024-01-09", "--end", "2024-01-09").code == 0
    sandbox.charts.find("BTC-PERPETUAL")
    output = command("repair")
    assert output.code == 0
    assert output.summary("BTC-PERPETUAL") == {"complete": "2", "candles": "2,880"}
    assert output.summary("ETH-PERPETUAL") == {"complete": "1", "candles": "1,440"}
    output = command("repair")
    assert (output.code, output.err) == (
        0,
        "Nothing to repair: every day that should be complete is.\n",
    )


def test_coverage_shows_a_cell_for_each_day(command: Command, sandbox: SandboxExchange) -> None:
    sandbox.charts.omit("BTC-PERPETUAL", 1_704_153_600_000, 1_704_153_660_000)
    command("backfill", *WEEK)
    command("backfill", "--instruments", "SOL_USDC-PERPETUAL", "--start", "2022-03-13",
            "--end", "2022-03-15", "--resolution", "1D")  # fmt: skip
    output = command("coverage")
    assert output.code == 0
    assert (
        "BTC-PERPETUAL 1m   6 complete, 1 gapped; 10,079 candles\n2024-01 █▒█████\n" in output.out
    )
    assert "SOL_USDC-PERPETUAL 1d   1 complete, 2 not listed; 1 candle\n" in output.out
    assert f"2022-03 {' ' * 12}··█\n" in output.out
    only = command("coverage", "--instruments", "ETH-PERPETUAL", "--resolution", "1").out
    assert "ETH-PERPETUAL" in only
    assert "BTC" not in only


def test_verify_finds_nothing_and_then_what_was_changed(
    command: Command, settings: Settings
) -> None:
    command("backfill", *WEEK)
    output = command("verify")
    assert (output.code, output.out) == (0, "")
    assert "14 days with 20,160 rows recomputed" in output.err
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("delete from candles where opened_at = '2024-01-03 00:07:00+00'")
    output = command("verify")
    assert output.code == 1
    assert output.out.splitlines()[0].startswith(
        "BTC-PERPETUAL 1m 2024-01-03: received is 1439, the proof has 1440; "
    )
    assert command("verify", "--end", "2024-01-02").code == 0


def test_check_prints_a_line_a_probe(command: Command, clock: Clock) -> None:
    clock.now = datetime.now(UTC)
    right = {"DERIBIT_CLIENT_ID": CLIENT_ID, "DERIBIT_CLIENT_SECRET": CLIENT_SECRET}
    output = command("check", **right)
    assert output.code == 0
    probes = [line.split()[:2] for line in output.out.splitlines()]
    assert probes == [
        ["ok", name]
        for name in (
            "reachable", "environment", "clock", "platform", "limits", "websocket", "credentials",
            "warehouse",
        )
    ]  # fmt: skip
    assert re.search("^ok +environment +sandbox, as configured$", output.out, re.M)
    assert CLIENT_SECRET not in output.out + output.err


def test_check_says_what_to_do(command: Command) -> None:
    output = command("check", DERIBIT_BASE_URL="http://127.0.0.1:9/api/v2")
    assert output.code == 1
    assert output.out.startswith("FAIL reachable")
    assert "Check DERIBIT_BASE_URL" in output.out


def test_the_recorded_chart_ends_in_the_warehouse(
    command: Command, settings: Settings, sandbox: SandboxExchange, clock: Clock
) -> None:
    # As of its recording the eighth candle was still open.
    clock.now = datetime(2026, 9, 20, 21, 17, tzinfo=UTC)
    sandbox.replay("public/get_instrument", recorded("instrument"))
    sandbox.replay(CHART, recorded("tradingview_chart"))
    output = command("backfill", "--instruments", "BTC-PERPETUAL", "--start", "2026-09-13",
                   "--end", "2026-09-20", "--resolution", "1D")  # fmt: skip
    assert output.code == 0  # today is not over
    assert output.summary("BTC-PERPETUAL") == {"complete": "7", "open": "1", "candles": "7"}
    chart = recorded("tradingview_chart")
    names = ("ticks", "open", "high", "low", "close", "volume", "cost")
    query = (
        "select epoch_ms(opened_at), columns(* exclude (instrument_name, resolution, opened_at))"
    )
    assert rows(settings, f"{query} from candles order by 1") == list(
        zip(*(chart[name][:7] for name in names), strict=True)
    )
