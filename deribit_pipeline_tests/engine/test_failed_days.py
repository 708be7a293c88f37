"""Failed days are recorded, shown, and requested again."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from deribit_pipeline.cli import dagster_runs as making
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.datasets.index_prices import INDEX_PRICES
from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.defs.checks import dataset_checks
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Location
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.breaches import breaches
from deribit_pipeline.engine.failed_days import failed_days
from deribit_pipeline.engine.failures import note_failures, note_outage
from deribit_pipeline.engine.incomplete import incomplete_days
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.errors import DeribitUnavailable, WarehouseError
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock, every_store
from deribit_pipeline_tests.helpers.command_line import Command, commands
from deribit_pipeline_tests.helpers.mutations import each_of_both
from deribit_pipeline_tests.helpers.pipeline import CHART, Pipeline
from deribit_pipeline_tests.helpers.processes import environment

BTC = "BTC-PERPETUAL"
TWO = ("--start", "2024-01-01", "--end", "2024-01-02")
BACKFILL = ("backfill", "--instruments", BTC, *TWO)
FUNDING = "public/get_funding_rate_history"


@pytest.fixture
def command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(settings.dagster_home.parent)
    return commands(capsys)


def remembered(warehouse: Warehouse) -> list[tuple[str, str, str]]:
    with warehouse.reading() as connection:
        found = failed_days(connection, Selection())
    return [(each.dataset.name, each.series, str(each.day)) for each in found]


@pytest.mark.parametrize(
    ("more", "name", "method", "label", "fault"),
    [
        ((), "candles_1m", CHART, "1m", "off_grid"),
        (("--dataset", "funding_rates"), "funding_rates", FUNDING, "funding rates",
         "rows_off_grid"),
    ],
)  # fmt: skip
def test_days_that_failed_are_shown_and_repaired(
    command: Command,
    settings: Settings,
    faults: Faults,
    more: tuple[str, ...],
    name: str,
    method: str,
    label: str,
    fault: str,
) -> None:
    warehouse = warehouse_at(settings.warehouse, settings.environment)
    faults.corrupt_where(fault, lambda requested, reply: requested == method)
    assert command(*BACKFILL, *more)[0] == 1
    assert remembered(warehouse) == [(name, BTC, f"2024-01-0{day}") for day in (1, 2)]
    code, out, _ = command("coverage", "--html", "page.html")
    assert code == 0
    assert f"{BTC} {label}   2 not proved; 0 " in out
    assert "2024-01 xx\n" in out
    assert "  not proved 2024-01-01 to 2024-01-02: " in out
    assert "not_proved" in Path("page.html").read_text()
    code, out, err = command("verify")
    assert (code, out.count(": requested and not proved: ")) == (1, 2)
    assert "2 days requested and not proved: repair requests them again" in err
    code, _, err = command("repair")
    assert (code, "Nothing to repair" in err) == (1, False)
    faults.mend()
    assert command("repair")[0] == 0
    assert remembered(warehouse) == []
    with warehouse.reading() as connection:
        assert connection.execute("select count(*) from failed_days").fetchall() == [(0,)]
    assert command("repair")[2] == "Nothing to repair: every day that should be complete is.\n"
    assert command("verify")[0] == 0


def test_an_exchange_that_is_away_leaves_its_days_to_repair(
    command: Command, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = os.environ["DERIBIT_BASE_URL"]
    monkeypatch.setenv("DERIBIT_BASE_URL", "http://127.0.0.1:9/api/v2")
    assert command(*BACKFILL)[0] == 1
    monkeypatch.setenv("DERIBIT_BASE_URL", there)
    assert len(remembered(warehouse_at(settings.warehouse, settings.environment))) == 2
    code, out, _ = command("repair")
    assert (code, BTC in out) == (0, True)


def test_a_wrong_name_is_not_remembered(command: Command, settings: Settings) -> None:
    assert command("backfill", "--instruments", "BTC-PERPETAUL", *TWO)[0] == 2
    assert not settings.warehouse.exists()


def test_what_fails_under_dagster_is_remembered_with_its_run(
    pipeline: Pipeline, faults: Faults, clock: Clock
) -> None:
    faults.corrupt_where("off_grid", lambda method, reply: method == CHART)
    pipeline.backfill(date(2024, 1, 1), date(2024, 1, 1))
    with pipeline.warehouse.reading() as connection:
        [failed] = failed_days(connection, Selection())
    assert (failed.run_id, failed.day) == ("a run", date(2024, 1, 1))
    due = incomplete_days(pipeline.warehouse, clock.now)
    assert due.days == {CANDLES[Resolution.MINUTE_1]: {BTC: [date(2024, 1, 1)]}}
    faults.mend()
    pipeline.backfill(date(2024, 1, 1), date(2024, 1, 1))
    assert remembered(pipeline.warehouse) == []


def test_a_proved_day_that_fails_when_it_is_forced_stays_proved(
    pipeline: Pipeline, faults: Faults
) -> None:
    pipeline.backfill(date(2024, 1, 1), date(2024, 1, 1))
    faults.corrupt_where("off_grid", lambda method, reply: method == CHART)
    outcome = pipeline.backfill(date(2024, 1, 1), date(2024, 1, 1), force=True)
    assert len(outcome.failures) == 1
    assert remembered(pipeline.warehouse) == []


@pytest.mark.parametrize("dataset", [CANDLES[Resolution.MINUTE_1], FUNDING_RATES])
def test_a_check_names_failed_days_and_verdicts(pipeline: Pipeline, dataset: Any) -> None:
    from deribit_pipeline.datasets.rules import rules_of

    rules = {rule.name: rule for rule in rules_of(dataset)}
    table = "candle_days" if dataset.resolution else "dataset_days"
    ForegroundBackfill(pipeline._opened(), pipeline.warehouse).backfill(
        dataset, Job("a run", {BTC: [date(2024, 1, 1)]})
    )
    with pipeline.warehouse.writing() as connection:
        connection.execute(
            "insert into failed_days select $name, $series, unnest($days), 'refused', now(), 'r'",
            {"name": dataset.name, "series": BTC, "days": [date(2024, 1, 1), date(2024, 1, 2)]},
        )
        connection.execute(f"update {table} set verdict = 'odd', cross_check = 'disagrees'")
    with pipeline.warehouse.reading() as connection:
        for name, day in (
            ("no_day_has_failed", "2024-01-02"),
            ("no_day_has_a_warning", "2024-01-01"),
        ):
            parameters = rules[name].parameters(dataset.rule_values((BTC,), date(2024, 1, 3)))
            found = breaches(connection, rules[name], parameters)
            assert [row[:2] for row in found.first] == [(BTC, day)]


EXPORT = ["export", "--instruments", BTC, *TWO, "--format", "csv", "--to", "out"]


def gone(path: Path) -> None:
    path.unlink()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere/warehouse.duckdb")


def unmounted(path: Path) -> None:
    path.unlink()
    os.environ["DERIBIT_WAREHOUSE"] = str(path.parent / "nowhere" / path.name)


@each_of_both(
    "line, lose",
    [
        ["verify"],
        ["repair"],
        ["coverage"],
        [*EXPORT, "--allow-incomplete"],
        ["verify", "--against"],
    ],
    [gone, dangling, unmounted],
    ids=lambda value: value.__name__ if callable(value) else "-".join(value[:1] + value[-1:]),
)
def test_a_warehouse_that_is_gone_is_no_success(
    command: Command,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    line: list[str],
    lose: Callable[[Path], None],
) -> None:
    with warehouse_at(settings.warehouse, settings.environment).writing():
        pass
    if line[-1] == "--against":
        shutil.copy(settings.warehouse, "other.duckdb")
        line = [*line, "other.duckdb"]
    monkeypatch.setenv("DERIBIT_WAREHOUSE", str(settings.warehouse))
    lose(settings.warehouse)
    code, out, err = command(*line)
    assert code in (1, 2)
    assert (out, err.count("\n")) == ("", 1)


def test_a_warehouse_behind_a_link_to_a_disk_that_is_not_mounted_is_not_begun_anew(
    command: Command, settings: Settings, sandbox: SandboxExchange
) -> None:
    settings.warehouse.symlink_to("nowhere/warehouse.duckdb")
    code, _, err = command(*BACKFILL)
    assert (code, "whose folder does not exist" in err) == (2, True)
    assert sum(sandbox.requests.values()) == 0


def test_a_check_of_a_warehouse_that_is_gone_fails(settings: Settings) -> None:
    dataset = CANDLES[Resolution.MINUTE_1]
    gone = warehouse_at(settings.warehouse, settings.environment)
    job = dg.define_asset_job("check", selection=dg.AssetSelection.all_asset_checks())
    location = dg.Definitions(
        assets=[dg.AssetSpec(dataset.name)],
        asset_checks=[dataset_checks(dataset, gone, (BTC,))],
        jobs=[job],
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = location.resolve_job_def("check").execute_in_process(instance=instance)
    made = result.get_asset_check_evaluations()
    assert made
    assert not any(each.passed for each in made)
    assert all("does not exist" in str(each.description) for each in made)


REPLACED = {
    "removed": lambda path: path.unlink(),
    "replaced": lambda path: shutil.copy(path, "copy") and os.replace("copy", path),
}


@pytest.mark.parametrize("what", REPLACED)
def test_a_warehouse_that_is_replaced_or_removed_meanwhile_is_noticed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    warehouse = warehouse_at(settings.warehouse, settings.environment)
    with warehouse.writing():
        pass
    pinned = warehouse.pinned()
    with pinned.reading():
        pass
    monkeypatch.chdir(settings.warehouse.parent)
    with pytest.raises(WarehouseError, match=f"was {what} by another program"), pinned.writing():
        REPLACED[what](settings.warehouse)
    with pytest.raises(WarehouseError, match=f"was {what} by another program"), pinned.reading():
        pass
    assert not warehouse.exists() or warehouse.pinned() is not pinned


@pytest.mark.parametrize("what", ["removed", "replaced", "overwritten"])
def test_a_backfill_whose_warehouse_is_taken_away_does_not_end_well(
    command: Command, settings: Settings, sandbox: SandboxExchange, monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:  # fmt: skip
    with warehouse_at(settings.warehouse, settings.environment).writing():
        pass
    former = settings.warehouse.read_bytes()
    materialize = making._record

    def record(*arguments: Any) -> None:
        materialize(*arguments)
        if what == "overwritten":  # the same file on the disk, with other bytes
            settings.warehouse.write_bytes(former)
            return
        settings.warehouse.unlink()
        if what == "replaced":
            settings.warehouse.write_bytes(former)

    monkeypatch.setattr(making, "_record", record)
    code, out, err = command(*BACKFILL)
    assert code == 1
    if what == "removed":
        assert (out, "was removed by another program" in err) == ("", True)
    elif "was replaced by another program" not in err:  # where a file system gives a number again
        assert f"Not proved: {BTC} 2024-01-01 to 2024-01-02: it was proved and is no longer" in err


@pytest.mark.processes
@pytest.mark.parametrize("line", [["coverage"], ["verify"], ["--help"], ["backfill", *TWO]])
def test_everything_prints_where_only_ascii_does(
    command: Command, settings: Settings, sandbox: SandboxExchange, line: list[str]
) -> None:
    sandbox.charts.omit(BTC, 1_704_067_200_000, 1_704_067_260_000)
    assert command(*BACKFILL)[0] == 0
    program = "import sys; from deribit_pipeline.cli.main import main; main()"
    run = [sys.executable, "-c", program]
    env = environment(settings) | {"PYTHONIOENCODING": "ascii:strict", "LANG": "C", "LC_ALL": "C"}
    output = subprocess.run([*run, *line], env=env, capture_output=True, check=False)
    assert (output.returncode, b"Traceback" in output.stderr) == (0, False), output.stderr
    if line == ["coverage"]:
        assert b"2024-01 %#\n" in output.stdout
        assert b"# complete  o open  % gapped  . not listed  x not proved" in output.stdout


def test_a_day_with_a_verdict_is_shown_wherever_it_is_read(
    command: Command, settings: Settings
) -> None:
    from deribit_pipeline import read

    assert command(*BACKFILL)[0] == 0
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute(
            "update candle_days set verdict = 'close differs from the hour at 07:00', "
            "cross_check = 'disagrees' where day = '2024-01-02'"
        )
    _, out, _ = command("coverage", "--html", "page.html")
    assert f"{BTC} 1m   2 complete, 1 with a verdict; 2,880 candles" in out
    assert "  verdict 2024-01-02: close differs from the hour at 07:00" in out
    assert "close differs from the hour at 07:00,disagrees" in Path("page.html").read_text()
    code, _, err = command(*BACKFILL)
    assert code == 0
    assert f"Verdict: {BTC} 2024-01-02: close differs from the hour at 07:00" in err
    with pytest.warns(read.VerdictWarning, match="verdict on 2024-01-02: close differs"):
        frame = read.candles(BTC, "2024-01-01", "2024-01-02")
    assert frame.attrs["verdicts"] == {"2024-01-02": "close differs from the hour at 07:00"}
    assert read.candles(BTC, "2024-01-01", "2024-01-01").attrs.get("verdicts") is None


@every_store
def test_failures_are_remembered_until_the_day_is_proved(location: Location) -> None:
    warehouse = warehouse_at(location, Environment.SANDBOX)
    minutes, days = CANDLES[Resolution.MINUTE_1], [(BTC, date(2024, 1, day)) for day in (1, 2, 3)]
    note_failures(warehouse, minutes, dict.fromkeys(days, ("refused", "a run")))
    note_failures(warehouse, minutes, {days[0]: ("refused again", "another run")}, [days[1]])
    with warehouse.reading() as connection:
        found = failed_days(connection, Selection())
    assert [(each.day.day, each.reason, each.run_id) for each in found] == [
        (1, "refused again", "another run"),
        (3, "refused", "a run"),
    ]


def test_a_warehouse_that_cannot_be_written_is_no_second_failure(tmp_path: Path) -> None:
    (tmp_path / "w.duckdb").write_text("no database")
    warehouse = Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX)
    note_failures(warehouse, FUNDING_RATES, {(BTC, date(2024, 1, 1)): ("refused", "a run")})
    assert (tmp_path / "w.duckdb").read_text() == "no database"


def test_an_outage_records_no_day_that_can_no_longer_be_had(warehouse: Warehouse) -> None:
    today = datetime.now(UTC).date()
    days = {"btc_usd": [date(2023, 1, 1), today - timedelta(days=1), today]}
    error = DeribitUnavailable("it does not respond", method="public/get_time", params={})
    note_outage(warehouse, INDEX_PRICES, days, error)
    with warehouse.reading() as connection:
        noted = [each.day for each in failed_days(connection, Selection())]
    assert noted == [today - timedelta(days=1), today]
