"""The volatility index (DVOL): the exchange's candles of it.

Resolutions are in seconds here, and in minutes in charts: what looks alike is not.
"""

import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.deribit import shapes
from deribit_pipeline.deribit.methods import Methods, Told
from deribit_pipeline.domain import TimeWindow, from_ms, to_ms
from deribit_pipeline.errors import DeribitBadPayload

DATA = "public/get_volatility_index_data"

INDEX_VALUES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True, eq=False)
class IndexPage:
    """The candles of one answer, as they came; `continuation` is the `end_timestamp` that asks for
    older ones, in UTC milliseconds, and None where there are none (assumption:dvol-last-page)."""

    candles: dict[str, NDArray[Any]]
    continuation: int | None


class VolatilityIndex(Methods):
    """The methods of the volatility index."""

    async def get_volatility_index_data(
        self, currency: str, resolution: str, window: TimeWindow
    ) -> Told[dict[str, NDArray[Any]]]:
        """`public/get_volatility_index_data`: the candles that open in `window`, in the order of
        time, however many answers they take.

        An answer holds the 1,000 newest candles (assumption:dvol-kept-end), the one that is still
        open included (assumption:dvol-running), and says how to continue with the older ones.
        """
        start, end = to_ms(window.start), to_ms(window.end) - 1
        pages: list[dict[str, NDArray[Any]]] = []
        as_of = None
        while True:
            asked: dict[str, object] = {"currency": currency, "resolution": resolution}
            asked |= {"start_timestamp": start, "end_timestamp": end}
            told = await self.told(index_page, DATA, **asked)
            as_of = told.as_of if as_of is None else min(as_of, told.as_of)
            candles, older = told.said.candles, told.said.continuation
            if pages and len(candles["opened_at"]):
                candles = _without_repeated(candles, pages[0], asked)
            pages.insert(0, candles)
            if older is None or older < start or not len(candles["opened_at"]):
                return Told(_joined(pages), as_of)
            if older >= end:
                raise DeribitBadPayload(
                    f"`continuation` does not go on: {from_ms(older)}", method=DATA, params=asked
                )
            end = older


def index_page(result: object) -> IndexPage:
    """The answer of `public/get_volatility_index_data`.

    `opened_at` is when a candle opens; the values are percent a year.
    """
    fields = shapes.mapping(result)
    rows = [shapes.array(row) for row in shapes.array(fields.get("data"))]
    if any(len(row) != 1 + len(INDEX_VALUES) for row in rows):
        raise ValueError("a candle must be [timestamp, open, high, low, close]")
    opened = [shapes.milliseconds("timestamp", row[0]) for row in rows]
    candles: dict[str, NDArray[Any]] = {
        "opened_at": np.array(opened, np.int64).astype("datetime64[ms]")
    }
    for column, name in enumerate(INDEX_VALUES, start=1):
        candles[name] = shapes.numbers(name, [row[column] for row in rows])
    return IndexPage(candles, _continuation(fields.get("continuation")))


def _continuation(told: object) -> int | None:
    """The token, which is a moment here."""
    token = shapes.continuation(told)
    if isinstance(token, str):
        if not token.isdecimal():
            raise ValueError(f"`continuation` must be a timestamp, was {reprlib.repr(token)}")
        token = int(token)
    return None if token is None else shapes.milliseconds("continuation", token)


def _without_repeated(
    candles: dict[str, NDArray[Any]], newer: dict[str, NDArray[Any]], asked: dict[str, object]
) -> dict[str, NDArray[Any]]:
    """The candles of an older page without the one that a newer page told too, which `continuation`
    may include (assumption:dvol-continuation). Raises DeribitBadPayload where they differ."""
    is_older = candles["opened_at"] < newer["opened_at"][0]
    repeated = {name: values[~is_older] for name, values in candles.items()}
    for name, values in repeated.items():
        if not np.array_equal(values, newer[name][: len(values)]):
            raise DeribitBadPayload("a page repeats another's candles", method=DATA, params=asked)
    return {name: values[is_older] for name, values in candles.items()}


def _joined(pages: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {name: np.concatenate([page[name] for page in pages]) for name in pages[0]}
