"""Candles of the volatility index (DVOL).

Resolutions are in seconds here, but in minutes in charts.
"""

import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.exchange import shapes
from deribit_pipeline.exchange.readings import Reading

DATA = "public/get_volatility_index_data"

INDEX_VALUES = ("open", "high", "low", "close")

MOST_CANDLES = 1_000
"""The maximum number of candles in a response."""


@dataclass(frozen=True, slots=True, eq=False)
class IndexPage:
    """The candles of one response, unchanged; `continuation` is the `end_timestamp` to request
    older ones, in UTC milliseconds, and None if there are none (assumption:dvol-last-page)."""

    reading: Reading
    continuation: int | None

    @property
    def candles(self) -> dict[str, NDArray[Any]]:
        """Rows by column; NaN for malformed ones."""
        return self.reading.rows


def index_page(result: object) -> IndexPage:
    """The response of `public/get_volatility_index_data`.

    `opened_at` is the opening time of a candle; the values are in percent a year. Raises ValueError
    if a candle is malformed.
    """
    page = reading(result)
    page.reading.whole()
    return page


def reading(result: object) -> IndexPage:
    """Like `index_page`, but a malformed candle does not affect the others."""
    fields = shapes.mapping(result)
    nothing: list[Any] = []
    rows, wrong = shapes.each(shapes.array, shapes.array(fields.get("data")), nothing)
    for number, row in enumerate(rows):
        if len(row) != 1 + len(INDEX_VALUES):
            wrong.setdefault(number, "a candle must be [timestamp, open, high, low, close]")
    opened, wrong = shapes.placed("timestamp", [row[0] if row else None for row in rows], wrong)
    values, malformed = shapes.rows_of_numbers(
        INDEX_VALUES, opened, [row[1:] for row in rows], wrong
    )
    candles = {"opened_at": np.array(opened, np.int64).astype("datetime64[ms]")} | values
    return IndexPage(Reading(candles, malformed), _continuation(fields.get("continuation")))


def _continuation(returned: object) -> int | None:
    """The token, which is a timestamp for this method."""
    token = shapes.continuation(returned)
    if isinstance(token, str):
        if not token.isdecimal():
            raise ValueError(f"`continuation` must be a timestamp, was {reprlib.repr(token)}")
        token = int(token)
    return None if token is None else shapes.milliseconds("continuation", token)
