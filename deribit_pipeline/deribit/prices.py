"""Prices of indexes, and what is measured of them: delivery prices, charts, volatility."""

import reprlib
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.deribit import shapes
from deribit_pipeline.deribit.methods import Methods, Told

MOST_DELIVERY_PRICES = 1_000
"""How many delivery prices an answer holds at most (assumption:pages-most)."""

Rows = dict[str, NDArray[Any]]
"""Rows in the order they came, by the table's columns."""


@dataclass(frozen=True, slots=True, eq=False)
class DeliveryPage:
    """The delivery prices of one answer, newest first, and how many the exchange has in all."""

    rows: Rows
    records_total: int


class Prices(Methods):
    """The methods that tell prices."""

    async def get_delivery_prices(
        self, index_name: str, *, offset: int = 0, count: int = MOST_DELIVERY_PRICES
    ) -> Told[DeliveryPage]:
        """`public/get_delivery_prices`: all but the newest `offset`. A price that is added
        between two calls moves what an offset means."""
        return await self.told(
            delivery_prices,
            "public/get_delivery_prices",
            index_name=index_name,
            offset=offset,
            count=count,
        )

    async def get_historical_volatility(self, currency: str) -> Told[Rows]:
        """`public/get_historical_volatility`: the hours of the last 16 days, the first one said
        twice."""
        return await self.told(
            historical_volatility, "public/get_historical_volatility", currency=currency
        )

    async def get_index_chart_data(self, index_name: str, reach: str) -> Told[Rows]:
        """`public/get_index_chart_data`: the last `1h`, `1d`, `2d`, `1m`, `1y` or `all`, each in
        steps of its own."""
        return await self.told(
            index_chart, "public/get_index_chart_data", index_name=index_name, range=reach
        )

    async def get_index_price_names(self) -> Told[list[str]]:
        """`public/get_index_price_names`: every index that the exchange has."""
        return await self.told(index_price_names, "public/get_index_price_names")


def delivery_prices(answer: object) -> DeliveryPage:
    """The page of `public/get_delivery_prices`."""
    fields = shapes.mapping(answer)
    entries = [shapes.mapping(entry) for entry in shapes.array(fields.get("data"))]
    days = [_day(entry.get("date")) for entry in entries]
    prices = [entry.get("delivery_price") for entry in entries]
    (total,) = shapes.numbers("records_total", [fields.get("records_total")])
    if total < 0 or total != int(total):
        raise ValueError(f"`records_total` must be a count, was {total}")
    return DeliveryPage(
        {
            "delivery_date": np.array(days, "datetime64[D]"),
            "delivery_price": shapes.numbers("delivery_price", prices),
        },
        int(total),
    )


def historical_volatility(answer: object) -> Rows:
    """The hours of `public/get_historical_volatility`, in percent a year."""
    moments, values = _pairs(answer)
    return {"measured_at": moments, "volatility": values}


def index_chart(answer: object) -> Rows:
    """The points of `public/get_index_chart_data`, in quote currency."""
    moments, values = _pairs(answer)
    return {"priced_at": moments, "price": values}


def index_price_names(answer: object) -> list[str]:
    """The names of `public/get_index_price_names`."""
    return [shapes.text("name", name) for name in shapes.array(answer)]


def _pairs(answer: object) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Rows of a moment and a number each."""
    rows = shapes.array(answer)
    if any(not isinstance(row, list) or len(row) != 2 for row in rows):
        raise ValueError("each row must be a moment and a number")
    moments = [shapes.milliseconds("timestamp", moment) for moment, _ in rows]
    return np.array(moments, "datetime64[ms]"), shapes.numbers("value", [row[1] for row in rows])


def _day(text: object) -> date:
    """A date as the exchange writes it: `2026-09-20`."""
    try:
        day = date.fromisoformat(shapes.text("date", text))
    except ValueError:
        day = None
    if day is None or str(day) != text:
        raise ValueError(f"`date` must be a date, was {reprlib.repr(text)}")
    return day
