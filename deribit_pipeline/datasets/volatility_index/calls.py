"""The API calls for the volatility index: page after page of a window."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.volatility_index.wire import DATA, MOST_CANDLES, reading
from deribit_pipeline.domain.windows import TimeWindow, from_ms, to_ms
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.readings import ResponseRows

# Responses beyond those that the window's candles fill: some may not be full.
_SPARE_PAGES = 3


async def get_volatility_index_data(
    client: DeribitClient, currency: str, resolution: str, window: TimeWindow
) -> ResponseRows:
    """`public/get_volatility_index_data`: the candles that open in `window`, sorted by time, from
    as many responses as needed.

    A response has the 1,000 newest candles (assumption:dvol-kept-end), including the one that is
    still open (assumption:dvol-running), and a continuation for older ones. Raises
    DeribitBadPayload if there are more responses than the window's candles can fill, plus some
    spare ones.
    """
    start, end = to_ms(window.start), to_ms(window.end) - 1
    pages: list[dict[str, NDArray[Any]]] = []
    malformed: dict[int, str] = {}
    as_of = None
    most = _most_pages(resolution, end - start)
    for _ in range(most):
        requested: dict[str, object] = {"currency": currency, "resolution": resolution}
        requested |= {"start_timestamp": start, "end_timestamp": end}
        returned = await client.call(reading, DATA, **requested)
        as_of = returned.as_of if as_of is None else min(as_of, returned.as_of)
        candles, older = returned.value.candles, returned.value.continuation
        malformed = {**returned.value.reading.malformed, **malformed}
        if pages and len(candles["opened_at"]):
            candles = _without_repeated(candles, pages[0], requested)
        pages.insert(0, candles)
        if older is None or older < start or not len(candles["opened_at"]):
            return ResponseRows(_joined(pages), as_of, malformed=malformed)
        if older >= end:
            raise DeribitBadPayload(
                f"`continuation` does not go back in time: {from_ms(older)}",
                method=DATA,
                params=requested,
            )
        end = older
    raise DeribitBadPayload(
        f"the candles of one window did not end after {most} responses",
        method=DATA,
        params={"currency": currency, "resolution": resolution, "window": window},
    )


def _most_pages(resolution: str, milliseconds: int) -> int:
    """The maximum number of responses for a window: as many as its candles fill, and spare ones."""
    step = 86_400_000 if resolution == "1D" else 1_000 * int(resolution)
    return (milliseconds // step + 2) // MOST_CANDLES + _SPARE_PAGES


def _without_repeated(
    candles: dict[str, NDArray[Any]], newer: dict[str, NDArray[Any]], requested: dict[str, object]
) -> dict[str, NDArray[Any]]:
    """The candles of an older page without those that a newer page has too, which `continuation`
    may include (assumption:dvol-continuation). Raises DeribitBadPayload if they differ."""
    is_older = candles["opened_at"] < newer["opened_at"][0]
    repeated = {name: values[~is_older] for name, values in candles.items()}
    for name, values in repeated.items():
        theirs = newer[name][: len(values)]
        if not np.array_equal(values, theirs, equal_nan=values.dtype.kind == "f"):
            raise DeribitBadPayload(
                "a page repeats candles of another with other values", method=DATA, params=requested
            )
    return {name: values[is_older] for name, values in candles.items()}


def _joined(pages: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {name: np.concatenate([page[name] for page in pages]) for name in pages[0]}
