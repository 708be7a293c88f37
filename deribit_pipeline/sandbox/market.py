"""A market that never was: any minute of any instrument, the same in every process.

Volatility clusters from day to day and within a day, quiet minutes have no trade, and volumes
come in the contract's own units. Coarser candles are rolled up from the minutes.
"""

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.sandbox.listings import Listing

MINUTE = 60_000
DAY = 1_440 * MINUTE
EIGHT_HOURS = 8 * 60 * MINUTE

Floats = NDArray[np.float64]
Ticks = NDArray[np.int64]

_FIRST_DAY = 16_801  # 2016-01-01, in days since 1970
_DAYS = 20 * 366
_PRICED_DAY = 19_723  # 2024-01-01: listings state their price of that day


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Candles: `ticks` in UTC milliseconds; `values` are open, high, low, close, volume, cost."""

    ticks: Ticks
    values: Floats

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> "Rows":
        return Rows(self.ticks[rows], self.values[rows])


class Market:
    """The history of one instrument."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._levels, self._volatilities = _daily_path(listing)
        self.minutes_of_day = functools.lru_cache(maxsize=16)(self._minutes_of_day)

    def minutes(self, start: int, end: int) -> Rows:
        """The one-minute candles that open in [start, end), while the instrument is listed."""
        start = max(start, self._listing.created_ms // MINUTE * MINUTE)
        end = min(end, self._listing.expires_ms)
        if start >= end:
            return Rows(np.empty(0, np.int64), np.empty((0, 6)))
        days = [self.minutes_of_day(day) for day in range(start // DAY, -(-end // DAY))]
        ticks = np.concatenate([day.ticks for day in days])
        first, last = np.searchsorted(ticks, [start, end])
        return Rows(ticks, np.concatenate([day.values for day in days]))[first:last]

    def _minutes_of_day(self, day: int) -> Rows:
        listing = self._listing
        luck = np.random.default_rng(_seed(f"{listing.instrument_name} {day}"))
        number = day - _FIRST_DAY
        start, end = self._levels[number], self._levels[number + 1]

        volatility = np.exp(np.cumsum(luck.normal(0, 0.04, 1_440)))
        volatility *= 1 + 0.5 * np.sin(np.linspace(0, 2 * np.pi, 1_440) - 2.2)  # busy afternoons
        volatility /= np.sqrt(np.mean(volatility**2))
        moves = luck.normal(0, self._volatilities[number] / np.sqrt(1_440), 1_440) * volatility
        path = np.cumsum(moves)
        path += np.linspace(0, end - start - path[-1], 1_440)  # arrives at tomorrow's level

        spread = self._volatilities[number] / np.sqrt(1_440) * volatility
        close = np.exp(start + path)
        opened = np.concatenate(([np.exp(start)], close[:-1])) * (
            1 + luck.normal(0, 0.1, 1_440) * spread
        )
        reach = np.abs(luck.normal(0, 0.6, (2, 1_440))) * spread
        high = np.maximum(opened, close) * (1 + reach[0])
        low = np.minimum(opened, close) * (1 - reach[1])
        prices = np.stack([opened, high, low, close])
        prices = np.maximum(np.round(prices / listing.tick_size), 1) * listing.tick_size
        prices = np.round(prices, 8)

        is_traded = luck.random(1_440) < listing.activity ** (1 / np.clip(volatility, 0.3, 3))
        is_traded[0] = True  # so that each day stands on its own
        turnover = luck.lognormal(np.log(listing.turnover), 1.1, 1_440) * volatility**1.5
        volume, cost = self._amounts(turnover, prices)

        # Without a trade, the exchange repeats the last traded close with nothing traded.
        last_traded = np.maximum.accumulate(np.where(is_traded, np.arange(1_440), 0))
        filler = prices[3][last_traded]
        prices = np.where(is_traded, prices, filler)
        values = np.stack(
            [*prices, np.where(is_traded, volume, 0.0), np.where(is_traded, cost, 0.0)]
        )
        ticks = day * DAY + np.arange(1_440, dtype=np.int64) * MINUTE
        return Rows(ticks, np.ascontiguousarray(values.T))

    def _amounts(self, turnover: Floats, prices: Floats) -> tuple[Floats, Floats]:
        """Amounts in base and quote currency, in whole contracts of what the contract is in."""
        average = prices.mean(axis=0)
        least = self._listing.min_trade_amount
        if self._listing.is_linear:
            volume = np.round(np.maximum(np.round(turnover / average / least), 1) * least, 8)
            return volume, np.round(volume * average, 6)
        cost = np.maximum(np.round(turnover / least), 1) * least
        return np.round(cost / average, 8), cost


def rolled_up(minutes: Rows, step: int, anchor: int) -> Rows:
    """One-minute candles as candles of `step` milliseconds that open at `anchor` and every step."""
    if not len(minutes.ticks) or step == MINUTE:
        return minutes
    opened = (minutes.ticks - anchor) // step * step + anchor
    firsts = np.flatnonzero(np.diff(opened, prepend=opened[0] - step))
    lasts = np.append(firsts[1:], len(opened)) - 1
    values = minutes.values
    columns = (
        values[firsts, 0],
        np.maximum.reduceat(values[:, 1], firsts),
        np.minimum.reduceat(values[:, 2], firsts),
        values[lasts, 3],
        np.round(np.add.reduceat(values[:, 4], firsts), 8),
        np.round(np.add.reduceat(values[:, 5], firsts), 6),
    )
    return Rows(opened[firsts], np.column_stack(columns))


def _daily_path(listing: Listing) -> tuple[Floats, Floats]:
    """The logarithm of the price at each midnight, and each day's volatility (GARCH(1, 1)).

    Prices are pulled back to the listing's, so that decades stay plausible.
    """
    luck = np.random.default_rng(_seed(listing.instrument_name))
    shocks = luck.standard_normal(_DAYS)
    levels, volatilities = np.zeros(_DAYS + 1), np.zeros(_DAYS)
    usual = 0.033
    variance = usual**2
    for day, shock in enumerate(shocks):
        volatilities[day] = np.sqrt(variance)
        move = volatilities[day] * shock
        levels[day + 1] = 0.997 * levels[day] + move
        variance = 0.04 * usual**2 + 0.10 * move**2 + 0.86 * variance
    levels += np.log(listing.price) - levels[_PRICED_DAY - _FIRST_DAY]
    return levels, volatilities


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
