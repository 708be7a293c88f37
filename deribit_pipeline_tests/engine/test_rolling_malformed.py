"""A row of retention-limited data that is malformed in one response leaves no day unproved."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from deribit_pipeline.datasets.historical_volatility import source as historical_volatility
from deribit_pipeline.datasets.index_prices import source as index_prices
from deribit_pipeline.engine.rolling_source import RollingSource
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.fetched_days import Fetching

FIRST, LAST = date(2024, 4, 8), date(2024, 4, 10)


@pytest.mark.parametrize(
    ("source", "series"),
    [(index_prices.SOURCE, "btc_usd"), (historical_volatility.SOURCE, "BTC")],
    ids=["index", "volatility"],
)
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("row", [0, 5, -1])
def test_a_row_that_is_malformed_in_one_response_costs_no_day(
    opened: Callable[..., Exchange],
    warehouse: Warehouse,
    sandbox: SandboxExchange,
    source: RollingSource,
    series: str,
    number: int,
    row: int,
) -> None:
    times = 0

    def amend(rows: list[Any]) -> list[Any]:
        nonlocal times
        times += 1
        changed = [list(each) for each in rows]
        changed[row][1] = "40,000" if times == number else changed[row][1]
        return changed

    sandbox.amend(source.method, amend)
    brought = Fetching(opened(), warehouse, source)(series, FIRST, LAST)
    assert times > 1
    assert brought.failed == {}
