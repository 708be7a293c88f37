"""Jobs: every instrument-day in one Dagster run of limited size, observable while it runs."""

from collections.abc import Callable, Collection
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.background import BackgroundBackfill
from deribit_pipeline.engine.jobs import Job, jobs_of
from deribit_pipeline.errors import UnknownInstrument, WarehouseError
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.warehouse.place import Change, Result
from deribit_pipeline.warehouse.warehouse import Warehouse

MINUTES = CANDLES[Resolution.MINUTE_1]
CHART = "public/get_tradingview_chart_data"
FIRST, LAST = date(2024, 1, 1), date(2024, 1, 10)
Opened = Callable[..., Exchange]


def spans(jobs: list[Job]) -> list[tuple[tuple[str, ...], date, date]]:
    return [
        (tuple(job.days), min(next(iter(job.days.values()))), max(next(iter(job.days.values()))))
        for job in jobs
    ]


def test_instruments_that_want_the_same_days_share_a_run() -> None:
    whole = list(days_between(FIRST, LAST))
    assert spans(jobs_of({"A": whole, "B": whole, "C": whole[3:5]})) == [
        (("A", "B"), FIRST, LAST),
        (("C",), date(2024, 1, 4), date(2024, 1, 5)),
    ]


def test_days_far_apart_are_runs_of_their_own_and_near_ones_are_not() -> None:
    near, far = FIRST + timedelta(days=10), FIRST + timedelta(days=300)
    assert spans(jobs_of({"A": [FIRST, near, far]})) == [(("A",), FIRST, near), (("A",), far, far)]


@given(
    st.dictionaries(st.sampled_from("ABCDE"), st.sets(st.integers(0, 700), min_size=1)),
    st.integers(1, 200),
)
def test_every_instrument_day_is_in_one_job_and_no_job_is_too_large(
    wanted: dict[str, set[int]], most: int
) -> None:
    days = {name: {FIRST + timedelta(days=n) for n in some} for name, some in wanted.items()}
    jobs = jobs_of(days, most)
    made = [key for job in jobs for key in job.series_days()]
    assert len(made) == len(set(made))
    assert {(name, day) for name, some in days.items() for day in some} <= set(made)
    assert all(job.outcome.requested <= most for job in jobs)
    for job in jobs:  # a run is a range of days, the same of each instrument
        some = {tuple(sorted(wanted)) for wanted in job.days.values()}
        [batch] = some
        assert list(batch) == list(days_between(batch[0], batch[-1]))


@pytest.fixture
def jobs() -> list[Job]:
    names = ("BTC-PERPETUAL", "ETH-PERPETUAL")
    return jobs_of({name: list(days_between(FIRST, LAST)) for name in names}, most=7)


def test_requests_reach_across_jobs_and_each_day_is_written_under_its_own_run(
    opened: Opened, warehouse: Warehouse, sandbox: SandboxExchange, jobs: list[Job]
) -> None:
    assert len(jobs) == 4
    with BackgroundBackfill(opened(), warehouse, MINUTES, jobs) as background:
        outcomes = [background.backfill(MINUTES, job) for job in jobs]
    assert sandbox.requests[CHART] == sum(outcome.requests for outcome in outcomes) == 8
    for job, outcome in zip(jobs, outcomes, strict=True):
        assert outcome.proofs.keys() == job.series_days()
        assert outcome.days_by_state == {DayState.COMPLETE: outcome.requested}
    with warehouse.reading() as connection:
        rows = connection.execute("select instrument_name, day, run_id from candle_days").fetchall()
    run_of = {(name, day): run_id for name, day, run_id in rows}
    assert all(run_of[key] == job.run_id for job in jobs for key in job.series_days())


def test_what_ends_the_background_is_raised_where_it_is_awaited(
    opened: Opened, warehouse: Warehouse
) -> None:
    job = Job("run", {"NOPE": [FIRST]})
    with (
        BackgroundBackfill(opened(), warehouse, MINUTES, [job]) as background,
        pytest.raises(UnknownInstrument, match="NOPE"),
    ):
        background.backfill(MINUTES, job)


class Full(Warehouse):
    """A warehouse on a full disk."""

    def write(self, change: Change[Result], series: Collection[str]) -> Result:
        raise WarehouseError("no space left on device")


def test_a_warehouse_that_fails_fails_the_days(
    opened: Opened, warehouse: Warehouse, jobs: list[Job]
) -> None:
    full = Full(warehouse.location, warehouse.environment)
    with BackgroundBackfill(opened(), full, MINUTES, jobs) as background:
        outcomes = [background.backfill(MINUTES, job) for job in jobs]
    for outcome in outcomes:
        assert set(outcome.failures.values()) == {"no space left on device"}
        assert len(outcome.failures) == outcome.requested


def test_leaving_early_ends_the_background(
    opened: Opened, warehouse: Warehouse, faults: Faults, jobs: list[Job]
) -> None:
    faults.corrupt_where("stall", lambda method, reply: method == CHART)
    with BackgroundBackfill(opened(), warehouse, MINUTES, jobs):
        pass
    assert jobs[0].outcome.proofs == {}


def test_an_exchange_serves_one_background_after_the_other(
    opened: Opened, warehouse: Warehouse
) -> None:
    exchange = opened()
    for dataset in (CANDLES[Resolution.HOUR_1], CANDLES[Resolution.DAY_1]):
        job = Job(f"run {dataset.name}", {"BTC-PERPETUAL": list(days_between(FIRST, LAST))})
        with BackgroundBackfill(exchange, warehouse, dataset, [job]) as background:
            outcome = background.backfill(dataset, job)
        assert outcome.days_by_state == {DayState.COMPLETE: 10}
