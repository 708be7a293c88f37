"""Quantiles of durations, within what the classes promise."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deribit_pipeline.recorder.latencies import Latencies

SECONDS = st.lists(st.floats(0.001, 3_599.0), min_size=1, max_size=200)


@given(SECONDS, st.sampled_from([0.01, 0.5, 0.99, 1.0]))
def test_a_quantile_is_at_most_five_percent_above_the_exact_one(
    seconds: list[float], share: float
) -> None:
    latencies = Latencies()
    for each in seconds:
        latencies.add(each)
    found = latencies.quantile_ms(share)
    exact = sorted(seconds)[math.ceil(share * len(seconds)) - 1] * 1000
    assert found is not None
    assert exact - 0.1 <= found <= exact * 1.051 + 0.1


def test_any_duration_is_counted() -> None:
    latencies = Latencies()
    assert latencies.quantile_ms(0.5) is None
    for seconds in (-1.0, 0.0, 1e9):
        latencies.add(seconds)
    assert latencies.count == 3
    assert latencies.quantile_ms(0.5) == pytest.approx(1.0)
    assert (latencies.quantile_ms(1.0) or 0) >= 3_600_000
