"""What a day of an instrument is generated from: minutes with trades, their prices and sizes."""

import functools

import numpy as np

from deribit_pipeline.sandbox.drivers import (
    DAY,
    MINUTE,
    DayPath,
    Driver,
    Floats,
    Ticks,
    driver_of,
    seed_of,
)
from deribit_pipeline.sandbox.listing import NEVER, Listing
from deribit_pipeline.sandbox.surface import carry, marks
from deribit_pipeline.sandbox.tape import Plan, is_in_base, on_ticks, tick_sizes

_LOTS = 12.0
"""The usual number of minimum amounts that a minute's option trades add up to."""


@functools.lru_cache(maxsize=1_024)
def path_of(listing: Listing) -> Driver:
    """What moves the price of an instrument; a combo has a path of its own."""
    if listing.is_combo:
        return Driver(listing.instrument_name, listing.price)
    return driver_of(listing.base_currency)


def level_of(listing: Listing, moments: Ticks) -> Floats:
    """The price that trades are made about, at moments in UTC milliseconds: of an option its mark,
    of a perpetual the index."""
    if listing.is_option:
        return marks(listing, moments).price
    prices: Floats = path_of(listing).prices(moments) * np.exp(_premium(listing, moments))
    return prices


def _premium(listing: Listing, moments: Ticks) -> Floats:
    """The logarithm of the price over the driver's: that of a dated future."""
    if listing.is_combo or listing.expires_ms == NEVER:
        return np.zeros(len(moments))
    return carry(moments, listing.expires_ms)


def plan_of(listing: Listing, day: int, busy: "Busy", trades: int) -> Plan:
    """The plan of a day with this number of trades."""
    rng = np.random.default_rng(seed_of(f"{listing.instrument_name} {day}"))
    if listing.is_option:
        return _plan_of_option(listing, day, busy, trades, rng)
    driver = path_of(listing)
    if listing.instrument_name == driver.name:
        rng.standard_normal(2 * 1_440)  # the driver's own
    path = driver.day(day)
    prices = _prices(listing, day, path, rng)
    minutes = busy.minutes(rng.random(1_440) ** np.clip(path.shape, 0.3, 3))
    turnover = rng.lognormal(np.log(listing.turnover), 1.1, 1_440) * path.shape**1.5
    turnover = turnover[minutes]
    value = 1.0 if not is_in_base(listing) else prices[:, minutes].mean(axis=0)
    counts = _shares(trades, np.sqrt(turnover))
    contracts = np.round(turnover / value / listing.min_trade_amount).astype(np.int64)
    return Plan(minutes, prices[:, minutes], counts, np.maximum(contracts, counts))


class Busy:
    """How many minutes of a day have trades, between the minutes at which it is listed."""

    def __init__(self, count: int, opens: int, closes: int) -> None:
        self._count, self._opens, self._closes = count, opens, closes

    def minutes(self, idleness: Floats) -> Ticks:
        """The least idle minutes, and the first of the day or of the listing, so that no day's
        candles depend on another day's."""
        idleness[self._opens : self._opens + 1] = -1.0
        idleness[: self._opens] = idleness[self._closes :] = np.inf
        return np.sort(np.argsort(idleness)[: self._count])


def _prices(listing: Listing, day: int, path: DayPath, rng: np.random.Generator) -> Floats:
    """Approximate open, high, low and close of each minute."""
    ends = day * DAY + np.arange(1_441, dtype=np.int64) * MINUTE
    levels = np.exp(path.path + _premium(listing, ends))
    close = levels[1:]
    opened = levels[:-1] * (1 + rng.normal(0, 0.1, 1_440) * path.spread)
    reach = np.abs(rng.normal(0, 0.6, (2, 1_440))) * path.spread
    high = np.maximum(opened, close) * (1 + reach[0])
    low = np.minimum(opened, close) * (1 - reach[1])
    return on_ticks(listing, np.stack([opened, high, low, close]))


def _plan_of_option(
    listing: Listing, day: int, busy: Busy, trades: int, rng: np.random.Generator
) -> Plan:
    """Trades about the marks at the beginning and at the end of each minute; never at or below
    the intrinsic value."""
    minutes = busy.minutes(rng.random(1_440))
    opened = day * DAY + minutes * MINUTE
    moments = np.minimum(np.concatenate((opened, opened + MINUTE - 1)), listing.expires_ms - 1)
    mark = marks(listing, moments)
    middle, worth = mark.price.reshape(2, -1), mark.intrinsic.reshape(2, -1).max(axis=0)
    half = np.maximum(mark.half_spread.reshape(2, -1), listing.tick_size / 4)
    first, last = middle + half * rng.uniform(-1, 1, (2, len(minutes)))
    reach = half * rng.random((2, len(minutes))) / 2
    prices = np.stack(
        [first, np.maximum(first, last) + reach[0], np.minimum(first, last) - reach[1], last]
    )
    sizes = tick_sizes(listing, worth)
    least = (np.floor(worth / sizes) + 1) * sizes
    counts = _shares(trades, np.sqrt(rng.lognormal(0.0, 0.8, len(minutes))))
    lots = np.round(rng.lognormal(np.log(_LOTS), 1.0, len(minutes))).astype(np.int64)
    prices = np.maximum(on_ticks(listing, prices), least)
    return Plan(minutes, prices, counts, np.maximum(lots, counts))


def _shares(total: int, weights: Floats) -> Ticks:
    """The total distributed by weight, at least one to each."""
    reached = np.floor(np.cumsum(weights) / weights.sum() * (total - len(weights)) + 0.5)
    shares: Ticks = 1 + np.diff(reached, prepend=0.0).astype(np.int64)
    return shares
