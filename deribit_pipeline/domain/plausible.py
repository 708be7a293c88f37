"""Values that cannot be, in rows that two responses told alike: they are kept, and said.

Bounds are far beyond anything that was ever traded, so that what breaks one is an error of the
exchange and no market.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.account import SETTLEMENT_HISTORY, TRANSACTION_LOG, USER_TRADES
from deribit_pipeline.datasets.delivery_prices import DELIVERY_PRICES
from deribit_pipeline.datasets.historical_volatility import HISTORICAL_VOLATILITY
from deribit_pipeline.datasets.index_prices import INDEX_PRICES
from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.domain.dataset import Dataset

Columns = Mapping[str, NDArray[Any]]

MOST_PRICE = 1e9
"""No price in any currency is as high."""

MOST_VOLATILITY = 10_000.0
"""No volatility in percent a year is as high."""

MOST_AMOUNT = 1e15
"""No amount or value in any currency is as large."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """A value lies between both: `least` is itself possible where `is_least` says so. That of a
    combo may have either sign."""

    least: float
    most: float
    is_least: bool = False
    is_of_combos_too: bool = True

    def impossible(self, values: NDArray[np.float64], rows: Columns) -> NDArray[np.bool_]:
        """Which values cannot be; what is null says nothing."""
        is_low = values < self.least if self.is_least else values <= self.least
        if not self.is_of_combos_too:
            is_low &= ~_of_combos(rows)
        return is_low | (np.abs(values) >= self.most)


_PRICE = Bounds(0.0, MOST_PRICE)
_MARK = Bounds(0.0, MOST_PRICE, is_least=True)  # an option that expires worthless is settled at 0
_AMOUNT = Bounds(-math.inf, MOST_AMOUNT)

_BOUNDS: Mapping[str, Mapping[str, Bounds]] = {
    DELIVERY_PRICES.name: {"delivery_price": _PRICE},
    INDEX_PRICES.name: {"price": _PRICE},
    HISTORICAL_VOLATILITY.name: {"volatility": Bounds(0.0, MOST_VOLATILITY, is_least=True)},
    SETTLEMENTS.name: {"mark_price": _MARK, "index_price": _PRICE}
    | dict.fromkeys(
        ("position", "funding", "profit_loss", "session_profit_loss", "funded",
         "session_bankruptcy", "session_tax", "socialized"), _AMOUNT
    ),
    TRANSACTION_LOG.name: {"index_price": _PRICE}
    | dict.fromkeys(
        ("amount", "price", "position", "commission", "cashflow", "change", "balance", "equity",
         "interest_pl"), _AMOUNT
    ),
    USER_TRADES.name: {
        "price": Bounds(0.0, MOST_PRICE, is_of_combos_too=False),
        "mark_price": Bounds(0.0, MOST_PRICE, is_least=True, is_of_combos_too=False),
        "index_price": _PRICE,
        "amount": Bounds(0.0, MOST_AMOUNT),
        "fee": _AMOUNT,
        "profit_loss": _AMOUNT,
    },
    SETTLEMENT_HISTORY.name: {"mark_price": _MARK, "index_price": _PRICE}
    | dict.fromkeys(("position", "funding", "profit_loss", "session_profit_loss"), _AMOUNT),
}  # fmt: skip
"""By the dataset's name and the column."""


def with_impossible(dataset: Dataset, rows: Columns, verdict: str) -> str:
    """The verdict on a day's rows, and how many of their values cannot be, the first in words."""
    found = []
    for name, bounds in _BOUNDS.get(dataset.name, {}).items():
        if name not in rows:
            continue
        numbers = np.flatnonzero(bounds.impossible(rows[name], rows))
        found += [(number, name) for number in numbers.tolist()]
    if not found:
        return verdict
    number, name = min(found)
    at = str(rows[dataset.at][number])
    values = "1 impossible value" if len(found) == 1 else f"{len(found)} impossible values, such as"
    said = f"{values} {name} {float(rows[name][number])!r} of {at}, as two responses say"
    return f"{verdict}; {said}" if verdict else said


def _of_combos(rows: Columns) -> NDArray[np.bool_]:
    """Which rows are of combos, whose names say their kind in place of an expiry:
    BTC-FS-25DEC26_PERP."""
    parts = [str(name).split("-") for name in rows["instrument_name"].tolist()]
    return np.array([len(part) > 2 and part[1].isalpha() for part in parts], bool)
