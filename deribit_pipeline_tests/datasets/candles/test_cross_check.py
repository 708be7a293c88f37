"""One wrong response among many over a long range: its candles are never in a complete day."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.sandbox.chart_faults import CHART_CHANGES
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline_tests.helpers.mutations import each_of_both
from deribit_pipeline_tests.helpers.pipeline import CHART, Pipeline, midnight, ms

FIRST, LAST = date(2024, 1, 1), date(2024, 1, 30)
NAME = "BTC-PERPETUAL"


def truth(pipeline: Pipeline, resolution: str = "1", last: date = LAST) -> NDArray[np.float64]:
    end = midnight(last + timedelta(days=1))
    return pipeline.returned_rows(NAME, resolution, midnight(FIRST), end)


@pytest.fixture(scope="module")
def month() -> list[NDArray[np.float64]]:
    """The candles of the month, once a test has computed them."""
    return []


@pytest.mark.parametrize(
    ("fault", "number"),
    [
        *((fault, 4) for fault in CHART_CHANGES),
        *(
            (fault, number)
            for fault in ("close_higher", "low_above_high", "candle_null")
            for number in (0, 8)
        ),
    ],
)
def test_one_corrupted_response_of_nine_over_a_month_of_minutes_stores_nothing_wrong(
    pipeline: Pipeline, faults: Faults, month: list[NDArray[np.float64]], fault: str, number: int
) -> None:
    """The candle in the middle of it, far from what its neighbours return too."""
    charts = 0

    def is_the_one(method: str, reply: Reply) -> bool:
        nonlocal charts
        is_minutes = method == CHART and len(reply.body["result"]["ticks"]) > 3_000
        charts += is_minutes
        return is_minutes and charts == number + 1

    faults.corrupt_where(fault, is_the_one)
    outcome = pipeline.backfill(FIRST, LAST)
    assert charts >= 9
    assert outcome.failures == {}
    assert outcome.days_by_state == {DayState.COMPLETE: 30}
    if not month:
        month.append(truth(pipeline))
    assert np.array_equal(pipeline.held_rows(NAME, "1"), month[0])


@pytest.mark.parametrize("resolution", ["5", "30", "60", "120"])
def test_other_resolutions_are_compared_with_a_multiple_too(
    pipeline: Pipeline, faults: Faults, resolution: str
) -> None:
    faults.corrupt_next(["close_higher"], CHART)
    outcome = pipeline.backfill(FIRST, LAST, resolution)
    assert outcome.failures == {}
    assert np.array_equal(pipeline.held_rows(NAME, resolution), truth(pipeline, resolution))


def about(day: date, minute: int) -> Any:
    """Whether a chart of minutes has the candle of this one."""
    tick = ms(day, minute)

    def where(method: str, reply: Reply) -> bool:
        ticks = reply.body["result"]["ticks"] if method == CHART else []
        return tick in ticks and len(ticks) > 1 and ticks[1] - ticks[0] == 60_000

    return where


def amended(sandbox: SandboxExchange, day: date, minute: int, **values: object) -> None:
    """Return these values of one minute from now on; the coarser candles stay as they are."""
    tick = ms(day, minute)

    def amend(chart: dict[str, Any]) -> dict[str, Any]:
        ticks = chart["ticks"].tolist()
        if tick not in ticks or (len(ticks) > 1 and ticks[1] - ticks[0] != 60_000):
            return chart
        changed = {name: list(chart[name]) for name in values}
        for name, value in values.items():
            changed[name][ticks.index(tick)] = value
        return chart | changed

    sandbox.amend(CHART, amend)


def verdicts(pipeline: Pipeline) -> dict[int, tuple[str, str, str]]:
    rows = pipeline.rows("select day(day), state, cross_check, verdict from candle_days")
    return {day: tuple(rest) for day, *rest in rows}


def test_days_say_that_the_coarser_candles_agree_or_that_there_are_none(pipeline: Pipeline) -> None:
    pipeline.backfill(FIRST, FIRST)
    assert verdicts(pipeline) == {1: ("complete", "agrees", "")}
    pipeline.backfill(FIRST, FIRST, "360")
    query = "select cross_check, verdict from candle_days where resolution = '360'"
    assert pipeline.rows(query) == [("none", "")]


def test_a_disagreement_that_two_responses_confirm_is_named_in_the_verdict(
    pipeline: Pipeline, sandbox: SandboxExchange
) -> None:
    amended(sandbox, date(2024, 1, 3), 125, volume=77.0)
    outcome = pipeline.backfill(FIRST, date(2024, 1, 9))
    assert outcome.failures == {}
    found = verdicts(pipeline)
    state, cross_check, verdict = found.pop(3)
    assert (state, cross_check) == ("complete", "disagrees")
    assert verdict.startswith(
        "confirmed by two responses: the candles from 2024-01-03 02:00 and the coarser one differ: "
        "volume_base "
    )
    assert set(found.values()) == {("complete", "agrees", "")}
    assert pipeline.rows("select count(*) from candles where volume_base = 77") == [(1,)]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"low": 1e6}, "low 1000000"),
        ({"high": 1.0}, "high 1,"),
        ({"open": 0.0, "low": 0.0}, "open 0,"),
        ({"close": -5.0, "low": -5.0}, "close -5"),
        ({"volume": -1.0}, "volume_base -1"),
        ({"cost": -1.0}, "volume_quote -1"),
        ({"volume": 0.0, "cost": 3.0}, "volume_base 0, volume_quote 3"),
        ({"high": 1e308}, "high 1e+308"),
    ],
)
def test_an_impossible_candle_that_two_responses_confirm_is_kept_and_named(
    pipeline: Pipeline, sandbox: SandboxExchange, values: dict[str, float], sentence: str
) -> None:
    amended(sandbox, FIRST, 700, **values)
    outcome = pipeline.backfill(FIRST, date(2024, 1, 2))
    assert outcome.days_by_state == {DayState.COMPLETE: 2}
    found = verdicts(pipeline)
    assert found[2] == ("complete", "agrees", "")
    assert "an impossible candle at 2024-01-01 11:40: " in found[1][2]
    assert sentence in found[1][2]


@each_of_both("value, resolution", [None, "1", True, {}, [1.0]], ["1", "60"])
def test_a_malformed_value_costs_its_own_day_alone(
    pipeline: Pipeline, sandbox: SandboxExchange, value: object, resolution: str
) -> None:
    tick = ms(date(2024, 1, 4), 9 * 60)
    step = {"1": 60_000, "60": 3_600_000}[resolution]

    def amend(chart: dict[str, Any]) -> dict[str, Any]:
        ticks = chart["ticks"].tolist()
        if tick not in ticks or (len(ticks) > 1 and ticks[1] - ticks[0] != step):
            return chart
        close = chart["close"].tolist()
        close[ticks.index(tick)] = value
        return chart | {"close": close}

    sandbox.amend(CHART, amend)
    outcome = pipeline.backfill(FIRST, date(2024, 1, 7), resolution)
    assert outcome.days_by_state == {DayState.COMPLETE: 6}
    [(key, reason)] = outcome.failures.items()
    assert key == (NAME, date(2024, 1, 4))
    assert "2024-01-04 09:00" in reason


def test_candles_that_no_two_responses_share_are_not_proved(
    pipeline: Pipeline, sandbox: SandboxExchange
) -> None:
    tick, calls = ms(date(2024, 1, 2), 300), 0

    def amend(chart: dict[str, Any]) -> dict[str, Any]:
        nonlocal calls
        ticks = chart["ticks"].tolist()
        if tick not in ticks or ticks[1] - ticks[0] != 60_000:
            return chart
        calls += 1
        volume = chart["volume"].copy()
        volume[ticks.index(tick)] = 1_000.0 + calls
        return chart | {"volume": volume}

    sandbox.amend(CHART, amend)
    outcome = pipeline.backfill(FIRST, date(2024, 1, 9))
    assert outcome.days_by_state == {DayState.COMPLETE: 8}
    assert list(outcome.failures) == [(NAME, date(2024, 1, 2))]
    assert "no two of 5 responses share the candles from 2024-01-02 05:00" in str(outcome.failures)


def test_coarser_candles_that_most_pages_contradict_are_given_up_with_one_warning(
    pipeline: Pipeline, sandbox: SandboxExchange, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the live exchange's hours are the sums of its minutes is not verified."""

    def amend(chart: dict[str, Any]) -> dict[str, Any]:
        ticks = chart["ticks"]
        if len(ticks) < 2 or ticks[1] - ticks[0] != 3_600_000:
            return chart
        return chart | {"volume": chart["volume"] * 2 + 1}

    sandbox.amend(CHART, amend)
    outcome = pipeline.backfill(FIRST, date(2024, 3, 31))
    assert outcome.days_by_state == {DayState.COMPLETE: 91}
    output = [record for record in caplog.records if "without this cross-check" in record.message]
    assert len(output) == 1
    assert outcome.requests < 28 + 3 * 9
    checks = dict(pipeline.rows("select cross_check, count(*) from candle_days group by all"))
    assert checks.keys() == {"disagrees", "none"}
    assert checks["none"] > 50


