"""The volatility index, minute by minute and hour by hour."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np

from deribit_pipeline.datasets.volatility_index import VOLATILITY_INDEX
from deribit_pipeline.datasets.volatility_index import wire as volatility_index
from deribit_pipeline.datasets.volatility_index.calls import get_volatility_index_data
from deribit_pipeline.datasets.volatility_index.witness import HoursOfMinutes
from deribit_pipeline.domain.rows import Columns
from deribit_pipeline.domain.windows import END_OF_TIME, TimeWindow
from deribit_pipeline.engine.cadence import Cadence
from deribit_pipeline.engine.grid_windows import Lane
from deribit_pipeline.engine.window_pages import Ask
from deribit_pipeline.engine.windowed_source import Lanes, WindowedSource
from deribit_pipeline.exchange.readings import ToldRows
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.warehouse.warehouse import Warehouse

ALWAYS = TimeWindow(datetime(1970, 1, 2, tzinfo=UTC), END_OF_TIME)
LIFE = TimeWindow(datetime(2021, 3, 24, tzinfo=UTC), ALWAYS.end)
"""Since when the index is told: the day is known (assumption:dvol-began), its first hour is not."""


def _candles_of(seconds: int, most: int = 1_000) -> Cadence:
    step = timedelta(seconds=seconds)
    labels = {"resolution": str(seconds)}
    return Cadence("opened_at", step, lasts=step, most=most, labels=labels)


def _labelled(cadence: Cadence, candles: Columns) -> Columns:
    count = len(candles["opened_at"])
    return {name: np.full(count, label, object) for name, label in cadence.labels.items()} | candles


# A response holds at most 1,000: assumption:dvol-most.
# Of hours far fewer are asked for at once than an answer holds: so many days as are believed
# together would be one window, and neighbouring windows that agree are worth more than one alone.
MINUTES, HOURS = _candles_of(60), _candles_of(3_600, most=120)


class VolatilityIndexCandles(WindowedSource):
    """The candles of a currency at both resolutions: a day is complete with those of both. That
    the hours are made of the minutes is assumption:dvol-sums."""

    dataset = VOLATILITY_INDEX
    cadences = (HOURS, MINUTES)
    nothing = _labelled(MINUTES, volatility_index.index_page({"data": []}).candles)

    async def lanes(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> Lanes:
        """Every day is asked for: the exchange alone knows which currencies have an index."""
        return Lanes(
            ALWAYS,
            HoursOfMinutes(),
            [
                (_lane(cadence, series), _ask(exchange, cadence, series))
                for cadence in self.cadences
            ],
        )


def _lane(cadence: Cadence, currency: str) -> Lane:
    params = {"currency": currency, **cadence.labels}
    return Lane(cadence, LIFE, volatility_index.DATA, params)


def _ask(exchange: Exchange, cadence: Cadence, currency: str) -> Ask:
    async def ask(window: TimeWindow) -> ToldRows:
        told = await get_volatility_index_data(
            exchange.client, currency, cadence.labels["resolution"], window
        )
        return replace(told, said=_labelled(cadence, told.said))

    return ask


SOURCE = VolatilityIndexCandles()
