"""Funding of perpetuals: the exchange's hourly rates."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.windows import TimeWindow, to_ms
from deribit_pipeline.exchange import shapes
from deribit_pipeline.exchange.methods import Methods
from deribit_pipeline.exchange.readings import Reading, ToldRows

HISTORY = "public/get_funding_rate_history"

RATE_VALUES = ("interest_1h", "interest_8h", "index_price", "prev_index_price")


class Funding(Methods):
    """The methods of funding."""

    async def get_funding_rate_history(self, instrument_name: str, window: TimeWindow) -> ToldRows:
        """`public/get_funding_rate_history`: the hours that end in `window`.

        The exchange tells at most 744 and drops the others without a word: whoever asks counts
        what came. Its start is exclusive (assumption:funding-start), its end inclusive
        (assumption:funding-end); no hour ends within the millisecond that the bounds are widened
        by, so that an inclusive start is right too.
        """
        told = await self.told(
            reading,
            HISTORY,
            instrument_name=instrument_name,
            start_timestamp=to_ms(window.start) - 1,
            end_timestamp=to_ms(window.end) - 1,
        )
        return told.said.told(told.as_of)


def rates(result: object) -> dict[str, NDArray[Any]]:
    """The hours of `public/get_funding_rate_history`, in the order they came.

    `funded_at` is the end of an hour; the rates are fractions, the prices in quote currency. Raises
    ValueError where an hour is malformed.
    """
    return reading(result).whole()


def reading(result: object) -> Reading:
    """The same, but that an hour whose values are malformed costs no other."""
    nothing: Mapping[str, Any] = {}
    hours, wrong = shapes.each(shapes.mapping, shapes.array(result), nothing)
    ends, wrong = shapes.placed("timestamp", [hour.get("timestamp") for hour in hours], wrong)
    rows = [[hour.get(name) for name in RATE_VALUES] for hour in hours]
    values, malformed = shapes.rows_of_numbers(RATE_VALUES, ends, rows, wrong)
    funded_at = np.array(ends, np.int64).astype("datetime64[ms]")
    return Reading({"funded_at": funded_at} | values, malformed)
