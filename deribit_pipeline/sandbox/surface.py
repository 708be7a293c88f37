"""The volatility surface of the sandbox: every option's price follows from it.

The total variance of an expiry is a smile in SSVI's form with a power law (Gatheral and Jacquier,
"Arbitrage-free SVI volatility surfaces", 2014). With its parameters here, and a variance at the
money that grows with time, no portfolio of options is an arbitrage: neither of strikes nor of
expiries. The level is the volatility index.
"""

import functools
from dataclasses import dataclass

import numpy as np

from deribit_pipeline.sandbox import option_prices
from deribit_pipeline.sandbox.drivers import DAY, Floats, Ticks, driver_of, price_of, seed_of
from deribit_pipeline.sandbox.listing import Listing

YEAR = 365 * DAY
_CARRY = 0.05
"""How much a forward is above the index, a year."""

_USUAL = {"BTC": 55.0, "ETH": 70.0}
_USUAL_OF_OTHERS = 80.0
_INDEX_IS_ABOVE = 1.113
"""The volatility index over the volatility at the money in 30 days: the smile's wings count in a
strip of options, whose price the index is."""

_REVERSION = 6.0
"""A year: how fast the volatility returns to its usual level."""

_HALF_SPREAD = 0.02
"""Half the usual spread, relative to what an option costs beyond its intrinsic value."""

_SKEW = {"BTC": -0.18, "ETH": -0.12}
_SKEW_OF_OTHERS = -0.05
_CURVATURE, _POWER = 1.1, 0.45  # no arbitrage: curvature * (1 + |skew|) <= 2, power <= 1/2


@functools.cache
def level_of_day(currency: str, day: int) -> float:
    """The volatility index at midnight, in percent: swings of weeks and months, and noise."""
    noise = np.random.default_rng(seed_of(f"{currency} DVOL at {day}")).normal(0, 1.5)
    swings = 12 * np.sin(day / 61) + 6 * np.sin(day / 17 + len(currency))
    return float(_USUAL.get(currency, _USUAL_OF_OTHERS) + swings + noise)


def digits_of(base: str) -> int:
    """The decimals of an index and of forwards."""
    return 2 if price_of(base) > 100 else 6


def carry(moments: Ticks, expires_ms: int | Ticks) -> Floats:
    """The logarithm of an expiry's forward over the index, at moments in UTC milliseconds."""
    return _CARRY * years_until(expires_ms, moments)


def years_until(expires_ms: int | Ticks, moments: Ticks) -> Floats:
    """The time to the expiry, in years."""
    left: Floats = np.maximum(expires_ms - moments, 0) / YEAR
    return left


def at_the_money(base: str, moments: Ticks, years: Floats) -> Floats:
    """The total variance of options whose strike is the forward."""
    if not len(moments):
        return np.empty(0)
    days = np.arange(moments.min() // DAY, moments.max() // DAY + 2)
    levels = [level_of_day(base, day) for day in days.tolist()]
    index = np.interp(moments / DAY, days, levels)
    usual = (_USUAL.get(base, _USUAL_OF_OTHERS) / 100) ** 2
    month = 30 / 365
    of_month = (index / 100 / _INDEX_IS_ABOVE) ** 2 * month
    share = (1 - np.exp(-_REVERSION * years)) / _REVERSION
    share_of_month = (1 - np.exp(-_REVERSION * month)) / _REVERSION
    above: Floats = np.maximum((of_month - usual * month) / share_of_month, 0.02 - usual)
    return usual * years + above * share


def volatility(base: str, moments: Ticks, years: Floats, moneyness: Floats) -> Floats:
    """The implied volatility, a fraction a year, at the logarithm of strike over forward."""
    years = np.maximum(years, 1 / (365 * 1_440))  # the last minute's
    theta = at_the_money(base, moments, years)
    skew = _SKEW.get(base, _SKEW_OF_OTHERS)
    steepness = _CURVATURE / (theta**_POWER * (1 + theta) ** (1 - _POWER)) * moneyness
    total = theta / 2 * (1 + skew * steepness + np.sqrt((steepness + skew) ** 2 + 1 - skew**2))
    found: Floats = np.sqrt(total / years)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """Options at moments, as the exchange publishes them: rounded, and the price made of the
    rounded values. `iv` is in percent; `price` and `intrinsic`, which is the least that an option
    is worth, are in the currency that it is quoted in."""

    index: Floats
    forward: Floats
    years: Floats
    iv: Floats
    price: Floats
    intrinsic: Floats

    @property
    def half_spread(self) -> Floats:
        """Half the usual distance of bid and ask: about a point of volatility."""
        return np.maximum(_HALF_SPREAD * (self.price - self.intrinsic), 0.0)


def marks(listing: Listing, moments: Ticks) -> Marks:
    """The marks of one option at several moments."""
    strikes = np.full(len(moments), listing.strike or 0.0)
    is_call = np.full(len(moments), listing.is_call)
    return marks_of(listing.base_currency, listing.is_linear, moments,
                    np.full(len(moments), listing.expires_ms), strikes, is_call)  # fmt: skip


def marks_of(
    base: str, is_linear: bool, moments: Ticks, expires: Ticks, strikes: Floats,
    is_call: option_prices.Flags,
) -> Marks:  # fmt: skip
    """The marks of options of one base currency, each at its moment."""
    digits, prices = digits_of(base), driver_of(base).prices(moments)
    index = np.round(prices, digits)
    forwards = np.round(prices * np.exp(carry(moments, expires)), digits)
    years = years_until(expires, moments)
    iv = np.round(100 * volatility(base, moments, years, np.log(strikes / forwards)), 2)
    price = option_prices.price(is_call, forwards, strikes, years, iv / 100)
    unit = 1.0 if is_linear else forwards
    intrinsic = option_prices.intrinsic(is_call, forwards, strikes) / unit
    return Marks(index, forwards, years, iv, np.round(price / unit, 8), intrinsic)
