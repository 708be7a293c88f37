"""Candles: their resolutions, and OHLCV rows as arrays."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.rows import Columns, Rows
from deribit_pipeline.domain.windows import ONE_DAY, Moments


class Resolution(enum.Enum):
    """A candle's length, as Deribit's chart methods spell it: minutes, or `1D`."""

    MINUTE_1 = "1"
    MINUTE_3 = "3"
    MINUTE_5 = "5"
    MINUTE_10 = "10"
    MINUTE_15 = "15"
    MINUTE_30 = "30"
    HOUR_1 = "60"
    HOUR_2 = "120"
    HOUR_3 = "180"
    HOUR_6 = "360"
    HOUR_12 = "720"
    DAY_1 = "1D"

    @cached_property  # these are needed several times for each day
    def duration(self) -> timedelta:
        """The duration of a candle."""
        return ONE_DAY if self is Resolution.DAY_1 else timedelta(minutes=int(self.value))

    @property
    def candles_per_day(self) -> int:
        """How many candles open on a UTC day."""
        return ONE_DAY // self.duration

    @property
    def label(self) -> str:
        """The length in common notation: `1m`, `12h`, `1d`. The asset's name ends with it."""
        minutes = self.duration // timedelta(minutes=1)
        if self is Resolution.DAY_1:
            return "1d"
        return f"{minutes // 60}h" if minutes >= 60 else f"{minutes}m"

    @cached_property
    def anchor(self) -> timedelta | None:
        """How long after midnight UTC a candle opens; None if it is not known.

        `1D` opens at 08:00 (assumption:candles-anchor-1d). A resolution that divides eight hours
        opens at midnight whether it is counted from 00:00 or from 08:00
        (assumption:candles-anchor-120). For 180, 360 and 720 the two differ and no source decides
        between them (assumption:candles-anchor-180, assumption:candles-anchor-360,
        assumption:candles-anchor-720).
        """
        eight = timedelta(hours=8)
        if self is Resolution.DAY_1:
            return eight
        return None if eight % self.duration else timedelta(0)


CANDLE_VALUES = ("open", "high", "low", "close", "volume_base", "volume_quote")


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """OHLCV rows of one instrument and resolution, sorted by time unless stated otherwise.

    `opened_at` has shape (n,); `values` has shape (n, 6), its columns named by CANDLE_VALUES:
    prices in quote currency, `volume_base` in base and `volume_quote` in quote currency.
    """

    opened_at: Moments
    values: NDArray[np.float64]

    @classmethod
    def none(cls) -> Candles:
        """No candles."""
        return cls(np.empty(0, "datetime64[ms]"), np.empty((0, len(CANDLE_VALUES))))

    @classmethod
    def of(cls, rows: Rows) -> Candles:
        """The rows as candles: one copy."""
        return cls(rows["opened_at"], np.column_stack([rows[name] for name in CANDLE_VALUES]))

    @property
    def columns(self) -> Columns:
        """The candles as rows, without copying them."""
        values = {name: self.values[:, place] for place, name in enumerate(CANDLE_VALUES)}
        return {"opened_at": self.opened_at} | values

    def __len__(self) -> int:
        return len(self.opened_at)

    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.intp]) -> Candles:
        return Candles(self.opened_at[rows], self.values[rows])

    def union(self, other: Candles) -> Candles:
        """The candles of both, sorted by time; where both have one, `other` takes precedence."""
        if not len(self) or np.array_equal(self.opened_at, other.opened_at):
            return other
        kept = self[~np.isin(self.opened_at, other.opened_at)]
        opened_at = np.concatenate((kept.opened_at, other.opened_at))
        order = np.argsort(opened_at, kind="stable")
        return Candles(opened_at[order], np.concatenate((kept.values, other.values))[order])
