"""What moves the prices of the sandbox: one path for each base currency, the same in every process.

Volatility clusters from day to day and within a day. All currencies follow Bitcoin in part, so that
their returns are correlated as those of real coins are.
"""

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MINUTE = 60_000
DAY = 1_440 * MINUTE
EIGHT_HOURS = 8 * 60 * MINUTE

FIRST_DAY = 16_801  # 2016-01-01, in days since 1970
DAYS = 20 * 366
_PRICED_DAY = 19_723  # 2024-01-01

PRICES = {
    "BTC": 42_000.0, "ETH": 2_300.0, "SOL": 100.0, "XRP": 0.62, "AVAX": 38.0, "ADA": 0.6,
    "DOT": 8.2, "LTC": 73.0, "UNI": 7.3, "LINK": 15.0, "NEAR": 3.6, "TRX": 0.107, "DOGE": 0.091,
    "BCH": 260.0, "BNB": 310.0, "TRUMP": 30.0, "HYPE": 25.0, "PAXG": 2_060.0,
}  # fmt: skip
"""The price of each base currency on 2024-01-01, in dollars; of any other, it is 10."""

_CORRELATION = 0.78
"""Of the returns of Bitcoin and of another currency, by the day and by the minute."""

Floats = NDArray[np.float64]
Ticks = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class DayPath:
    """A day of a driver, by the minute.

    `path` is the logarithm of the price at the beginning of each minute and at the end of the day,
    shape (1441,). `shape` is the volatility of each minute relative to the day's, and `moves` are
    the moves in units of the day's volatility by the minute, both of shape (1440,). `spread` is
    the volatility of each minute.
    """

    path: Floats
    shape: Floats
    moves: Floats
    spread: Floats


class Driver:
    """The path of one price, from `price` on 2024-01-01; it follows `leader` in part."""

    def __init__(self, name: str, price: float, leader: "Driver | None" = None) -> None:
        self.name, self._leader = name, leader
        rng = np.random.default_rng(seed_of(name))
        own = rng.standard_normal(DAYS)
        self._shocks: Floats = own if leader is None else _led(own, leader._shocks)
        self.levels, self._volatilities = _daily_path(self._shocks, price)
        # Every other driver needs the leader's days.
        self.day = functools.lru_cache(maxsize=64 if leader else 512)(self._day)

    def prices(self, moments: Ticks) -> Floats:
        """The price at moments in UTC milliseconds."""
        days, places = np.unique(moments // DAY, return_inverse=True)
        minutes = moments % DAY / MINUTE
        found = np.empty(len(moments))
        for number, day in enumerate(days.tolist()):
            rows = places == number
            found[rows] = np.interp(minutes[rows], np.arange(1_441), self.day(day).path)
        prices: Floats = np.exp(found)
        return prices

    def _day(self, day: int) -> DayPath:
        rng = np.random.default_rng(seed_of(f"{self.name} {day}"))
        number = day - FIRST_DAY
        shape = np.exp(np.cumsum(rng.normal(0, 0.04, 1_440)))
        shape *= 1 + 0.5 * np.sin(np.linspace(0, 2 * np.pi, 1_440) - 2.2)  # busy afternoons
        shape /= np.sqrt(np.mean(shape**2))
        moves = rng.standard_normal(1_440) * shape
        if self._leader is not None:
            moves = _led(moves, self._leader.day(day).moves)
        scale = self._volatilities[number] / np.sqrt(1_440)
        start, end = self.levels[number], self.levels[number + 1]
        path = np.cumsum(scale * moves)
        path += np.linspace(0, end - start - path[-1], 1_440)  # ends at tomorrow's level
        return DayPath(np.concatenate(([start], start + path)), shape, moves, scale * shape)


def _led(own: Floats, leading: Floats) -> Floats:
    led: Floats = _CORRELATION * leading + np.sqrt(1 - _CORRELATION**2) * own
    return led


@functools.cache
def driver_of(base: str) -> Driver:
    """The driver of a base currency: what its indexes, perpetuals and options have in common."""
    settled = "" if base in ("BTC", "ETH") else "_USDC"
    leader = None if base == "BTC" else driver_of("BTC")
    return Driver(f"{base}{settled}-PERPETUAL", price_of(base), leader)


def price_of(base: str) -> float:
    """The price of a base currency on 2024-01-01, in dollars."""
    return PRICES.get(base, 10.0)


def _daily_path(shocks: Floats, price: float) -> tuple[Floats, Floats]:
    """The logarithm of the price at each midnight, and each day's volatility (GARCH(1, 1)).

    Prices are pulled back to the given one, so that decades stay plausible.
    """
    levels, volatilities = np.zeros(DAYS + 1), np.zeros(DAYS)
    usual = 0.033
    variance = usual**2
    for day, shock in enumerate(shocks):
        volatilities[day] = np.sqrt(variance)
        move = volatilities[day] * shock
        levels[day + 1] = 0.997 * levels[day] + move
        variance = 0.04 * usual**2 + 0.10 * move**2 + 0.86 * variance
    levels += np.log(price) - levels[_PRICED_DAY - FIRST_DAY]
    return levels, volatilities


def seed_of(text: str) -> int:
    """The seed of random numbers that belong to this text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
