"""Faults of the exchange, one by one and mixed: correct candles, or no proof."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.sandbox import trade_faults
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import FAULTS, Faults
from deribit_pipeline.sandbox.row_faults import CHANGES
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.sandbox.value_faults import VALUE_CHANGES
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.pipeline import CHART, Pipeline, midnight, ms

NAMES = ("BTC-PERPETUAL", "ETH-PERPETUAL")
FIRST, LAST = date(2024, 1, 1), date(2024, 1, 30)
SHARE = 0.2

OF_CANDLES = [name for name in FAULTS if name not in CHANGES | VALUE_CHANGES | trade_faults.CHANGES]
"""Faults of any response, and of charts. The others change rows that are no candles."""


def assert_only_the_truth_is_proved(pipeline: Pipeline, outcome: Outcome) -> None:
    """Every complete day holds the exchange's candles, and every other day is named."""
    requested = {(name, FIRST + timedelta(days=n)) for name in NAMES for n in range(30)}
    assert outcome.proofs.keys() | outcome.failures.keys() == requested
    for name in NAMES:
        complete = np.array(
            [
                day
                for day, state in pipeline.rows(
                    f"select day, state from candle_days where instrument_name = '{name}'"
                )
                if state == DayState.COMPLETE
            ],
            "datetime64[D]",
        )
        end = midnight(LAST + timedelta(days=1))
        true = of_days(pipeline.returned_rows(name, "1", midnight(FIRST), end), complete)
        assert np.array_equal(of_days(pipeline.held_rows(name, "1"), complete), true)
    assert verify(pipeline.warehouse).findings == []


