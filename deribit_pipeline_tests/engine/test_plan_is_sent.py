"""The requests that a plan counts are those that a backfill of a healthy exchange sends."""

from datetime import UTC, date, datetime

import pytest

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.estimate import Limit, estimate
from deribit_pipeline_tests.helpers.pipeline import Pipeline

NAMES = ("BTC-PERPETUAL", "ETH-PERPETUAL")


@pytest.mark.parametrize(
    ("resolution", "first", "last"),
    [
        ("1", date(2024, 1, 1), date(2024, 1, 1)),
        ("1", date(2024, 1, 1), date(2024, 1, 8)),
        ("60", date(2024, 1, 1), date(2024, 1, 8)),
        ("120", date(2024, 1, 1), date(2024, 1, 8)),
        ("360", date(2024, 1, 1), date(2024, 1, 8)),
        ("1D", date(2024, 1, 1), date(2024, 3, 31)),
    ],
)
@pytest.mark.parametrize("each_twice", [False, True])
def test_a_backfill_sends_the_requests_of_its_plan(
    pipeline: Pipeline, resolution: str, first: date, last: date, *, each_twice: bool
) -> None:
    listed = datetime(2020, 1, 1, tzinfo=UTC)
    instruments = {name: Instrument(name, "future", listed, None) for name in NAMES}
    days = {name: list(days_between(first, last)) for name in NAMES}
    counted = estimate(
        CANDLES[Resolution(resolution)],
        days,
        days,
        instruments,
        Limit(20.0, 100),
        each_twice=each_twice,
    )
    outcome = pipeline.backfill(first, last, resolution, NAMES, each_twice=each_twice)
    assert outcome.failures == {}
    assert outcome.requests == counted.requests
