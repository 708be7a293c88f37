"""Delivery prices, volatility and index prices: stored as returned by the exchange, with their
rules."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets.delivery_prices import DELIVERY_PRICES
from deribit_pipeline.datasets.delivery_prices.wire import delivery_prices
from deribit_pipeline.datasets.historical_volatility import HISTORICAL_VOLATILITY
from deribit_pipeline.datasets.historical_volatility.wire import historical_volatility
from deribit_pipeline.datasets.index_prices import INDEX_PRICES
from deribit_pipeline.datasets.index_prices.wire import index_chart
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.rows import count_of
from deribit_pipeline.engine.breaches import breaches
from deribit_pipeline.engine.rolling_window import read_window
from deribit_pipeline.instruments.wire import index_price_names
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import recorded
from deribit_pipeline_tests.helpers.fetched_prices import CHART, DELIVERIES, VOLATILITY, answer
from deribit_pipeline_tests.sandbox.test_sandbox import shape


def test_the_recorded_delivery_prices_are_read() -> None:
    page = delivery_prices(recorded("delivery_prices"))
    assert page.records_total == 2_614
    assert page.rows["delivery_date"].astype(str).tolist()[0] == "2026-09-20"
    assert page.rows["delivery_price"].tolist() == [
        row["delivery_price"] for row in recorded("delivery_prices")["data"]
    ]


def test_the_recorded_volatility_tells_its_first_row_twice() -> None:
    rows = historical_volatility(recorded("historical_volatility")).rows
    assert rows["measured_at"][0] == rows["measured_at"][1]
    as_of = datetime(2026, 9, 20, 21, tzinfo=UTC)
    window = read_window("measured_at", rows, as_of, step=timedelta(hours=1))
    assert count_of(window.rows) == count_of(rows) - 1


def test_the_recorded_chart_of_an_hour_has_steps_of_six_seconds() -> None:
    rows = index_chart(recorded("index_chart_data")).rows
    as_of = datetime(2026, 9, 20, 21, 17, 21, tzinfo=UTC)
    window = read_window("priced_at", rows, as_of, reach=timedelta(hours=1))
    assert window.step == np.timedelta64(6_000, "ms")
    assert rows["price"].tolist() == [price for _, price in recorded("index_chart_data")]


def test_the_recorded_names_of_indexes_are_read() -> None:
    names = index_price_names(recorded("index_price_names"))
    assert {"btc_usd", "eth_usd", "sol_usdc"} <= set(names)


@pytest.mark.parametrize(
    ("parser", "returned", "sentence"),
    [
        (delivery_prices, {"data": [], "records_total": None}, "array of numbers"),
        (delivery_prices, {"data": [], "records_total": 1.5}, "must be a count"),
        (delivery_prices, {"data": [{"date": "20260920"}]}, "`date` must be a date"),
        (delivery_prices, {"data": [{"date": "2026-09-31"}]}, "`date` must be a date"),
        (historical_volatility, {}, "must be an array"),
        (historical_volatility, [[1]], "a timestamp and a number"),
        (index_chart, [[1, None]], "`value` must be an array of numbers"),
        (index_chart, [["1", 2]], "`timestamp` must be a number"),
        (index_price_names, [7], "`name` must be a text"),
    ],
)
def test_malformed_prices_are_an_error(
    parser: Callable[[object], object], returned: object, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        parser(returned)


def test_the_sandbox_returns_prices_as_recorded(sandbox: SandboxExchange) -> None:
    returned: Mapping[str, Any] = {
        "delivery_prices": answer(sandbox, DELIVERIES, index_name="btc_usd"),
        "historical_volatility": answer(sandbox, VOLATILITY, currency="BTC"),
        "index_chart_data": answer(sandbox, CHART, index_name="btc_usd", range="1h"),
        "index_price_names": answer(sandbox, "public/get_index_price_names"),
    }
    for name, result in returned.items():
        assert shape(result) == shape(recorded(name)), name
    assert len(returned["delivery_prices"]["data"]) == 10
    assert returned["historical_volatility"][0] == returned["historical_volatility"][1]


# Rules


SOUND = """
insert into delivery_prices
select 'btc_usd', date '2024-04-01' + cast(n as integer), 70000 from range(5) as days(n);
insert into historical_volatility
select 'BTC', timestamptz '2024-04-01 00:00:00+00' + to_hours(n), 50 from range(24) as hours(n);
insert into index_prices
select 'btc_usd', timestamptz '2024-04-01 00:00:00+00' + to_seconds(288 * n), 70000
from range(300) as points(n);
"""
LATE = "where priced_at > timestamptz '2024-04-01 12:00:00+00'"


@pytest.mark.parametrize(
    ("dataset", "rule", "offence"),
    [
        (DELIVERY_PRICES, 0, "delete from delivery_prices where delivery_date = '2024-04-03'"),
        (HISTORICAL_VOLATILITY, 0, "update historical_volatility set volatility = 0"),
        (INDEX_PRICES, 0, "update index_prices set price = -1"),
        (
            INDEX_PRICES,
            1,
            f"update index_prices set priced_at = priced_at + interval 1 second {LATE}",
        ),
    ],
)
def test_a_rule_finds_its_offence(
    warehouse: Warehouse, dataset: Dataset, rule: int, offence: str
) -> None:
    tried = dataset.rules[rule]
    with warehouse.writing() as connection:
        connection.execute(SOUND)
        assert breaches(connection, tried, {}).count == 0
        connection.execute(offence)
        assert breaches(connection, tried, {}).count > 0
