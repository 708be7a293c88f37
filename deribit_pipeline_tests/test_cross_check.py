"""One wrong response among many over a long range: its candles are never in a complete day."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from deribit_pipeline.domain import DayState
from deribit_pipeline.sandbox.chart_faults import CHART_CHANGES
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline_tests.pipeline import CHART, Pipeline, midnight, ms

FIRST, LAST = date(2024, 1, 1), date(2024, 1, 30)
NAME = "BTC-PERPETUAL"


def truth(pipeline: Pipeline, resolution: str = "1", last: date = LAST) -> list[list[float]]:
    return pipeline.told(NAME, resolution, midnight(FIRST), midnight(last + timedelta(days=1)))


@pytest.mark.parametrize("number", [0, 4, 8])
@pytest.mark.parametrize("fault", CHART_CHANGES)
def test_one_spoiled_response_of_nine_over_a_month_of_minutes_stores_nothing_wrong(
    pipeline: Pipeline, faults: Faults, fault: str, number: int
) -> None:
    """The candle in the middle of it, far from what its neighbours return too."""
    charts = 0

    def is_the_one(method: str, reply: Reply) -> bool:
        nonlocal charts
        is_minutes = method == CHART and len(reply.body["result"]["ticks"]) > 3_000
        charts += is_minutes
        return is_minutes and charts == number + 1

    faults.spoil_where(fault, is_the_one)
    outcome = pipeline.backfill(FIRST, LAST)
    assert charts >= 9
    assert outcome.failures == {}
    assert outcome.days_by_state == {DayState.COMPLETE: 30}
    assert pipeline.held(NAME, "1") == truth(pipeline)


@pytest.mark.parametrize("resolution", ["5", "30", "60", "120"])
def test_other_resolutions_are_compared_with_a_multiple_too(
    pipeline: Pipeline, faults: Faults, resolution: str
) -> None:
    faults.spoil_next(["close_higher"], CHART)
    outcome = pipeline.backfill(FIRST, LAST, resolution)
    assert outcome.failures == {}
    assert pipeline.held(NAME, resolution) == truth(pipeline, resolution)
