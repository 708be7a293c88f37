"""Prices and volatilities fetched from the sandbox by their sources, for tests of both."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import pytest

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import FetchedDay, ProvedDay
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.engine.source import FailedDays, SeriesSource
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.warehouse.warehouse import Warehouse

DELIVERIES = "public/get_delivery_prices"
VOLATILITY = "public/get_historical_volatility"
CHART = "public/get_index_chart_data"
HOUR_MS = 3_600_000

Fetch = Callable[..., dict[date, FetchedDay]]


@pytest.fixture
def fetch(opened: Callable[..., Exchange], warehouse: Warehouse) -> Fetch:
    """Fetches days of a series from a source; raises the reason if they failed."""

    def fetch(source: SeriesSource, series: str, days: Sequence[date]) -> dict[date, FetchedDay]:
        exchange = opened()

        async def work() -> dict[date, FetchedDay]:
            fetched = {}
            async for one in source.fetch(exchange, warehouse, series, days):
                if isinstance(one, FailedDays):
                    assert list(one.days) == list(days)
                    raise one.error
                fetched[one.day] = one
            return fetched

        return exchange.run(work())

    return fetch


def proved(dataset: Dataset, fetched: FetchedDay, held: ProvedDay | None = None) -> ProvedDay:
    if held is None:
        return prove(dataset, fetched)
    return prove(dataset, fetched, held.rows, held.proof)


def answer(sandbox: SandboxExchange, method: str, **params: object) -> Any:
    return sandbox.answer(method, {name: str(value) for name, value in params.items()}).body[
        "result"
    ]
