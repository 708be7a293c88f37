"""Kills, signals and concurrent processes during a backfill: no day of any dataset is lost,
doubled or incomplete."""

import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.datasets.funding_rates import wire as funding
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.windows import days_between, to_ms
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.incomplete import settled_days
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.outcome import Key
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.cli.test_signals import assert_it_ends
from deribit_pipeline_tests.conftest import HELD_UNTIL, Clock
from deribit_pipeline_tests.helpers.dataset_backfills import contradictions
from deribit_pipeline_tests.helpers.processes import (
    SCRIPT,
    environment,
    script,
    signalled_at,
    started,
    wait_until,
)

pytestmark = pytest.mark.processes

NAMES = ("BTC-PERPETUAL", "ETH-PERPETUAL")
FIRST, LAST = date(2024, 4, 8), date(2024, 4, 15)
DAYS = {name: list(days_between(FIRST, LAST)) for name in NAMES}
DAYS_REQUESTED = {(name, day) for name, days in DAYS.items() for day in days}
BY_NUMBER = "public/get_last_trades_by_instrument"
AROUND = 300
"""How many neighbouring trades may be requested with a day."""

HOUR = 3_600_000
Params = Mapping[str, str]


def midnight_ms(day: date) -> int:
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))


def backfill(dataset: Dataset, first: date = FIRST, last: date = LAST) -> list[str]:
    return ["backfill", "--dataset", dataset.name, "--start", str(first), "--end", str(last)]


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A warehouse with a history of both datasets, and backfills to be killed.

    Of the eight days of the range, one is stored as gapped, one as complete, and one as open, which
    is over by now and revised by the exchange. `calls` are all calls made.
    """

    settings: Settings
    warehouse: Warehouse
    sandbox: SandboxExchange
    calls: list[tuple[str, Params]]
    opened: Callable[..., Exchange]

    def kill_at(self, moment: str, nth: int, dataset: Dataset) -> None:
        command = signalled_at("SIGKILL", moment, nth, *backfill(dataset))
        with started(command, self.settings) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, f"{nth} times {moment}? {out}{err}"

    def unproved(self, dataset: Dataset) -> set[Key]:
        """The days that are not settled yet; nothing contradicts the proofs of the others."""
        assert verify(self.warehouse).findings == []
        with self.warehouse.reading() as connection:
            settled = settled_days(connection, dataset, DAYS)
        return DAYS_REQUESTED - {(proof.series, proof.day) for proof in settled}

    def complete(self, dataset: Dataset) -> None:
        """Run the same command again: it requests only what is not proved, is not blocked, leaves
        nothing behind, and completes all days."""
        unproved = self.unproved(dataset)
        self.calls.clear()
        folder = self.settings.dagster_home.parent
        output = script(*backfill(dataset), env=environment(self.settings), cwd=folder)
        assert output.returncode == 0, output.stderr
        requested = [
            params for method, params in self.calls if method in (funding.HISTORY, BY_NUMBER)
        ]
        for params in requested:
            assert any(self.reaches(params, name, day) for name, day in unproved), params
        assert [path.name for path in self.settings.warehouse.parent.iterdir()] == ["w.duckdb"]
        self.assert_all_is_there(dataset)

    def reaches(self, params: Params, name: str, day: date) -> bool:
        """Whether a call requests rows of this day, and not only neighbouring ones."""
        if params["instrument_name"] != name:
            return False
        began, ended = midnight_ms(day), midnight_ms(day + timedelta(days=1))
        if "start_timestamp" in params:
            start, end = (int(params[f"{which}_timestamp"]) for which in ("start", "end"))
            return start + HOUR + 1 < ended and end >= began
        if "start_seq" not in params:
            return True  # the request for the newest trade, for no particular day
        market = self.sandbox.market(self.sandbox._listings[name])
        number = (day - date(1970, 1, 1)).days
        first, end = market.number_of(number), market.number_of(number + 1)
        return int(params["start_seq"]) < end + AROUND and int(params["end_seq"]) > first - AROUND

    def assert_all_is_there(self, dataset: Dataset) -> None:
        """Check that every day is proved once, as if undisturbed, and shown in Dagster."""
        assert verify(self.warehouse).findings == []
        true = Warehouse(self.settings.warehouse.parent / "true.duckdb", self.warehouse.environment)
        job = Job("in peace", DAYS)
        assert ForegroundBackfill(self.opened(), true).backfill(dataset, job).failures == {}
        for one, other in ((self.warehouse, true), (true, self.warehouse)):
            assert contradictions(one.location, other.location, dataset.name) == []
        with self.warehouse.reading() as connection:
            [(*counts, settled)] = connection.execute(
                "select count(*), (select count(*) from dataset_revisions), "
                "count(*) filter (state in ('complete', 'not_listed')) from dataset_days "
                "where dataset = $name",
                {"name": dataset.name},
            ).fetchall()
        # The trailing sum of eight hours is another in each of the eight.
        assert counts == [16, 8 if dataset is FUNDING_RATES else 1]
        with dg.DagsterInstance.from_config(str(self.settings.dagster_home)) as instance:
            # What is not settled is not shown as materialized.
            recorded = instance.get_materialized_partitions(dg.AssetKey(dataset.name))
            assert len(recorded) == settled >= 15
            assert {run.is_finished for run in instance.get_runs()} == {True}


@pytest.fixture
def interrupted(
    tmp_path: Path,
    settings: Settings,
    sandbox: SandboxExchange,
    clock: Clock,
    opened: Callable[..., Exchange],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Dataset], Interrupted]:
    """Makes a warehouse with the history of a dataset."""

    def make(dataset: Dataset) -> Interrupted:
        here = replace(settings, warehouse=tmp_path / "data" / "w.duckdb")
        for name, value in environment(here).items():
            monkeypatch.setenv(name, value)
        warehouse = warehouse_at(here.warehouse, here.environment)
        name, [gapped, _, running] = NAMES[0], days_between(FIRST, HELD_UNTIL.date())
        market = sandbox.market(sandbox._listings[name])
        first = {day: market.number_of((day - date(1970, 1, 1)).days) for day in (gapped, running)}
        sandbox.funding.omit(name, *(midnight_ms(gapped) + n * HOUR for n in (3, 4, 9)))
        sandbox.trades.omit(name, first[gapped] + 700, first[gapped] + 710)
        days = {each: list(days_between(FIRST, running)) for each in NAMES}
        ForegroundBackfill(opened(), warehouse).backfill(dataset, Job("before", days))
        clock.forward(timedelta(days=6))
        sandbox.funding.revise(name, midnight_ms(running) + 5 * HOUR, 4e-5)
        sandbox.trades.move(name, first[running] + 300, midnight_ms(running) + HOUR)
        calls, answer = [], sandbox.answer

        def noted(method: str, params: Params, token: str | None = None, **host: bool) -> Reply:
            calls.append((method, params))
            return answer(method, params, token, **host)

        monkeypatch.setattr(sandbox, "answer", noted)
        return Interrupted(here, warehouse, sandbox, calls, opened)

    return make


def test_a_dataset_whose_backfill_is_killed_twice_is_completed_by_the_same_command(
    interrupted: Callable[[Dataset], Interrupted],
) -> None:
    of_trades = interrupted(TRADES)
    of_trades.kill_at("after delete from trades where", 1, TRADES)
    unproved = of_trades.unproved(TRADES)
    of_trades.kill_at("after commit", 3, TRADES)
    assert of_trades.unproved(TRADES) < unproved
    of_trades.complete(TRADES)


@pytest.mark.torture
@pytest.mark.parametrize(
    ("dataset", "moment", "nth"),
    [
        (FUNDING_RATES, "before get public/get_funding_rate_history", 1),
        (FUNDING_RATES, "after get public/get_funding_rate_history", 2),
        (FUNDING_RATES, "after insert into funding_rates", 1),
        (FUNDING_RATES, "after delete from funding_rates where", 1),
        (FUNDING_RATES, "after insert into dataset_revisions", 1),
        (FUNDING_RATES, "before insert into dataset_days", 2),
        (FUNDING_RATES, "before commit", 1),
        (FUNDING_RATES, "after commit", 1),
        (FUNDING_RATES, "after commit", 2),
        (FUNDING_RATES, "after INSERT INTO event_logs", 5),
        (TRADES, "before get public/get_last_trades_by_instrument", 3),
        (TRADES, "after get public/get_last_trades_by_instrument_and_time", 2),
        (TRADES, "after insert into trades", 1),
        (TRADES, "after insert into dataset_days", 2),
        (TRADES, "after insert into dataset_revisions", 1),
        (TRADES, "before commit", 2),
        (TRADES, "after commit", 1),
        (TRADES, "after commit", 5),
        (TRADES, "after detach", 4),
        (TRADES, "before INSERT INTO runs", 1),
    ],
    ids=lambda value: value.name if isinstance(value, Dataset) else None,
)
def test_death_at_a_moment_costs_no_proved_day_of_a_dataset(
    interrupted: Callable[[Dataset], Interrupted], dataset: Dataset, moment: str, nth: int
) -> None:
    killed = interrupted(dataset)
    killed.kill_at(moment, nth, dataset)
    killed.complete(dataset)


@pytest.mark.parametrize(
    "dataset",
    [FUNDING_RATES, pytest.param(TRADES, marks=pytest.mark.torture)],
    ids=lambda dataset: dataset.name,
)
def test_two_backfills_of_the_same_days_at_once_write_each_once(
    settings: Settings, warehouse: Warehouse, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    command = [str(SCRIPT), *backfill(dataset, date(2024, 3, 1), date(2024, 4, 9))]
    with ExitStack() as stack:
        both = [stack.enter_context(started(command, settings)) for _ in range(2)]
        for process in both:
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
    verification = verify(warehouse)
    assert (verification.days, verification.findings) == (80, [])
    with warehouse.reading() as connection:
        [counts] = connection.execute(
            f"""
            select count(distinct (instrument_name, {", ".join(dataset.key)})) - count(*),
                   (select sum(received) from dataset_days) - count(*),
                   (select count(*) from dataset_revisions)
            from {dataset.name}
            """
        ).fetchall()
    assert counts == (0, 0, 0)
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        assert len(instance.get_materialized_partitions(dg.AssetKey(dataset.name))) == 80


@pytest.mark.torture
@pytest.mark.parametrize("seconds", [0.0, 1.0, 6.0])
def test_a_signal_ends_a_backfill_of_dense_trades_wherever_it_is(
    settings: Settings, clock: Clock, seconds: float
) -> None:
    """A day of a million trades takes longer to fetch, or to write, than the time to exit."""
    dense = SandboxExchange(clock, per_second=0, trades_per_minute=700)
    with serving(dense, Faults()) as url:
        settings = replace(settings, base_url=url)
        days = ("--start", "2024-04-05", "--end", "2024-04-08", "--instruments", "BTC-PERPETUAL")
        command = [str(SCRIPT), "backfill", "--dataset", "trades", *days]
        with started(command, settings) as process:
            wait_until(lambda: dense.requests[BY_NUMBER] >= 120, process)  # more than a day's
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
            assert_it_ends(process, "SIGINT")
    warehouse = warehouse_at(settings.warehouse, settings.environment)
    if settings.warehouse.exists():
        assert verify(warehouse).findings == []
