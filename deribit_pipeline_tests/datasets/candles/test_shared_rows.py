"""A row in two neighbouring responses, wrong in one of them: no day is lost."""

from datetime import date, timedelta
from typing import Any

import pytest

from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline_tests.helpers.pipeline import CHART, Pipeline, midnight

FIRST, LAST = date(2024, 1, 1), date(2024, 1, 8)
NAME = "BTC-PERPETUAL"


@pytest.mark.parametrize("row", [0, -1])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_wrong_row_at_the_edge_of_one_response_costs_no_day(
    pipeline: Pipeline, sandbox: SandboxExchange, number: int, row: int
) -> None:
    truth = pipeline.returned(NAME, "1", midnight(FIRST), midnight(LAST + timedelta(days=1)))
    charts = 0

    def amend(chart: dict[str, Any]) -> dict[str, Any]:
        nonlocal charts
        charts += len(chart["ticks"]) > 3_000
        if charts != number or len(chart["ticks"]) <= 3_000:
            return chart
        close, high = chart["close"].copy(), chart["high"].copy()
        close[row] *= 1.1
        high[row] = max(high[row], close[row])
        return chart | {"close": close, "high": high}

    sandbox.amend(CHART, amend)
    outcome = pipeline.backfill(FIRST, LAST)
    assert outcome.failures == {}
    assert outcome.days_by_state == {DayState.COMPLETE: 8}
    assert pipeline.held(NAME, "1") == truth
