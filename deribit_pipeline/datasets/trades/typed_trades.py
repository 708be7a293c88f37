"""Trades decoded straight into typed rows: a response has up to 10,000, and a dictionary for each
takes twice the time.

A response that does not fit, because a trade is malformed, is decoded as JSON of any shape and read
by `wire.JsonTrades`, which finds the malformed ones. Both read the same values.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.exchange import shapes
from deribit_pipeline.exchange.typed_results import decoder_of


class Trade(msgspec.Struct, gc=False):
    """A trade as the exchange returns it. Integers are floats here, because they may come as
    `1.7e12`; a double holds each of them exactly, since they are below 2**53."""

    instrument_name: str
    trade_seq: float
    trade_id: str
    timestamp: float
    direction: Literal["buy", "sell"]
    tick_direction: float
    price: float
    amount: float
    mark_price: float | None = None
    index_price: float | None = None
    contracts: float | None = None
    iv: float | None = None
    liquidation: str | None = None
    block_trade_id: str | None = None
    combo_id: str | None = None


class Trades(msgspec.Struct):
    """A `result` with trades."""

    trades: list[Trade]


decode_trades = decoder_of(Trades)
"""Decodes a response with trades; returns None if it does not fit."""


class TypedTrades:
    """The fields of typed trades, each as an array. Methods raise ValueError."""

    def __init__(self, rows: Sequence[Trade]) -> None:
        self._rows = rows

    def names(self) -> set[str]:
        """The instruments of the trades."""
        return set(map(attrgetter("instrument_name"), self._rows))

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A required number of each trade."""
        return shapes.finite(name, self._array(name, np.float64))

    def numbers_or_null(self, name: str) -> NDArray[np.float64]:
        """A number of each trade; NaN where it is absent."""
        values = np.array(list(map(attrgetter(name), self._rows)), np.float64)
        if np.isinf(values).any():
            raise ValueError(f"`{name}` must be finite")
        return values + 0.0  # as in `shapes.finite`, a JSON -0.0 becomes 0.0

    def texts(self, name: str) -> NDArray[np.object_]:
        """A text of each trade, not an empty one."""
        texts = self._array(name, object)
        if not texts.all():
            raise ValueError(f"`{name}` must be texts")
        return texts

    def texts_or_null(self, name: str) -> NDArray[np.object_]:
        """A text of each trade; None where it is absent."""
        return self._array(name, object)

    def words(self, name: str, words: tuple[str, ...]) -> NDArray[np.object_]:
        """One of a few texts for each trade; `Trade` allows no other."""
        return self._array(name, object)

    def _array(self, name: str, kind: Any) -> NDArray[Any]:
        return np.fromiter(map(attrgetter(name), self._rows), kind, len(self._rows))
