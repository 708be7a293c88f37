"""Settlements fetched from the sandbox by their source, for tests that compare both."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import pytest

from deribit_pipeline.datasets.settlements.source import SettlementsSource
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.source import FailedDays
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.warehouse.warehouse import Warehouse

BY_CURRENCY = "public/get_last_settlements_by_currency"
EPOCH = date(1970, 1, 1)
SPRING = list(days_between(date(2024, 3, 26), date(2024, 4, 2)))

Fetch = Callable[..., list[FetchedDay | FailedDays]]


@pytest.fixture
def fetch(opened: Callable[..., Exchange], warehouse: Warehouse) -> Fetch:
    """Fetches days of a currency's settlements in pages of `count`."""

    def fetch(
        days: Sequence[date], currency: str = "BTC", count: int = 1_000
    ) -> list[FetchedDay | FailedDays]:
        exchange, source = opened(), SettlementsSource(count)

        async def work() -> list[FetchedDay | FailedDays]:
            return [
                returned async for returned in source.fetch(exchange, warehouse, currency, days)
            ]

        return exchange.run(work())

    return fetch


def returned(sandbox: SandboxExchange, currency: str, day: date) -> list[tuple[str, str, float]]:
    """Instrument, type and position of every settlement of a day on the exchange."""
    listings = [
        listing
        for listing in sandbox.listings()
        if listing.kind in ("future", "option") and listing.settlement_currency == currency
    ]
    rows = sandbox.settlements.rows_of(listings, (day - EPOCH).days)
    return sorted((row["instrument_name"], row["type"], float(row["position"])) for row in rows)


def held(fetched: FetchedDay | FailedDays) -> list[tuple[str, str, float]]:
    assert isinstance(fetched, FetchedDay), fetched
    names = ("instrument_name", "type", "position")
    return list(zip(*(fetched.rows[name].tolist() for name in names), strict=True))


def ends_early(page: dict[str, Any]) -> dict[str, Any]:
    """Half of a page, without a continuation."""
    return {"settlements": page["settlements"][: len(page["settlements"]) // 2]}


def failures(fetched: Sequence[FetchedDay | FailedDays], days: Sequence[date]) -> str:
    """The reasons why these days failed, each once, without any other fetched day."""
    failed = [one for one in fetched if isinstance(one, FailedDays)]
    assert len(failed) == len(fetched), fetched
    assert sorted(day for one in failed for day in one.days) == list(days)
    assert all(isinstance(one.error, DeribitBadPayload) for one in failed)
    return str(failed[0].error)


def by_day(fetched: Sequence[FetchedDay | FailedDays]) -> dict[date, FetchedDay]:
    days = {one.day: one for one in fetched if isinstance(one, FetchedDay)}
    assert len(days) == len(fetched), fetched
    return days