def test_a_wrong_coarser_response_accuses_no_minute(pipeline: Pipeline, faults: Faults) -> None:
    charts = 0

    def is_first_of_hours(method: str, reply: Reply) -> bool:
        nonlocal charts
        ticks = reply.body["result"]["ticks"] if method == CHART else []
        is_hours = len(ticks) > 1 and ticks[1] - ticks[0] == 3_600_000
        charts += is_hours
        return is_hours and charts == 1

    faults.corrupt_where("another_instrument", is_first_of_hours)
    outcome = pipeline.backfill(FIRST, date(2024, 1, 9))
    assert outcome.days_by_state == {DayState.COMPLETE: 9}
    assert set(verdicts(pipeline).values()) == {("complete", "agrees", "")}
    assert np.array_equal(pipeline.held_rows(NAME, "1"), truth(pipeline, last=date(2024, 1, 9)))


def test_a_response_for_another_window_is_refused(
    pipeline: Pipeline, sandbox: SandboxExchange
) -> None:
    """Charts of January for requests of February, as a cache that ignores parameters has them."""
    january = {"start_timestamp": str(ms(FIRST, 0)), "end_timestamp": str(ms(date(2024, 1, 3), 0))}
    former = sandbox._methods[CHART]
    sandbox._methods[CHART] = lambda params: former({**params, **january})
    outcome = pipeline.backfill(date(2024, 2, 1), date(2024, 2, 3))
    assert outcome.proofs == {}
    assert all("another window than the requested" in text for text in outcome.failures.values())
    assert pipeline.rows("select count(*) from candle_days") == [(0,)]
    sandbox._methods[CHART] = former
    assert pipeline.backfill(date(2024, 2, 1), date(2024, 2, 3)).failures == {}


