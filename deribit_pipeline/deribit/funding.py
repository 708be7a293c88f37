"""Funding of perpetuals: the exchange's hourly rates."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.deribit import shapes
from deribit_pipeline.deribit.methods import Methods, Told
from deribit_pipeline.domain import TimeWindow, to_ms

HISTORY = "public/get_funding_rate_history"

RATE_VALUES = ("interest_1h", "interest_8h", "index_price", "prev_index_price")


class Funding(Methods):
    """The methods of funding."""

    async def get_funding_rate_history(
        self, instrument_name: str, window: TimeWindow
    ) -> Told[dict[str, NDArray[Any]]]:
        """`public/get_funding_rate_history`: the hours that end in `window`.

        The exchange tells at most 744 and drops the others without a word: whoever asks counts
        what came. Its start is exclusive (assumption:funding-start), its end inclusive
        (assumption:funding-end); no hour ends within the millisecond that the bounds are widened
        by, so that an inclusive start is right too.
        """
        return await self.told(
            rates,
            HISTORY,
            instrument_name=instrument_name,
            start_timestamp=to_ms(window.start) - 1,
            end_timestamp=to_ms(window.end) - 1,
        )


def rates(result: object) -> dict[str, NDArray[Any]]:
    """The hours of `public/get_funding_rate_history`, in the order they came.

    `funded_at` is the end of an hour; the rates are fractions, the prices in quote currency.
    """
    hours = [shapes.mapping(hour) for hour in shapes.array(result)]
    ends = [shapes.milliseconds("timestamp", hour.get("timestamp")) for hour in hours]
    return {"funded_at": np.array(ends, np.int64).astype("datetime64[ms]")} | {
        name: shapes.numbers(name, [hour.get(name) for hour in hours]) for name in RATE_VALUES
    }
