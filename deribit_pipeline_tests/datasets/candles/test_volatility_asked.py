"""Realised volatility of a span reads no more than it needs, and refuses fractional arguments."""

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.datasets.candles.test_volatility import markets, rows

__all__ = ["markets"]  # a fixture

SPAN = "since := '2024-01-20 06:30:00+00', until := '2024-01-21 00:00:00+00'"
A_DAY = datetime(2024, 1, 20, 6, 30, tzinfo=UTC), datetime(2024, 1, 21, tzinfo=UTC)


@pytest.mark.parametrize("call", ["CALM', 60, 24", "JUMPING', 7, 100", "CALM', 1440, 5"])
def test_a_span_gives_the_same_values_as_all_history(markets: Warehouse, call: str) -> None:
    returned = [
        row
        for row in rows(markets, f"from realised_volatility('{call})")
        if A_DAY[0] <= row[0] < A_DAY[1]
    ]
    found = rows(markets, f"from realised_volatility('{call}, {SPAN})")
    assert [row[0] for row in found] == [row[0] for row in returned]
    # The sums of rolling windows are made of other parts, which rounds otherwise.
    values, others = (np.array([row[2:] for row in each], float) for each in (found, returned))
    assert values == pytest.approx(others, rel=1e-12)


def test_of_a_span_no_other_days_are_read(markets: Warehouse) -> None:
    requested = f"from realised_volatility('CALM', 60, 24, {SPAN})"
    [(_, plan)] = rows(markets, f"explain (analyze, format json) {requested}")
    read = [node for node in nodes_of(json.loads(plan)) if node["extra_info"].get("Table")]
    [minutes] = [node for node in read if node["extra_info"]["Table"].endswith(".candles")]
    assert minutes["operator_cardinality"] <= (17 + 25 + 1) * 60


def nodes_of(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan] + [node for child in plan["children"] for node in nodes_of(child)]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("sampled_candles('CALM', 1.5)", "sampling"),
        ("sampled_candles('CALM', 0)", "sampling"),
        ("realised_volatility('CALM', 1.5, 24)", "sampling"),
        ("realised_volatility('CALM', 60, 24.5)", "samples"),
        ("realised_volatility('CALM', 60, -1)", "samples"),
        ("realised_volatilities('CALM', 60, [24, 168.5])", "samples"),
        ("volatility_cone('CALM', 59.5, [24])", "sampling"),
        ("realised_against_dvol('CALM', 'BTC', 2.5)", "days"),
    ],
)
def test_a_fraction_is_refused_and_never_rounded(markets: Warehouse, call: str, name: str) -> None:
    with pytest.raises(WarehouseError, match=f"{name} must be a whole number, 1 or more"):
        rows(markets, f"from {call}")
