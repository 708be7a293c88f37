"""Processes killed at any moment: the same command completes the work."""

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from deribit_pipeline.datasets.candles import CANDLES, reads
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.windows import day_window, days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.incomplete import settled_days
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.outcome import Key
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.sandbox.charts import CHART_NAMES
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.processes import (
    SCRIPT,
    environment,
    script,
    signalled_at,
    started,
)

pytestmark = pytest.mark.processes

CHART = "public/get_tradingview_chart_data"
NAMES = ("BTC-PERPETUAL", "ETH-PERPETUAL")
FIRST, LAST = date(2024, 4, 8), date(2024, 4, 15)
DAYS = {name: list(days_between(FIRST, LAST)) for name in NAMES}
DAYS_REQUESTED = {(name, day) for name, days in DAYS.items() for day in days}
BACKFILL = ["backfill", "--start", str(FIRST), "--end", str(LAST)]
FORCED = [*BACKFILL, "--force"]


def ms(day: int, minute: int = 0) -> int:
    """A minute of April 2024 in milliseconds."""
    return int(datetime(2024, 4, day, 0, minute, tzinfo=UTC).timestamp() * 1000)


def reaches(chart: dict[str, str], name: str, day: date) -> bool:
    """Whether a chart request is for this day, and not only for the candle before it."""
    start, end = (int(chart[f"{which}_timestamp"]) for which in ("start", "end"))
    began = ms(day.day)
    return chart["instrument_name"] == name and start + 60_000 < began + 86_400_000 and end > began


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A warehouse with a history, its exchange, and a backfill to be killed.

    Of the eight days of the range, one is stored as gapped, one as complete, and one as open, which
    is over by now and revised by the exchange. `charts` are the parameters of every chart
    request.
    """

    settings: Settings
    warehouse: Warehouse
    sandbox: SandboxExchange
    charts: list[dict[str, str]]

    def kill_at(self, moment: str, nth: int, command: list[str]) -> None:
        with started(signalled_at("SIGKILL", moment, nth, *command), self.settings) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, f"{nth} times {moment}? {out}{err}"

    def kill_after(self, seconds: float, command: list[str]) -> None:
        with started([str(SCRIPT), *command], self.settings) as process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()

    def unproved(self) -> set[Key]:
        """The days that are not settled yet; nothing contradicts the proofs of the others."""
        assert verify(self.warehouse).findings == []
        with self.warehouse.reading() as connection:
            settled = settled_days(connection, CANDLES[Resolution.MINUTE_1], DAYS)
        return DAYS_REQUESTED - {(proof.series, proof.day) for proof in settled}

    def complete(self, command: list[str]) -> None:
        """Run the same command again: it requests only what is not proved, is not blocked, leaves
        nothing behind, and completes all days."""
        unproved = self.unproved() if command == BACKFILL else DAYS_REQUESTED
        self.charts.clear()
        folder = self.settings.dagster_home.parent
        output = script(*command, env=environment(self.settings), cwd=folder)
        assert output.returncode == 0, output.stderr
        for chart in self.charts:
            assert any(reaches(chart, name, day) for name, day in unproved), chart
        assert [path.name for path in self.settings.warehouse.parent.iterdir()] == ["w.duckdb"]
        left = {path.name for path in self.settings.dagster_home.iterdir()}
        assert left <= {"dagster.yaml", "history", "logs", "schedules", "storage"}
        self.assert_all_is_there()

    def assert_all_is_there(self) -> None:
        """Check that every day is proved once, matches the exchange, and is shown in Dagster."""
        verification = verify(self.warehouse)
        assert (verification.days, verification.findings) == (16, [])
        for name in NAMES:
            for day in days_between(FIRST, LAST):
                self.assert_equals_the_exchange(name, day)
        with self.warehouse.reading() as connection:
            [(revisions,)] = connection.execute("select count(*) from candle_revisions").fetchall()
        assert revisions == 1
        with dg.DagsterInstance.from_config(str(self.settings.dagster_home)) as instance:
            recorded = instance.get_materialized_partitions(dg.AssetKey("candles_1m"))
            assert len(recorded) == self.settled_days()
            assert {run.is_finished for run in instance.get_runs()} == {True}

    def settled_days(self) -> int:
        """How many days need not be requested again: Dagster shows no others as materialized."""
        with self.warehouse.reading() as connection:
            [(settled,)] = connection.execute(
                "select count(*) from candle_days where state in ('complete', 'not_listed')"
            ).fetchall()
        return int(settled)

    def assert_equals_the_exchange(self, name: str, day: date) -> None:
        window = day_window(day)
        with self.warehouse.reading() as connection:
            held = reads.candles(connection, name, Resolution.MINUTE_1, window)
        start, end = (int(moment.timestamp() * 1000) for moment in (window.start, window.end))
        requested = {"start_timestamp": str(start), "end_timestamp": str(end - 1)}
        chart = self.sandbox.answer(
            CHART, {"instrument_name": name, "resolution": "1"} | requested
        ).body["result"]
        assert np.array_equal(held.opened_at.astype(np.int64), chart["ticks"])
        assert np.array_equal(held.values, np.column_stack([chart[c] for c in CHART_NAMES]))


@pytest.fixture
def interrupted(
    tmp_path: Path,
    settings: Settings,
    sandbox: SandboxExchange,
    clock: Clock,
    opened: Callable[..., Exchange],
    monkeypatch: pytest.MonkeyPatch,
) -> Interrupted:
    settings = replace(settings, warehouse=tmp_path / "data" / "w.duckdb")
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    warehouse = warehouse_at(settings.warehouse, settings.environment)
    sandbox.charts.omit("BTC-PERPETUAL", ms(8), ms(8, 7))
    held = [date(2024, 4, 8), date(2024, 4, 9), date(2024, 4, 10)]
    ForegroundBackfill(opened(), warehouse).backfill(
        CANDLES[Resolution.MINUTE_1], Job("before", dict.fromkeys(NAMES, held))
    )
    clock.forward(timedelta(days=6))
    sandbox.charts.revise("BTC-PERPETUAL", ms(10, 3), 4.5)
    charts, answer = [], sandbox.answer

    def noted(method: str, params: dict[str, str], token: str | None = None, **host: bool) -> Reply:
        if method == CHART:
            charts.append(params)
        return answer(method, params, token, **host)

    monkeypatch.setattr(sandbox, "answer", noted)
    return Interrupted(settings, warehouse, sandbox, charts)


def test_a_backfill_that_is_killed_again_and_again_is_completed_by_the_same_command(
    interrupted: Interrupted,
) -> None:
    interrupted.kill_at("after delete from candle_days", 1, BACKFILL)
    unproved = interrupted.unproved()
    interrupted.kill_at("after commit", 2, BACKFILL)
    assert interrupted.unproved() < unproved
    interrupted.kill_at("before INSERT INTO event_logs", 3, BACKFILL)
    interrupted.complete(BACKFILL)


@pytest.mark.torture
@pytest.mark.parametrize(
    ("moment", "nth"),
    [
        ("before get public/get_instrument", 1),
        ("before get public/get_tradingview_chart_data", 4),
        ("after get public/get_tradingview_chart_data", 3),
        ("before begin", 1),
        ("after insert into candles by name", 1),
        ("after insert into candle_revisions", 1),
        ("after delete from candles where", 1),
        ("after insert into candle_days", 1),
        ("before commit", 1),
        ("after commit", 1),
        ("after commit", 3),
        ("after detach", 3),
        ("before CREATE TABLE", 1),
        ("after CREATE TABLE", 9),
        ("after INSERT INTO secondary_indexes", 9),
        ("before INSERT INTO runs", 1),
        ("after INSERT INTO event_logs", 5),
        ("after INSERT INTO asset_event_tags", 1),
        ("before UPDATE runs", 1),
        ("after UPDATE runs", 2),
    ],
)
def test_death_at_a_moment_costs_nothing_that_was_proved(
    interrupted: Interrupted, moment: str, nth: int
) -> None:
    interrupted.kill_at(moment, nth, BACKFILL)
    interrupted.complete(BACKFILL)


@pytest.mark.torture
@pytest.mark.parametrize(
    ("moment", "nth"),
    [
        ("after delete from candle_gaps", 1),
        ("before insert into candle_gaps", 1),
        ("after delete from candles where", 1),
        ("after insert into candle_revisions", 1),
        ("before commit", 2),
    ],
)
def test_death_while_days_are_requested_again_leaves_each_as_it_was_or_as_it_is(
    interrupted: Interrupted, moment: str, nth: int
) -> None:
    interrupted.sandbox.charts.find("BTC-PERPETUAL")
    interrupted.sandbox.charts.omit("BTC-PERPETUAL", ms(8), ms(8, 3))
    interrupted.kill_at(moment, nth, FORCED)
    interrupted.complete(FORCED)


@pytest.mark.torture
def test_death_after_death_costs_nothing(interrupted: Interrupted) -> None:
    # From the start of the interpreter to the end of a whole run.
    for tenths in range(1, 30, 3):
        interrupted.kill_after(tenths / 10, BACKFILL)
    interrupted.complete(BACKFILL)
