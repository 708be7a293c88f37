"""Delivery prices of an index: pages by offset, from the newest price back."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from itertools import cycle

import numpy as np

from deribit_pipeline.deribit.client import DeribitClient
from deribit_pipeline.deribit.prices import MOST_DELIVERY_PRICES
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.operations.sources.asking import agreed, expectations
from deribit_pipeline.operations.sources.source import FailedDays
from deribit_pipeline.planning.delivery_prices import (
    DeliveryPrices,
    are_alike,
    price_of_day,
    prices_of,
    require_page,
    require_total,
)
from deribit_pipeline.planning.rows import Columns, FetchedRows, count_of, joined_rows, some_of
from deribit_pipeline.warehouse.warehouse import Warehouse

METHOD = "public/get_delivery_prices"


@dataclass(frozen=True, slots=True)
class DeliveryPricesSource:
    """Brings one price for each day since the oldest one that the exchange has.

    Nothing in an answer names its index, so all are asked for twice, in pages that end elsewhere.
    `count` is how many prices a page holds, two at least.
    """

    count: int = MOST_DELIVERY_PRICES

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedRows | FailedDays]:
        """All days follow from the same answers, or have failed."""
        counts = cycle((self.count, max(2, self.count * 9 // 10)))
        contradiction = DeribitBadPayload(
            "answers contradict each other", method=METHOD, params={"index_name": series}
        )
        try:
            prices = await agreed(
                lambda: self._prices(exchange.client, series, days[0], next(counts)),
                partial(are_alike, since=days[0]),
                contradiction,
            )
        except DeribitBadPayload as error:
            yield FailedDays(days, error)
            return
        for day in days:
            yield price_of_day(prices, series, day)

    def requests(self, series: str, days: Sequence[date]) -> int:
        """Pages from today's price back to that of the first day, each of them twice."""
        back = (datetime.now(UTC).date() - days[0]).days
        return 2 * (1 + back // self.count)

    async def _prices(
        self, client: DeribitClient, index_name: str, since: date, count: int
    ) -> DeliveryPrices:
        """Every price since a day, or all that there are."""
        first = await client.get_delivery_prices(index_name, count=count)
        page, pages, offset = first.said, list[Columns](), 0
        with expectations(METHOD, index_name=index_name):
            # Pages end: each but the last is full, and a total is bound by the days there were.
            require_total(first.said.records_total, page.rows, first.as_of)
            while True:
                require_page(
                    page.rows,
                    offset=offset,
                    count=count,
                    total=first.said.records_total,
                    former=pages[-1] if pages else None,
                )
                # Each page but the first tells the last price of the one before it again.
                pages.append(some_of(page.rows, slice(1 if pages else 0, None)))
                offset += count_of(page.rows) - 1
                is_all = offset + 1 >= first.said.records_total
                if is_all or page.rows["delivery_date"][-1] <= np.datetime64(since):
                    return prices_of(joined_rows(pages), first.as_of)
                told = await client.get_delivery_prices(index_name, offset=offset, count=count)
                page = told.said
                if page.records_total != first.said.records_total:
                    raise ValueError("a delivery price was added between two pages")
