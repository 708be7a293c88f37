"""The source of the volatility index, in minutes and hours."""

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
from deribit_pipeline.engine.grid_windows import SeriesGrid
from deribit_pipeline.engine.sampling_grid import SamplingGrid
from deribit_pipeline.engine.window_pages import RowsRequest
from deribit_pipeline.engine.windowed_source import RequestPlan, WindowedSource
from deribit_pipeline.exchange.readings import ResponseRows
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.warehouse.warehouse import Warehouse

ALWAYS = TimeWindow(datetime(1970, 1, 2, tzinfo=UTC), END_OF_TIME)
LIFE = TimeWindow(datetime(2021, 3, 24, tzinfo=UTC), ALWAYS.end)
"""The time since when the index is published: the day is known (assumption:dvol-began), the first
hour is not."""


def _candles_of(seconds: int, most: int = 1_000) -> SamplingGrid:
    step = timedelta(seconds=seconds)
    labels = {"resolution": str(seconds)}
    return SamplingGrid("opened_at", step, lasts=step, most=most, labels=labels)


def _labelled(sampling_grid: SamplingGrid, candles: Columns) -> Columns:
    count = len(candles["opened_at"])
    return {
        name: np.full(count, label, object) for name, label in sampling_grid.labels.items()
    } | candles


# A response has at most 1,000 candles: assumption:dvol-most.
# Hours are requested in far smaller windows: otherwise all days that are verified together would be
# a single window, without neighbouring windows to confirm it.
MINUTES, HOURS = _candles_of(60), _candles_of(3_600, most=120)


class VolatilityIndexCandles(WindowedSource):
    """The candles of a currency in both resolutions: a day is complete with those of both. That
    hours are aggregates of minutes is assumption:dvol-sums."""

    dataset = VOLATILITY_INDEX
    sampling_grids = (HOURS, MINUTES)
    nothing = _labelled(MINUTES, volatility_index.index_page({"data": []}).candles)

    async def request_plan(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> RequestPlan:
        """Every day is requested: only the exchange knows which currencies have an index."""
        return RequestPlan(
            ALWAYS,
            HoursOfMinutes(),
            [
                (_series_grid(sampling_grid, series), _request(exchange, sampling_grid, series))
                for sampling_grid in self.sampling_grids
            ],
        )


def _series_grid(sampling_grid: SamplingGrid, currency: str) -> SeriesGrid:
    params = {"currency": currency, **sampling_grid.labels}
    return SeriesGrid(sampling_grid, LIFE, volatility_index.DATA, params)


def _request(exchange: Exchange, sampling_grid: SamplingGrid, currency: str) -> RowsRequest:
    async def request(window: TimeWindow) -> ResponseRows:
        returned = await get_volatility_index_data(
            exchange.client, currency, sampling_grid.labels["resolution"], window
        )
        return replace(returned, value=_labelled(sampling_grid, returned.value))

    return request


SOURCE = VolatilityIndexCandles()
