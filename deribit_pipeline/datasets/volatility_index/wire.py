"""The volatility index (DVOL): the exchange's candles of it.

Resolutions are in seconds here, and in minutes in charts: what looks alike is not.
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
"""The most candles that an answer holds."""


@dataclass(frozen=True, slots=True, eq=False)
class IndexPage:
    """The candles of one answer, as they came; `continuation` is the `end_timestamp` that asks for
    older ones, in UTC milliseconds, and None where there are none (assumption:dvol-last-page)."""

    reading: Reading
    continuation: int | None

    @property
    def candles(self) -> dict[str, NDArray[Any]]:
        """Rows by column; NaN where one is malformed."""
        return self.reading.rows


def index_page(result: object) -> IndexPage:
    """The answer of `public/get_volatility_index_data`.

    `opened_at` is when a candle opens; the values are percent a year. Raises ValueError where a
    candle is malformed.
    """
    page = reading(result)
    page.reading.whole()
    return page


def reading(result: object) -> IndexPage:
    """The same, but that a candle whose values are malformed costs no other."""
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
    """The token, which is a moment here."""
    token = shapes.continuation(returned)
    if isinstance(token, str):
        if not token.isdecimal():
            raise ValueError(f"`continuation` must be a timestamp, was {reprlib.repr(token)}")
        token = int(token)
    return None if token is None else shapes.milliseconds("continuation", token)
