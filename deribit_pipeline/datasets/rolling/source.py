"""What the exchange tells of the last days only, in one answer: each poll has to be in time."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from deribit_pipeline.datasets import registry as datasets
from deribit_pipeline.datasets.rolling.proof import RollingWindow, read_window
from deribit_pipeline.datasets.rolling.wire import Readings
from deribit_pipeline.datasets.settlements.delivered import delivery_prices
from deribit_pipeline.datasets.settlements.deliveries import index_checked
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.malformed import malformed_of
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.engine.dataset_reads import proofs, rows_of
from deribit_pipeline.engine.repeated_requests import agreed, expectations, once
from deribit_pipeline.engine.rows import FetchedRows, Keys, count_of, some_of
from deribit_pipeline.engine.source import FailedDays, SeriesSource
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.methods import Told
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.warehouse.warehouse import Warehouse

Ask = Callable[[DeribitClient, str], Awaitable[Told[Readings]]]


@dataclass(frozen=True, slots=True)
class RollingSource(SeriesSource):
    """Brings what one answer tells, as two say it alike: nothing in it names its series.

    `step` and `reach` are as in `read_window`. Of days before those that are told, all rows are
    missing that were not polled in time.
    """

    dataset: Dataset
    method: str
    ask: Ask
    step: timedelta | None = None
    reach: timedelta | None = None

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedRows | FailedDays]:
        """All days follow from the same answers, or have failed."""

        at = self.dataset.at

        async def ask() -> RollingWindow:
            told = await self.ask(exchange.client, series)
            rows, malformed = told.said.rows, told.said.malformed
            # Of a day that is told to begin with, the first row comes twice.
            is_twice = count_of(rows) > 1 and rows[at][0] == rows[at][1]
            rows, torn = once(self.dataset, rows, expected=int(is_twice))
            with expectations(self.method, series=series):
                return read_window(
                    at, rows, told.as_of,
                    reach=self.reach, step=self.step, malformed=malformed + torn,
                )  # fmt: skip

        def odd(reason: str) -> DeribitBadPayload:
            return DeribitBadPayload(reason, method=self.method, params={"series": series})

        try:
            window = await agreed(ask, RollingWindow.is_alike, odd("answers contradict each other"))
        except DeribitBadPayload as error:
            yield FailedDays(days, error)
            return
        complete, delivered = await asyncio.to_thread(self._held, warehouse, series, days)
        for day in days:
            if (why := malformed_of(window.malformed, day)) is not None:
                yield FailedDays([day], odd(why))
                continue
            fetched = window.day(series, day, complete.get(day))
            if self.dataset is datasets.INDEX_PRICES:
                fetched = index_checked(fetched, delivered.get(day, {}).get(series))
            yield fetched

    def requests(self, series: str, days: Sequence[date], *, each_twice: bool = False) -> int:
        """Two answers, however many the days are."""
        return 2

    def _held(
        self, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> tuple[dict[date, Keys], dict[date, dict[str, float]]]:
        """The held moments of those days that are complete, and the delivery prices of all."""
        with warehouse.reading() as connection:
            held = proofs(connection, [self.dataset.name], [series], min(days), max(days))
            delivered = delivery_prices(connection, min(days), max(days))
            complete = {
                proof.day: rows_of(connection, self.dataset, series, proof.day)[self.dataset.at]
                for proof in held
                if proof.state is DayState.COMPLETE and proof.day in days
            }
            return complete, delivered


async def _index_chart(client: DeribitClient, index_name: str) -> Told[Readings]:
    """The chart of two days: the finest one that has the whole of yesterday, whenever it is asked
    for. Its first point may tell only what is left of its span, however often it comes."""
    told = await client.get_index_chart_data(index_name, "2d")
    moments = told.said.rows["priced_at"]
    rows = some_of(told.said.rows, moments != moments[:1])
    return Told(Readings(rows, told.said.malformed), told.as_of)


HISTORICAL_VOLATILITY = RollingSource(
    datasets.HISTORICAL_VOLATILITY,
    "public/get_historical_volatility",
    lambda client, currency: client.get_historical_volatility(currency),
    step=timedelta(hours=1),
)
INDEX_PRICES = RollingSource(
    datasets.INDEX_PRICES,
    "public/get_index_chart_data",
    _index_chart,
    reach=timedelta(days=3),  # of two days: what tells more is a chart of another range
)
