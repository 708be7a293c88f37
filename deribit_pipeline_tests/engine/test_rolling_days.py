"""Retention-limited data: polled in time, or reported as lost."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from deribit_pipeline.datasets.historical_volatility import HISTORICAL_VOLATILITY
from deribit_pipeline.datasets.historical_volatility import source as historical_volatility
from deribit_pipeline.datasets.index_prices import INDEX_PRICES
from deribit_pipeline.datasets.index_prices import source as index_prices
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.rows import count_of, gaps_of
from deribit_pipeline.domain.verdicts import NOT_AVAILABLE
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.rolling_source import RollingSource
from deribit_pipeline.engine.upkeep import unsettled_of_last_week
from deribit_pipeline.errors import DeribitBadPayload, DeribitRejected
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.fetched_prices import (
    CHART,
    HOUR_MS,
    VOLATILITY,
    Fetch,
    answer,
    fetch,
    proved,
)

__all__ = ["fetch"]


def test_an_hourly_day_has_twenty_four_hours(fetch: Fetch) -> None:
    days = list(days_between(date(2024, 3, 26), date(2024, 4, 9)))
    fetched = fetch(historical_volatility.SOURCE, "BTC", days)
    for day in days:
        proof = proved(HISTORICAL_VOLATILITY, fetched[day]).proof
        assert (proof.state, proof.received) == (DayState.COMPLETE, 24)


def test_the_running_hour_is_not_stored(fetch: Fetch, clock: Clock) -> None:
    today = clock.now.date()
    proof = proved(
        HISTORICAL_VOLATILITY, fetch(historical_volatility.SOURCE, "BTC", [today])[today]
    ).proof
    assert (proof.state, proof.expected, proof.received) == (DayState.OPEN, 24, 12)


def test_a_day_that_was_not_polled_in_time_is_gapped_and_says_why(fetch: Fetch) -> None:
    day = date(2024, 3, 25)
    settled = proved(HISTORICAL_VOLATILITY, fetch(historical_volatility.SOURCE, "BTC", [day])[day])
    assert (settled.proof.state, settled.proof.missing) == (DayState.GAPPED, 24)
    assert settled.proof.verdict == NOT_AVAILABLE
    [gap] = gaps_of(settled.expected, settled.gaps)
    assert gap.gap == "2024-03-25T00:00:00Z to 2024-03-25T23:00:00Z"


def test_a_window_that_rolled_on_takes_no_held_row_away(fetch: Fetch, clock: Clock) -> None:
    day = date(2024, 4, 9)
    first = proved(HISTORICAL_VOLATILITY, fetch(historical_volatility.SOURCE, "BTC", [day])[day])
    clock.forward(timedelta(days=30))
    fetched = fetch(historical_volatility.SOURCE, "BTC", [day])[day]
    again = proved(HISTORICAL_VOLATILITY, fetched, first)
    assert count_of(fetched.rows) == 0
    assert again.proof.state is DayState.COMPLETE
    assert again.proof.content_hash == first.proof.content_hash
    assert not count_of(again.replaced)


def test_polls_of_index_prices_add_up_to_whole_days(fetch: Fetch, clock: Clock) -> None:
    day, held = clock.now.date(), None
    states = []
    for _ in range(4):
        fetched = fetch(index_prices.SOURCE, "btc_usd", [day])[day]
        held = proved(INDEX_PRICES, fetched, held)
        states.append((held.proof.state, held.proof.received, held.proof.missing))
        clock.forward(timedelta(hours=17))
    assert states == [
        (DayState.OPEN, 150, 0),
        (DayState.COMPLETE, 300, 0),
        (DayState.COMPLETE, 300, 0),
        (DayState.COMPLETE, 300, 0),
    ]


def polled(exchange: Exchange, warehouse: Warehouse, day: date) -> Proof:
    """The proof of a day of index prices after another poll, which is forced if it is settled."""
    backfill = ForegroundBackfill(exchange, warehouse)
    outcome = backfill.backfill(INDEX_PRICES, Job("a run", {"btc_usd": [day]}), force=True)
    (proof,) = outcome.proofs.values()
    assert isinstance(proof, Proof)
    return proof


@pytest.mark.parametrize("hours", [0, 17, 30, 80])
@pytest.mark.parametrize("seconds", [-100, 144])
def test_a_complete_day_stays_so_when_the_chart_stands_on_another_grid(
    opened: Callable[..., Exchange], warehouse: Warehouse, sandbox: SandboxExchange,
    clock: Clock, seconds: int, hours: int,
) -> None:  # fmt: skip
    exchange, day = opened(), date(2024, 4, 9)
    complete = polled(exchange, warehouse, day)
    assert (complete.state, complete.received) == (DayState.COMPLETE, 300)
    clock.forward(timedelta(hours=hours))
    if seconds < 0:
        sandbox.amend(CHART, lambda points: [[at + seconds * 1_000, v] for at, v in points])
    else:
        sandbox.prices.charts["2d"] = (2 * 86_400_000, seconds * 1_000)
    again = polled(exchange, warehouse, day)
    assert again == replace(complete, fetched_at=again.fetched_at)


def test_a_running_day_is_counted_on_the_newest_grid_and_keeps_its_rows(
    opened: Callable[..., Exchange], warehouse: Warehouse, sandbox: SandboxExchange, clock: Clock
) -> None:
    exchange, day = opened(), clock.now.date()
    assert (polled(exchange, warehouse, day).state, clock.now.hour) == (DayState.OPEN, 12)
    sandbox.amend(CHART, lambda points: [[at - 100_000, v] for at, v in points])
    clock.forward(timedelta(hours=17))
    proof = polled(exchange, warehouse, day)
    assert (proof.state, proof.received) == (DayState.COMPLETE, 150 + 300)
    # A row missing in the newest grid is not replaced by rows of another grid.
    sandbox.amend(CHART, lambda points: [[at - 50_000, v] for at, v in points])
    day = clock.now.date()
    assert polled(exchange, warehouse, day).state is DayState.OPEN
    clock.forward(timedelta(hours=21))
    sandbox.amend(CHART, lambda points: [*points[:400], *points[402:]])
    proof = polled(exchange, warehouse, day)
    assert (proof.state, proof.missing) == (DayState.GAPPED, 2)


@pytest.mark.parametrize("source", [index_prices.SOURCE, historical_volatility.SOURCE])
def test_a_day_is_open_until_its_last_row_must_have_been_returned(
    fetch: Fetch, clock: Clock, source: RollingSource
) -> None:
    day, series = date(2024, 4, 10), "btc_usd" if source is index_prices.SOURCE else "BTC"
    for seconds, is_over in ((0, False), (59, False), (60, True)):
        clock.now = datetime(2024, 4, 11, tzinfo=UTC) + timedelta(seconds=seconds)
        assert fetch(source, series, [day])[day].is_over == is_over


def test_the_day_before_yesterday_has_what_is_left_of_it(fetch: Fetch) -> None:
    day = date(2024, 4, 8)
    settled = proved(INDEX_PRICES, fetch(index_prices.SOURCE, "btc_usd", [day])[day])
    assert settled.proof.state is DayState.GAPPED
    assert 140 < settled.proof.received < 150
    assert settled.proof.verdict == NOT_AVAILABLE


@pytest.mark.parametrize("seconds", [30, 60, 300, 900])
def test_a_chart_in_other_steps_is_counted_on_its_own_grid(
    fetch: Fetch, sandbox: SandboxExchange, seconds: int
) -> None:
    sandbox.prices.charts["2d"] = (2 * 86_400_000, seconds * 1_000)
    day = date(2024, 4, 9)
    proof = proved(INDEX_PRICES, fetch(index_prices.SOURCE, "btc_usd", [day])[day]).proof
    assert (proof.state, proof.received) == (DayState.COMPLETE, 86_400 // seconds)


def test_a_missing_point_is_a_gap(fetch: Fetch, sandbox: SandboxExchange) -> None:
    sandbox.amend(CHART, lambda points: [*points[:400], *points[402:]])
    day = date(2024, 4, 9)
    settled = proved(INDEX_PRICES, fetch(index_prices.SOURCE, "btc_usd", [day])[day])
    assert (settled.proof.state, settled.proof.missing) == (DayState.GAPPED, 2)
    assert settled.proof.verdict == ""


def test_answers_must_agree_before_they_are_trusted(fetch: Fetch, sandbox: SandboxExchange) -> None:
    day = date(2024, 4, 9)
    right = fetch(index_prices.SOURCE, "btc_usd", [day])[day]
    turns = iter(
        [
            answer(sandbox, CHART, index_name="eth_usd", range="2d"),
            answer(sandbox, CHART, index_name="btc_usd", range="1d"),
            answer(sandbox, CHART, index_name="btc_usd", range="2d")[:-100],
        ]
    )
    sandbox.amend(CHART, lambda points: next(turns, points))
    fetched = fetch(index_prices.SOURCE, "btc_usd", [day])[day]
    assert fetched.rows["price"].tolist() == right.rows["price"].tolist()


def test_the_chart_of_another_range_is_refused(fetch: Fetch, sandbox: SandboxExchange) -> None:
    sandbox.prices.charts["2d"] = sandbox.prices.charts["1m"]
    with pytest.raises(DeribitBadPayload, match="more than 3 days"):
        fetch(index_prices.SOURCE, "btc_usd", [date(2024, 4, 9)])


def test_rolling_windows_that_never_agree_prove_nothing(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    rng = random.Random(0)
    sandbox.amend(VOLATILITY, lambda rows: [[at, rng.random()] for at, _ in rows[1:]])
    with pytest.raises(DeribitBadPayload, match="responses contradict each other"):
        fetch(historical_volatility.SOURCE, "BTC", [date(2024, 4, 9)])


@pytest.mark.parametrize(
    ("amendment", "sentence"),
    [
        (lambda rows: [], "no row was returned"),
        (lambda rows: rows[::-1], "are not sorted by time"),
        (lambda rows: [[at + (n == 9), v] for n, (at, v) in enumerate(rows)], "not spaced"),
        (lambda rows: [*rows, [rows[-1][0] + HOUR_MS, 1.0]], "and it was 2024"),
    ],
)
def test_a_malformed_window_is_not_trusted(
    fetch: Fetch, sandbox: SandboxExchange, amendment: Callable[[Any], Any], sentence: str
) -> None:
    sandbox.amend(VOLATILITY, amendment)
    with pytest.raises(DeribitBadPayload, match=sentence):
        fetch(historical_volatility.SOURCE, "BTC", [date(2024, 4, 9)])


def test_a_currency_without_volatility_proves_nothing(fetch: Fetch) -> None:
    with pytest.raises(DeribitBadPayload, match="no row was returned"):
        fetch(historical_volatility.SOURCE, "USDT", [date(2024, 4, 9)])
    with pytest.raises(DeribitRejected, match="invalid currency"):
        fetch(historical_volatility.SOURCE, "XYZ", [date(2024, 4, 9)])


def test_a_schedule_requests_only_the_days_of_the_last_week_that_are_available(
    warehouse: Warehouse,
) -> None:
    today = date(2024, 4, 10)
    week = list(days_between(date(2024, 4, 3), date(2024, 4, 9)))
    for dataset, days in ((INDEX_PRICES, week[-1:]), (HISTORICAL_VOLATILITY, week)):
        assert unsettled_of_last_week(warehouse, ["a"], dataset, today) == {"a": days}