@pytest.mark.parametrize("days", [1, 9])
def test_a_candle_that_just_closed_and_still_changes_leaves_its_day_open(
    pipeline: Pipeline, sandbox: SandboxExchange, clock: Any, days: int
) -> None:
    """Yesterday is requested half a minute after midnight, while late trades still arrive."""
    clock.now = datetime.combine(LAST, datetime.min.time(), midnight(LAST).tzinfo) + timedelta(
        days=1, seconds=30
    )
    tick, calls = ms(LAST, 1_439), 0

    def amend(chart: dict[str, Any]) -> dict[str, Any]:
        nonlocal calls
        ticks = chart["ticks"].tolist()
        if tick not in ticks or len(ticks) < 2 or ticks[1] - ticks[0] != 60_000:
            return chart
        calls += 1
        volume = chart["volume"].copy()
        volume[ticks.index(tick)] += calls
        return chart | {"volume": volume}

    sandbox.amend(CHART, amend)
    outcome = pipeline.backfill(LAST - timedelta(days=days - 1), LAST)
    assert outcome.failures == {}
    assert outcome.days_by_state[DayState.OPEN] == 1
    assert outcome.days_by_state[DayState.COMPLETE] == days - 1
    query = f"select expected, received, missing from candle_days where day = '{LAST}'"
    assert pipeline.rows(query) == [(1440, 1439, 0)]


def test_each_window_twice_finds_what_conserves_the_aggregates_of_its_hour(
    pipeline: Pipeline, sandbox: SandboxExchange, faults: Faults
) -> None:
    """Two volumes of one hour exchanged in one response: the hour's sum is the same."""
    corrupted = 0

    def amend(chart: dict[str, Any]) -> dict[str, Any]:
        nonlocal corrupted
        tick, ticks = ms(date(2024, 1, 12), 130), chart["ticks"].tolist()
        if corrupted or tick not in ticks or ticks[1] - ticks[0] != 60_000:
            return chart
        corrupted += 1
        rows = list(range(len(ticks)))
        at = ticks.index(tick)
        rows[at], rows[at + 5] = at + 5, at
        return chart | {name: chart[name][rows] for name in ("volume", "cost")}

    sandbox.amend(CHART, amend)
    outcome = pipeline.backfill(FIRST, LAST)
    assert corrupted == 1
    assert outcome.days_by_state == {DayState.COMPLETE: 30}
    # docs/guarantees.md states this limit.
    assert not np.array_equal(pipeline.held_rows(NAME, "1"), truth(pipeline))
    corrupted = 0
    once = outcome.requests
    outcome = pipeline.backfill(FIRST, LAST, force=True, each_twice=True)
    assert corrupted == 1
    assert outcome.requests > 2 * (once - 1)
    assert outcome.days_by_state == {DayState.COMPLETE: 30}
    assert np.array_equal(pipeline.held_rows(NAME, "1"), truth(pipeline))
