"""The bounds of a number in a row.

Bounds are far beyond anything that was ever traded, so that a value outside them is an error of the
exchange, not a market event.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_PRICE = 1e9
"""No price in any currency is this high."""

MOST_VOLATILITY = 10_000.0
"""No volatility in percent a year is this high."""

MOST_AMOUNT = 1e15
"""No amount or value in any currency is this large."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """A value lies between both; `is_least` is set if `least` itself is possible. The value of a
    combo may have either sign."""

    least: float
    most: float
    is_least: bool = False
    is_of_combos_too: bool = True

    def impossible(
        self, values: NDArray[np.float64], rows: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.bool_]:
        """Which values are impossible; nulls are not checked."""
        is_low = values < self.least if self.is_least else values <= self.least
        if not self.is_of_combos_too and is_low.any():
            is_low[is_low] = ~_of_combos(rows["instrument_name"][is_low])
        return is_low | (np.abs(values) >= self.most)


PRICE = Bounds(0.0, MOST_PRICE)
MARK = Bounds(0.0, MOST_PRICE, is_least=True)  # an option that expires worthless is settled at 0
AMOUNT = Bounds(-math.inf, MOST_AMOUNT)


def _of_combos(names: NDArray[Any]) -> NDArray[np.bool_]:
    """Which names are those of combos, which contain their kind in place of an expiry:
    BTC-FS-25DEC26_PERP."""
    parts = [str(name).split("-") for name in names.tolist()]
    return np.array([len(part) > 2 and part[1].isalpha() for part in parts], bool)
