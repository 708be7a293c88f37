"""Indexes of the sandbox: current and recent prices, delivery prices, and volatility."""

import functools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.sandbox.drivers import driver_of
from deribit_pipeline.sandbox.listing import NEVER, Listing
from deribit_pipeline.sandbox.market import DAY, EIGHT_HOURS, MINUTE
from deribit_pipeline.sandbox.refusals import invalid, required
from deribit_pipeline.sandbox.surface import digits_of
from deribit_pipeline.sandbox.world import Method, World

HOUR = 60 * MINUTE
CHARTS = {
    "1h": (
        HOUR,
        6_000,
    ),  # as recorded; the distances between points of the other ranges are unknown
    "1d": (DAY, 144_000),
    "2d": (2 * DAY, 288_000),
    "1m": (30 * DAY, HOUR),
    "1y": (365 * DAY, DAY),
    "all": (3_650 * DAY, DAY),
}
"""The length of each range and the distance between its points, in milliseconds."""

_CURRENCIES = ("BTC", "ETH", "USDC", "USDT", "EURR")
_VOLATILE = ("BTC", "ETH")
_DAYS_PUBLISHED = 16
_DAYS_MEASURED = 15


class Prices:
    """The index data that the sandbox returns. `charts` are the ranges; `lost` are indexes and
    dates whose delivery price is omitted."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.charts = dict(CHARTS)
        self.lost: set[tuple[str, str]] = set()

    def methods(self) -> dict[str, Method]:
        """The methods of www."""
        return {
            "public/get_delivery_prices": self._get_delivery_prices,
            "public/get_historical_volatility": self._get_historical_volatility,
            "public/get_index_chart_data": self._get_index_chart_data,
            "public/get_index_price": self._get_index_price,
            "public/get_index_price_names": lambda params: list(self._indexes()),
        }

    def at(self, perpetual: Listing, moments: NDArray[np.int64]) -> NDArray[np.float64]:
        """The index that a perpetual follows, at moments in UTC milliseconds."""
        return _rounded(perpetual.base_currency, moments)

    def perpetual(self, base: str, counter: str) -> Listing:
        """The perpetual that follows the index of two currencies."""
        return self._indexes()[f"{base}_{counter}".lower()]

    def delivered(self, perpetual: Listing, day: int) -> float:
        """The delivery price of a day, counted from 1970: the index at 08:00."""
        return _at_eight(perpetual.base_currency, day)

    def _indexes(self) -> dict[str, Listing]:
        return {
            f"{listing.base_currency}_{listing.counter_currency}".lower(): listing
            for listing in self._world.listings()
            if listing.kind == "future" and listing.expires_ms == NEVER
        }

    def _index(self, params: Mapping[str, str]) -> Listing:
        perpetual = self._indexes().get(required(params, "index_name"))
        if perpetual is None:
            raise invalid("index_name", "unknown index")
        return perpetual

    def _get_index_price(self, params: Mapping[str, str]) -> dict[str, Any]:
        price = float(self.at(self._index(params), np.array([self._world.now_ms()]))[0])
        return {"index_price": price, "estimated_delivery_price": price}

    def _get_delivery_prices(self, params: Mapping[str, str]) -> dict[str, Any]:
        """Delivery prices, newest first; the offset determines the days of a page."""
        perpetual = self._index(params)
        offset = _number(params, "offset", 0, 0, 10**9)
        count = _number(params, "count", 10, 1, 1_000)
        newest = (self._world.now_ms() - EIGHT_HOURS) // DAY
        oldest = -(-(perpetual.created_ms - EIGHT_HOURS) // DAY)
        days = {day: _date(day) for day in range(newest, oldest - 1, -1)}
        returned = [
            day for day, date in days.items() if (params["index_name"], date) not in self.lost
        ]
        page = returned[offset : offset + count]
        moments = np.array(page, np.int64) * DAY + EIGHT_HOURS
        return {
            "data": [
                {"date": days[day], "delivery_price": price}
                for day, price in zip(page, self.at(perpetual, moments).tolist(), strict=True)
            ],
            "records_total": len(returned),
        }

    def _get_historical_volatility(self, params: Mapping[str, str]) -> list[list[float]]:
        """Hours since a midnight 15 days ago, the first one twice, the running one unfinished."""
        currency = required(params, "currency")
        if currency not in _CURRENCIES:
            raise invalid("currency", "invalid currency")
        if currency not in _VOLATILE:
            return []
        now = self._world.now_ms()
        first = (now // DAY - _DAYS_PUBLISHED + 1) * DAY
        hours = np.arange(first - _DAYS_MEASURED * DAY, now + 1, HOUR)
        ends = np.minimum(hours + HOUR, now)
        moves = np.diff(np.log(self.at(self.perpetual(currency, "USD"), ends)))
        measured = np.lib.stride_tricks.sliding_window_view(moves, _DAYS_MEASURED * 24)
        values = measured.std(axis=1) * np.sqrt(365 * 24) * 100
        returned = [
            [hour, value]
            for hour, value in zip(hours[-len(values) :].tolist(), values.tolist(), strict=True)
        ]
        return [returned[0], *returned]

    def _get_index_chart_data(self, params: Mapping[str, str]) -> list[list[float]]:
        """Averages of spans that begin at a multiple of the step, the running one unfinished."""
        perpetual = self._index(params)
        reach, step = self.charts.get(required(params, "range"), (0, 0))
        if not step:
            raise invalid("range", "unsupported range")
        now = self._world.now_ms()
        first = max(-(-(now - reach) // step) * step, perpetual.created_ms // step * step)
        starts = np.arange(first, now + 1, step)
        middles = (starts + np.minimum(starts + step, now)) // 2
        prices = self.at(perpetual, middles)
        return [list(point) for point in zip(starts.tolist(), prices.tolist(), strict=True)]


def _number(params: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = params.get(name, str(default))
    if not text.isdecimal() or not least <= int(text) <= most:
        raise invalid(name, "wrong format")
    return int(text)


def _date(day: int) -> str:
    return str((datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date())


def _rounded(base_currency: str, moments: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.round(driver_of(base_currency).prices(moments), digits_of(base_currency))


@functools.lru_cache(maxsize=65_536)
def _at_eight(base_currency: str, day: int) -> float:
    """Years of delivery prices and settlements are paged through again and again."""
    return float(_rounded(base_currency, np.array([day * DAY + EIGHT_HOURS]))[0])
