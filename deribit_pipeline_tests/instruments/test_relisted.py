"""Days that were settled by a wrong listing are requested again once the listing is right."""

import os
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.incomplete import incomplete_days
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.upkeep import due_for_repair, unsettled_of_last_week
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.refresh import refresh
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.command_line import Command, commands

LISTING = "public/get_instrument"
CHART = "public/get_tradingview_chart_data"
NAME = "SOL_USDC-PERPETUAL"  # listed on 2022-03-15 at 13:00
FIRST, LAST = date(2022, 3, 14), date(2022, 3, 18)
DAYS = list(days_between(FIRST, LAST))
HOURS = CANDLES[Resolution.HOUR_1]
RIGHT = {FIRST: DayState.NOT_LISTED} | dict.fromkeys(DAYS[1:], DayState.COMPLETE)

Backfill = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _credits_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of instruments are limited to one call a second after fifty, whatever the settings."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def exchange(opened: Callable[..., Exchange]) -> Exchange:
    return opened()


@pytest.fixture
def backfill(exchange: Exchange, warehouse: Warehouse) -> Backfill:
    def backfill(dataset: Dataset = HOURS, days: list[date] = DAYS) -> Outcome:
        here = ForegroundBackfill(exchange, warehouse)
        return here.backfill(dataset, Job("a run", {NAME: days}))

    return backfill


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs commands under an environment that holds these settings."""
    for name in [name for name in os.environ if name.startswith(("DERIBIT_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DERIBIT_ENV", "sandbox")
    monkeypatch.setenv("DERIBIT_BASE_URL", str(settings.base_url))
    monkeypatch.setenv("DERIBIT_WAREHOUSE", str(settings.warehouse))
    monkeypatch.setenv("DERIBIT_REQUESTS_PER_SECOND", "1000000")
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    return commands(capsys)


def list_wrongly(faults: Faults) -> None:
    """Every current listing has a listing time twenty days too late."""
    faults.corrupt_where("other_listing", lambda method, reply: method == LISTING)


def states(outcome: Outcome) -> dict[date, DayState]:
    assert outcome.failures == {}
    return {day: proof.state for (_, day), proof in outcome.proofs.items()}


@pytest.mark.parametrize("dataset", [HOURS, FUNDING_RATES, TRADES], ids=lambda each: each.name)
def test_the_same_backfill_again_requests_what_a_wrong_listing_left_out(
    backfill: Backfill, faults: Faults, dataset: Dataset
) -> None:
    list_wrongly(faults)
    assert set(states(backfill(dataset)).values()) == {DayState.NOT_LISTED}
    faults.mend()
    assert states(backfill(dataset)) == RIGHT


def test_a_first_day_that_was_cut_short_by_a_wrong_listing_is_requested_again(
    backfill: Backfill, sandbox: SandboxExchange, warehouse: Warehouse
) -> None:
    day = date(2022, 3, 20)
    created = int(datetime(2022, 3, 20, 7, tzinfo=UTC).timestamp() * 1000)
    returned = sandbox._methods[LISTING]
    sandbox._methods[LISTING] = lambda params: returned(params) | {"creation_timestamp": created}
    [proof] = backfill(days=[day]).proofs.values()
    assert (proof.state, proof.expected) == (DayState.COMPLETE, 17)
    sandbox._methods[LISTING] = returned
    [proof] = backfill(days=[day]).proofs.values()
    assert (proof.state, proof.expected, proof.received) == (DayState.COMPLETE, 24, 24)


def test_days_that_rest_on_a_listing_that_stands_cost_one_listing_and_nothing_else(
    backfill: Backfill, sandbox: SandboxExchange
) -> None:
    assert states(backfill()) == RIGHT
    sandbox.requests.clear()
    assert states(backfill()) == RIGHT
    assert sandbox.requests.total() == sandbox.requests[LISTING] == 1
    assert states(backfill(days=DAYS[2:])) == {day: RIGHT[day] for day in DAYS[2:]}
    assert sandbox.requests.total() == 1


def test_a_listing_that_is_not_to_be_had_leaves_the_days_as_they_are(
    backfill: Backfill, sandbox: SandboxExchange, caplog: pytest.LogCaptureFixture
) -> None:
    backfill()
    del sandbox._methods[LISTING]
    assert states(backfill()) == RIGHT
    assert f"Whether the listing of {NAME} still stands is unknown" in caplog.text


@pytest.mark.parametrize("dataset", [HOURS, FUNDING_RATES, TRADES], ids=lambda each: each.name)
def test_schedules_request_what_a_wrong_listing_left_out_once_the_table_knows_better(
    backfill: Backfill, exchange: Exchange, warehouse: Warehouse, faults: Faults, clock: Clock,
    dataset: Dataset,
) -> None:  # fmt: skip
    clock.now = datetime(2022, 3, 19, 0, 20, tzinfo=UTC)
    list_wrongly(faults)
    backfill(dataset)
    faults.mend()
    assert due_for_repair(warehouse, [NAME], dataset, clock.now) == {}
    clock.forward(timedelta(hours=8))
    refresh(exchange, warehouse, "USDC")
    assert due_for_repair(warehouse, [NAME], dataset, clock.now) == {NAME: DAYS[1:]}
    week = unsettled_of_last_week(warehouse, [NAME], dataset, clock.now.date())
    assert set(week[NAME]) >= set(DAYS[1:])
    clock.forward(timedelta(minutes=1))
    assert states(backfill(dataset)) == RIGHT
    assert due_for_repair(warehouse, [NAME], dataset, clock.now) == {}


def test_a_table_that_was_written_before_the_days_says_nothing_of_them(
    backfill: Backfill, exchange: Exchange, warehouse: Warehouse, faults: Faults, clock: Clock
) -> None:
    refresh(exchange, warehouse, "USDC")
    list_wrongly(faults)
    backfill()
    assert incomplete_days(warehouse, clock.now, Selection((HOURS,))).days == {}


def test_repair_and_backfill_requests_what_a_wrong_listing_left_out(
    run: Command, faults: Faults, warehouse: Warehouse
) -> None:
    window = ("--instruments", NAME, "--start", FIRST, "--end", LAST, "--resolution", "60")
    list_wrongly(faults)
    code, _, _ = run("backfill", *window)
    assert code == 0
    faults.mend()
    code, _, err = run("repair")
    assert code == 0
    assert "Nothing to repair" not in err
    with warehouse.reading() as connection:
        rows = connection.execute("select day, state from candle_days order by day").fetchall()
    assert dict(rows) == {day: str(state) for day, state in RIGHT.items()}
    code, _, err = run("repair")
    assert (code, "Nothing to repair" in err) == (0, True)


def test_the_command_backfill_again_requests_what_a_wrong_listing_left_out(
    run: Command, faults: Faults, sandbox: SandboxExchange, warehouse: Warehouse
) -> None:
    window = ("--instruments", NAME, "--start", FIRST, "--end", LAST, "--resolution", "60")
    list_wrongly(faults)
    run("backfill", *window)
    faults.mend()
    code, _, _ = run("backfill", *window)
    assert code == 0
    with warehouse.reading() as connection:
        rows = connection.execute("select day, state from candle_days order by day").fetchall()
    assert dict(rows) == {day: str(state) for day, state in RIGHT.items()}
    sandbox.requests.clear()
    assert run("backfill", *window)[0] == 0
    assert sandbox.requests[CHART] == 0
    assert sandbox.requests[LISTING] <= 2
    sandbox._methods.clear()  # an exchange that no longer responds
    code, _, err = run("backfill", *window)
    assert (code, "Could not confirm that the listings are unchanged" in err) == (0, True)