def of_days(rows: NDArray[np.float64], days: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """The rows that open on these days."""
    opened_at = rows[:, 0].astype(np.int64).astype("datetime64[ms]")
    return rows[np.isin(opened_at.astype("datetime64[D]"), days)]


def survives(pipeline: Pipeline, faults: Faults, rates: dict[str, float], seed: int) -> Outcome:
    """Backfill under faults, and once more without them."""
    faults.corrupt_shares(rates, seed)
    outcome = pipeline.backfill(FIRST, LAST, names=NAMES, patience=20, timeout=1.0)
    faults.mend()
    assert_only_the_truth_is_proved(pipeline, outcome)
    afterwards = pipeline.backfill(FIRST, LAST, names=NAMES)
    assert afterwards.days_by_state == {DayState.COMPLETE: 60}
    assert_only_the_truth_is_proved(pipeline, afterwards)
    return outcome


def test_faults_mixed_leave_nothing_wrong_and_nothing_unsaid(
    pipeline: Pipeline, faults: Faults
) -> None:
    without_pauses = [name for name in OF_CANDLES if name != "stall" and "10028" not in name]
    survives(pipeline, faults, dict.fromkeys(without_pauses, SHARE / len(without_pauses)), seed=1)


def test_an_answer_for_another_instrument_is_never_trusted(
    pipeline: Pipeline, faults: Faults
) -> None:
    """Not even if only that day is requested, or it is already stored."""
    faults.corrupt_next(["another_instrument"], CHART)
    assert pipeline.backfill(FIRST, FIRST).days_by_state == {DayState.COMPLETE: 1}
    faults.corrupt_next(["another_instrument"], CHART)
    outcome = pipeline.backfill(FIRST, FIRST, force=True)
    assert (outcome.failures, outcome.revised) == ({}, 0)
    day_after = FIRST + timedelta(days=1)
    assert pipeline.held("BTC-PERPETUAL", "1") == pipeline.returned(
        "BTC-PERPETUAL", "1", midnight(FIRST), midnight(day_after)
    )


def test_rechecks_of_an_empty_answer_are_not_trusted_alone(
    pipeline: Pipeline, faults: Faults
) -> None:
    """Three second requests cover an empty response; the middle one has no neighbour."""
    faults.corrupt_next(["empty"], CHART)
    charts = Counter[str]()

    def is_second_of_small(method: str, reply: Reply) -> bool:
        is_small = method == CHART and len(reply.body["result"]["ticks"]) < 3_000
        charts[method] += is_small
        return is_small and charts[method] == 2

    faults.corrupt_where("another_instrument", is_second_of_small)
    pipeline.backfill(FIRST, date(2024, 1, 9))
    held = pipeline.held("BTC-PERPETUAL", "1")
    returned = pipeline.returned("BTC-PERPETUAL", "1", midnight(FIRST), midnight(date(2024, 1, 10)))
    assert set(map(tuple, held)) <= set(map(tuple, returned))


def test_a_window_that_is_always_returned_wrong_costs_only_its_own_days(
    pipeline: Pipeline, faults: Faults
) -> None:
    """The fourth of seven requests: those on either side agree with nothing but each other."""
    corrupted = date(2024, 1, 13)

    def is_about_it(method: str, reply: Reply) -> bool:
        return method == CHART and ms(corrupted, 0) in reply.body["result"]["ticks"]

    faults.corrupt_where("another_instrument", is_about_it)
    outcome = pipeline.backfill(FIRST, date(2024, 1, 24))
    assert ("BTC-PERPETUAL", corrupted) in outcome.failures
    assert len(outcome.failures) <= 5
    assert len(outcome.proofs) + len(outcome.failures) == 24


def test_an_outage_is_waited_for_once(pipeline: Pipeline, faults: Faults) -> None:
    """Not once more for each response without neighbours."""
    requested: list[tuple[float, float]] = []

    def after_six(method: str, reply: Reply) -> bool:
        if method == CHART:
            result = reply.body["result"]
            requested.append((result["ticks"][0], result["open"][0]))
        return method == CHART and len(requested) > 6

    faults.corrupt_where("503_html", after_six)
    outcome = pipeline.backfill(FIRST, LAST, names=NAMES, patience=1)
    assert not set(requested[:6]) & set(requested[6:])
    assert len(outcome.failures) + len(outcome.proofs) == 60
    assert all("HTTP 503" in reason for reason in outcome.failures.values())


def test_a_listing_that_changes_meanwhile_counts_as_it_is_now(
    pipeline: Pipeline, faults: Faults
) -> None:
    """BTC-PERPETUAL was listed on 2018-08-14; in the first response it is twenty days later."""
    faults.corrupt_next(["other_listing"], "public/get_instrument")
    outcome = pipeline.backfill(date(2018, 8, 10), date(2018, 8, 16))
    assert outcome.failures == {}
    assert outcome.days_by_state == {DayState.NOT_LISTED: 4, DayState.COMPLETE: 3}


def test_a_listing_that_keeps_changing_proves_nothing_of_the_days_it_is_about(
    pipeline: Pipeline, faults: Faults
) -> None:
    calls = Counter[str]()

    def every_other(method: str, _: object) -> bool:
        calls[method] += 1
        return method == "public/get_instrument" and calls[method] % 2 == 1

    faults.corrupt_where("other_listing", every_other)
    outcome = pipeline.backfill(date(2018, 8, 10), date(2018, 8, 16))
    assert outcome.days_by_state == {DayState.NOT_LISTED: 4}
    assert set(outcome.failures.values()) == {
        "the exchange's listing of the instrument keeps changing"
    }
    assert not pipeline.rows(
        "from candle_days where day >= '2018-08-14' and state in ('complete', 'not_listed')"
    )
    faults.mend()
    afterwards = pipeline.backfill(date(2018, 8, 10), date(2018, 8, 16))
    assert afterwards.days_by_state == {DayState.NOT_LISTED: 4, DayState.COMPLETE: 3}
    assert verify(pipeline.warehouse).findings == []


@pytest.mark.parametrize("is_over_soon", [True, False])
def test_connections_that_are_refused(
    settings: Settings, sandbox: SandboxExchange, warehouse: Warehouse, is_over_soon: bool
) -> None:
    """A short outage is bridged. After a long one the run gives up, and proved days are kept."""
    with ThreadPoolExecutor() as pool:
        with serving(sandbox, latency=0.1) as url:
            slowly = replace(settings, base_url=url, concurrency=2)
            running = pool.submit(backfilled, slowly, warehouse)
            while sandbox.requests[CHART] < 12:
                assert not running.done()
                time.sleep(0.01)
        port = int(url.rpartition(":")[2].partition("/")[0])
        if is_over_soon:
            time.sleep(0.3)
            with serving(sandbox, port=port):
                outcome = running.result()
            assert outcome.days_by_state == {DayState.COMPLETE: 60}
        else:
            outcome = running.result()
            assert 0 < len(outcome.proofs) < 60
            assert len(outcome.proofs) + len(outcome.failures) == 60
            assert all("cannot be reached" in reason for reason in outcome.failures.values())
    assert verify(warehouse).findings == []


def backfilled(settings: Settings, warehouse: Warehouse) -> Outcome:
    days = {name: list(days_between(FIRST, LAST)) for name in NAMES}
    with open_exchange(settings, patience=2.0) as exchange:
        here = ForegroundBackfill(exchange, warehouse)
        return here.backfill(CANDLES[Resolution.MINUTE_1], Job("a run", days))


@pytest.mark.torture
@pytest.mark.parametrize("fault", OF_CANDLES)
def test_a_fault_that_corrupts_a_fifth_of_the_answers(
    pipeline: Pipeline, faults: Faults, fault: str
) -> None:
    survives(pipeline, faults, {fault: SHARE}, seed=0)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(4))
def test_all_faults_mixed_corrupt_a_fifth_of_the_answers(
    pipeline: Pipeline, faults: Faults, seed: int
) -> None:
    survives(pipeline, faults, dict.fromkeys(OF_CANDLES, SHARE / len(OF_CANDLES)), seed)
