"""The source of delivery prices: pages by offset, from the newest price back."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from itertools import cycle

import numpy as np

from deribit_pipeline.datasets.delivery_checks import delivery_checked, settled_at
from deribit_pipeline.datasets.delivery_prices import DELIVERY_PRICES
from deribit_pipeline.datasets.delivery_prices.calls import get_delivery_prices
from deribit_pipeline.datasets.delivery_prices.proof import (
    DeliveryPrices,
    are_alike,
    following,
    price_of_day,
    prices_of,
    require_page,
    require_total,
)
from deribit_pipeline.datasets.delivery_prices.wire import MOST_DELIVERY_PRICES
from deribit_pipeline.domain.malformed import Malformed, malformed_of
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.rows import Columns, count_of, joined_rows
from deribit_pipeline.engine.expectations import expectations, once
from deribit_pipeline.engine.source import FailedDays, SeriesSource
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.repeats import until_two_agree
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.listings import index_names
from deribit_pipeline.warehouse.warehouse import Warehouse

METHOD = "public/get_delivery_prices"

# Indexes that certainly have delivery prices.
_OLDEST = ("btc_usd", "eth_usd")


@dataclass(frozen=True, slots=True)
class DeliveryPricesSource(SeriesSource):
    """Fetches one price for each day since the oldest one that the exchange has.

    A response does not name its index, so all prices are requested twice, in pages with different
    ends. `count` is the number of prices per page, at least two.
    """

    count: int = MOST_DELIVERY_PRICES

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        """All days result from the same responses, or all fail."""
        counts = cycle((self.count, self._fewer(1), self._fewer(2)))

        def bad_payload(reason: str) -> DeribitBadPayload:
            return DeribitBadPayload(reason, method=METHOD, params={"index_name": series})

        try:
            prices = await until_two_agree(
                lambda: self._prices(exchange.client, series, days[0], next(counts)),
                partial(are_alike, since=days[0]),
                bad_payload("responses contradict each other"),
            )
            if not prices.total and not await self._is_new(exchange.client, series):
                raise bad_payload("the exchange has no delivery price of the index")
        except DeribitBadPayload as error:
            yield FailedDays(days, error)
            return
        settled = await asyncio.to_thread(_settled_at, warehouse, series, days)
        for day in days:
            if (why := malformed_of(prices.malformed, day)) is not None:
                yield FailedDays([day], bad_payload(why))
                continue
            yield delivery_checked(price_of_day(prices, series, day), settled.get(day, ()))

    def requests(self, series: str, days: Sequence[date], *, each_twice: bool = False) -> int:
        """Pages from today's price back to that of the first day, each twice."""
        back = (datetime.now(UTC).date() - days[0]).days
        return 2 * (1 + back // self.count)

    async def _is_new(self, client: DeribitClient, index_name: str) -> bool:
        """Whether an index without any price is new: the exchange lists it and has prices of
        another index, which rules out an outage."""
        names = await index_names(client)
        other = next(name for name in _OLDEST if name != index_name)
        control = await get_delivery_prices(client, other, count=2)
        return index_name in names and control.value.records_total > 0

    def _fewer(self, tenths: int) -> int:
        """Prices per page, for pages with a different end."""
        return max(2, self.count * (10 - tenths) // 10)

    async def _prices(
        self, client: DeribitClient, index_name: str, since: date, count: int
    ) -> DeliveryPrices:
        """Every price since a day, or all prices if there are fewer."""
        first = await get_delivery_prices(client, index_name, count=count)
        page, total, pages, offset = first.value, first.value.records_total, list[Columns](), 0
        malformed: list[Malformed] = []
        with expectations(METHOD, index_name=index_name):
            # Paging terminates: all pages but the last are full, and the total is bounded by days.
            require_total(total, page.rows, first.as_of)
            while True:
                rows, conflicting = once(DELIVERY_PRICES, page.rows)
                repeated = count_of(page.rows) - count_of(rows)
                require_page(
                    rows,
                    entries=page.entries,
                    repeated=repeated,
                    offset=offset,
                    count=count,
                    total=total,
                )
                unreadable = (*page.malformed, *conflicting)
                malformed += unreadable
                pages.append(following(pages[-1], rows, unreadable) if pages else rows)
                offset += min(count, total - offset) - 1
                is_all = offset + 1 >= total
                if is_all or rows["delivery_date"][-1] <= np.datetime64(since):
                    return prices_of(joined_rows(pages), total, first.as_of, malformed)
                returned = await get_delivery_prices(client, index_name, offset=offset, count=count)
                page = returned.value
                if page.records_total != total:
                    raise ValueError("a delivery price was added between two pages")


def _settled_at(
    warehouse: Warehouse, index_name: str, days: Sequence[date]
) -> dict[date, list[float]]:
    with warehouse.reading() as connection:
        return settled_at(connection, index_name, min(days), max(days))


SOURCE = DeliveryPricesSource()
