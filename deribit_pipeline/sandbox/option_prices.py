"""Black's formula of 1976 for options on a forward, at a rate of zero; prices in quote currency.

Times are years of 365 days, volatilities fractions a year. Arguments are arrays of one shape.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_erfc = np.frompyfunc(math.erfc, 1, 1)
_LEAST, _MOST = 1e-4, 20.0
_STEPS, _CLOSE = 60, 1e-8


def normal(values: Floats) -> Floats:
    """The cumulative normal distribution."""
    shares: Floats = np.asarray(_erfc(-values / math.sqrt(2)), np.float64) / 2
    return shares


def density(values: Floats) -> Floats:
    """The density of the normal distribution."""
    found: Floats = np.exp(-(values**2) / 2) / math.sqrt(2 * math.pi)
    return found


def distances(
    forward: Floats, strike: Floats, years: Floats, volatility: Floats
) -> tuple[Floats, Floats]:
    """d1 and d2 of the formula; infinite at the expiry."""
    deviation = np.maximum(volatility * np.sqrt(np.maximum(years, 0.0)), 1e-12)
    first = np.log(forward / strike) / deviation + deviation / 2
    return first, first - deviation


def price(
    is_call: Flags, forward: Floats, strike: Floats, years: Floats, volatility: Floats
) -> Floats:
    """The price of an option."""
    first, second = distances(forward, strike, years, volatility)
    sign = np.where(is_call, 1.0, -1.0)
    found: Floats = sign * (forward * normal(sign * first) - strike * normal(sign * second))
    return np.maximum(found, 0.0)


def intrinsic(is_call: Flags, forward: Floats, strike: Floats) -> Floats:
    """What an option is worth at the least."""
    found: Floats = np.maximum(np.where(is_call, forward - strike, strike - forward), 0.0)
    return found


def delta_of(
    is_call: Flags, forward: Floats, strike: Floats, years: Floats, volatility: Floats
) -> Floats:
    """The change of the price with the forward."""
    first, _ = distances(forward, strike, years, volatility)
    return normal(first) - np.where(is_call, 0.0, 1.0)


def implied(
    is_call: Flags, forward: Floats, strike: Floats, years: Floats, paid: Floats, near: Floats
) -> Floats:
    """The volatility at which the formula gives the price paid; 0 where it is not above the
    intrinsic value.

    Newton's steps from the volatility `near`, halved into the interval that holds the solution.
    """
    found, rows = np.zeros(len(paid)), np.flatnonzero(paid > intrinsic(is_call, forward, strike))
    low, high = np.full(len(paid), _LEAST), np.full(len(paid), _MOST)
    guess = np.clip(near, _LEAST, _MOST)
    for _ in range(_STEPS):
        given = (is_call[rows], forward[rows], strike[rows], years[rows], guess[rows])
        error = price(*given) - paid[rows]
        is_below = error < 0
        low[rows[is_below]], high[rows[~is_below]] = guess[rows[is_below]], guess[rows[~is_below]]
        slope = given[1] * density(distances(*given[1:])[0]) * np.sqrt(given[3])
        step = given[4] - error / np.maximum(slope, 1e-300)
        is_inside = (step > low[rows]) & (step < high[rows])
        guess[rows] = np.where(is_inside, step, (low[rows] + high[rows]) / 2)
        found[rows] = guess[rows]
        rows = rows[np.abs(guess[rows] - given[4]) > _CLOSE]
        if not len(rows):
            break
    return found
