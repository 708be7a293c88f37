"""Hourly funding rates of perpetuals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.exchange import shapes
from deribit_pipeline.exchange.readings import Reading

HISTORY = "public/get_funding_rate_history"

RATE_VALUES = ("interest_1h", "interest_8h", "index_price", "prev_index_price")


def rates(result: object) -> dict[str, NDArray[Any]]:
    """The hours of `public/get_funding_rate_history`, in the order of the response.

    `funded_at` is the end of an hour; the rates are fractions, the prices in quote currency. Raises
    ValueError if an hour is malformed.
    """
    return reading(result).whole()


def reading(result: object) -> Reading:
    """Like `rates`, but a malformed hour does not affect the others."""
    nothing: Mapping[str, Any] = {}
    hours, wrong = shapes.each(shapes.mapping, shapes.array(result), nothing)
    ends, wrong = shapes.placed("timestamp", [hour.get("timestamp") for hour in hours], wrong)
    rows = [[hour.get(name) for name in RATE_VALUES] for hour in hours]
    values, malformed = shapes.rows_of_numbers(RATE_VALUES, ends, rows, wrong)
    funded_at = np.array(ends, np.int64).astype("datetime64[ms]")
    return Reading({"funded_at": funded_at} | values, malformed)
