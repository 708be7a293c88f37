"""Every trade of a day, generated from a plan of its minutes.

The plan of a minute sets the prices of its trades and the sum of their contracts; the candle of the
minute is made of its trades only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.sandbox.drivers import MINUTE
from deribit_pipeline.sandbox.listing import Listing

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_DISORDERED = 0.01
"""The share of trades whose time is later than that of the next one."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The minutes of a day in which there are trades.

    `minutes` counts them from midnight, shape (n,). `prices` are approximate open, high, low and
    close, shape (4, n); `trades` and `contracts` are their numbers, each at least one, and no
    minute has more trades than contracts.
    """

    minutes: Integers
    prices: Floats
    trades: Integers
    contracts: Integers


@dataclass(frozen=True, slots=True, eq=False)
class Tape:
    """The trades of a day in the order of their numbers; columns of shape (n,).

    `firsts` are the positions of each minute's first trade.
    """

    price: Floats
    contracts: Integers
    firsts: Integers

    def __len__(self) -> int:
        return len(self.price)

    def until(self, count: int) -> "Tape":
        """The first trades of the day."""
        return Tape(self.price[:count], self.contracts[:count], self.firsts[self.firsts < count])

    def candles(self, listing: Listing) -> Floats:
        """The candle of each minute's trades: open, high, low, close, volume, cost, shape (n, 6).

        The exchange rounds amounts of base currency to 8 decimals, and of quote currency to 6.
        """
        if not len(self):
            return np.empty((0, 6))
        lasts = np.append(self.firsts[1:], len(self)) - 1
        whole = np.add.reduceat(self.contracts, self.firsts) * listing.min_trade_amount
        amounts = self.contracts * listing.min_trade_amount
        if is_in_base(listing):
            volume, cost = whole, np.add.reduceat(amounts * self.price, self.firsts)
        else:
            volume, cost = np.add.reduceat(amounts / self.price, self.firsts), whole
        return np.column_stack(
            (
                self.price[self.firsts],
                np.maximum.reduceat(self.price, self.firsts),
                np.minimum.reduceat(self.price, self.firsts),
                self.price[lasts],
                np.round(volume, 8),
                np.round(cost, 6),
            )
        )


def on_ticks(listing: Listing, prices: Floats) -> Floats:
    """Prices rounded to the ticks of an instrument, at least one tick."""
    sizes = tick_sizes(listing, prices)
    rounded: Floats = np.maximum(np.round(prices / sizes), 1) * sizes
    return rounded


def tick_sizes(listing: Listing, prices: Floats) -> Floats:
    """The tick size at each price."""
    sizes = np.full(np.shape(prices), listing.tick_size)
    for above, size in listing.tick_size_steps:
        sizes[prices > above] = size
    return sizes


def is_in_base(listing: Listing) -> bool:
    """Whether amounts are in base currency, rather than in USD as those of inverse futures."""
    return listing.is_linear or listing.kind.startswith("option")


def tape_of(listing: Listing, plan: Plan, rng: np.random.Generator) -> Tape:
    """The trades that follow the plan of a day."""
    firsts = np.cumsum(plan.trades) - plan.trades
    total = int(plan.trades.sum())
    of = np.repeat(np.arange(len(plan.trades)), plan.trades)
    number = np.arange(total) - firsts[of]

    least, most = plan.prices[2][of], plan.prices[1][of]
    prices = least + (most - least) * rng.random(total, np.float32)
    # Opens and closes as planned; the second and the third trade are the extremes.
    prices = np.where(number == 1, most, np.where(number == 2, least, prices))
    prices[firsts] = plan.prices[0]
    prices[firsts + plan.trades - 1] = plan.prices[3]
    prices = np.round(on_ticks(listing, prices), 8)

    return Tape(
        prices, 1 + _shared(plan.contracts - plan.trades, plan.trades, firsts, of, rng), firsts
    )


def _shared(
    wholes: Integers, counts: Integers, firsts: Integers, of: Integers, rng: np.random.Generator
) -> Integers:
    """Each total split at random into `counts` parts."""
    sums = np.cumsum(rng.random(len(of)) + 0.01)
    before = np.concatenate(([0.0], sums))[firsts]
    shares = (sums - before[of]) / (sums[firsts + counts - 1] - before)[of]
    reached = np.floor(shares * wholes[of]).astype(np.int64)
    reached[firsts + counts - 1] = wholes
    gained: Integers = np.diff(reached, prepend=0)
    gained[firsts] = reached[firsts]
    return gained


def times_of(listing: Listing, midnight_ms: int, plan: Plan, rng: np.random.Generator) -> Integers:
    """The time of each trade of a day, in UTC milliseconds: about half of them share the
    millisecond of the previous trade, and a few are later than the next one."""
    firsts = np.cumsum(plan.trades) - plan.trades
    of = np.repeat(np.arange(len(plan.trades)), plan.trades)
    total = len(of)
    waits = rng.standard_exponential(total, np.float32).astype(np.float64)
    waits *= rng.random(total, np.float32) < 0.5
    sums = np.cumsum(waits)
    before = np.concatenate(([0.0], sums))[firsts]
    rest = rng.standard_exponential(len(firsts)) + 0.1  # from the last trade to the minute's end
    shares = (sums - before[of]) / (sums[firsts + plan.trades - 1] - before + rest)[of]
    opened = midnight_ms + plan.minutes * MINUTE
    begins = np.maximum(opened, listing.created_ms)  # no trade before the listing
    begins = np.where(begins < opened + MINUTE, begins, opened)
    times: Integers = begins[of] + np.floor(shares * (opened + MINUTE - begins)[of]).astype(
        np.int64
    )
    late = np.flatnonzero(rng.random(total, np.float32) < _DISORDERED)
    late = late[late + 1 < total]
    late = late[(of[late] == of[np.minimum(late + 1, total - 1)]) & (np.diff(late, prepend=-2) > 1)]
    times[late], times[late + 1] = times[late + 1], times[late]
    return times


def tick_directions(prices: Floats) -> Integers:
    """0 up, 1 same after up, 2 down, 3 same after down; the day's first counts as up."""
    moves = np.sign(np.diff(prices, prepend=0.0))
    last_moved = np.maximum.accumulate(np.where(moves != 0, np.arange(len(moves)), 0))
    directions: Integers = np.where(moves[last_moved] < 0, 2, 0) + (moves == 0)
    return directions
