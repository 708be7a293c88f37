"""Candles that the exchange does not return: confirmed, named, requested again, and closed when
they are returned."""

from datetime import date, timedelta
from typing import Any

import numpy as np

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.engine.incomplete import incomplete_days
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline_tests.conftest import Clock, every_store
from deribit_pipeline_tests.helpers.pipeline import CHART, Pipeline, ms

NEW_YEAR = date(2024, 1, 1)


def test_a_gap_is_confirmed_and_named(pipeline: Pipeline, sandbox: SandboxExchange) -> None:
    sandbox.charts.omit("BTC-PERPETUAL", ms(NEW_YEAR, 100), ms(NEW_YEAR, 103))
    outcome = pipeline.backfill(NEW_YEAR, date(2024, 1, 2))
    assert outcome.days_by_state == {DayState.COMPLETE: 1, DayState.GAPPED: 1}
    assert outcome.missing == 3
    assert sandbox.requests[CHART] == 3  # once, once more in another window, and the hours
    assert pipeline.rows(
        "select hour(opened_at) * 60 + minute(opened_at), confirmed from candle_gaps order by all"
    ) == [(100, 1), (101, 1), (102, 1)]
    query = "select received, missing from candle_days where state = 'gapped'"
    assert pipeline.rows(query) == [(1_437, 3)]


def test_a_missing_candle_that_is_malformed_in_another_response_is_no_gap(
    pipeline: Pipeline, sandbox: SandboxExchange
) -> None:
    """The exchange returns a candle there, so the day fails until two responses agree on it."""
    tick, charts = ms(NEW_YEAR, 100), 0

    def amend(chart: dict[str, Any]) -> dict[str, Any]:
        nonlocal charts
        ticks = chart["ticks"].tolist()
        if tick not in ticks or ticks[1] - ticks[0] != 60_000:
            return chart
        charts, place = charts + 1, ticks.index(tick)
        if charts == 1:
            return {
                name: values if name == "status" else np.delete(values, place)
                for name, values in chart.items()
            }
        close = chart["close"].tolist()
        close[place] = None
        return chart | {"close": close}

    sandbox.amend(CHART, amend)
    outcome = pipeline.backfill(NEW_YEAR, NEW_YEAR)
    [(key, reason)] = outcome.failures.items()
    assert key == ("BTC-PERPETUAL", NEW_YEAR)
    assert "no two of 5 responses share the candles from 2024-01-01 01:40" in reason
    assert pipeline.rows("from candle_gaps") == []


def test_a_dead_day_is_gapped_and_an_outage_of_days_too(
    pipeline: Pipeline, sandbox: SandboxExchange
) -> None:
    sandbox.charts.omit("BTC-PERPETUAL", ms(date(2024, 1, 3), 0), ms(date(2024, 1, 9), 0))
    outcome = pipeline.backfill(NEW_YEAR, date(2024, 1, 10))
    assert outcome.failures == {}
    assert outcome.days_by_state == {DayState.COMPLETE: 4, DayState.GAPPED: 6}
    assert outcome.missing == 6 * 1_440


@every_store
def test_a_gap_that_the_exchange_fills_is_closed(
    pipeline: Pipeline, sandbox: SandboxExchange, clock: Clock
) -> None:
    sandbox.charts.omit("BTC-PERPETUAL", ms(NEW_YEAR, 0), ms(NEW_YEAR, 5))
    pipeline.backfill(NEW_YEAR, NEW_YEAR)
    selection = Selection((CANDLES[Resolution.MINUTE_1],), first=NEW_YEAR, last=NEW_YEAR)
    found = incomplete_days(pipeline.warehouse, clock.now, selection)
    assert found.days == {CANDLES[Resolution.MINUTE_1]: {"BTC-PERPETUAL": [NEW_YEAR]}}
    sandbox.charts.find("BTC-PERPETUAL")
    assert pipeline.backfill(NEW_YEAR, NEW_YEAR).days_by_state == {DayState.COMPLETE: 1}
    assert pipeline.rows("from candle_gaps") == []


def test_a_gap_is_requested_at_growing_distances(
    pipeline: Pipeline, sandbox: SandboxExchange, clock: Clock
) -> None:
    sandbox.charts.omit("BTC-PERPETUAL", ms(NEW_YEAR, 0), ms(NEW_YEAR, 5))
    pipeline.backfill(NEW_YEAR, NEW_YEAR)
    began = clock.now
    for number, hours in enumerate([1, 2, 4, 8, 16, 32, 64], start=2):
        clock.now = began + timedelta(hours=hours) - timedelta(minutes=1)
        if hours > 1:  # in the first hour it is requested each time
            found = incomplete_days(pipeline.warehouse, clock.now)
            due_at = began + timedelta(hours=hours)
            assert (found.days, found.in_back_off, found.due_at) == ({}, 1, due_at)
        clock.forward(timedelta(minutes=1))
        found = incomplete_days(pipeline.warehouse, clock.now)
        assert (list(found.days), found.in_back_off) == ([CANDLES[Resolution.MINUTE_1]], 0)
        pipeline.backfill(NEW_YEAR, NEW_YEAR)
        assert pipeline.rows("select distinct confirmed from candle_gaps") == [(number,)]
    selection = Selection(first=NEW_YEAR, last=NEW_YEAR)
    at_once = incomplete_days(pipeline.warehouse, clock.now, selection)
    assert at_once.days == {CANDLES[Resolution.MINUTE_1]: {"BTC-PERPETUAL": [NEW_YEAR]}}


def test_days_that_should_be_complete_and_are_not(pipeline: Pipeline, clock: Clock) -> None:
    pipeline.backfill(date(2024, 4, 1), date(2024, 4, 3))
    pipeline.backfill(date(2024, 4, 6), date(2024, 4, 6))
    pipeline.backfill(date(2024, 4, 9), date(2024, 4, 10))
    found = incomplete_days(pipeline.warehouse, clock.now).days
    minutes = found[CANDLES[Resolution.MINUTE_1]]["BTC-PERPETUAL"]
    assert [day.day for day in minutes] == [
        4,
        5,
        7,
        8,
    ]  # today is not over, so it cannot be complete
