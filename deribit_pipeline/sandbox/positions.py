"""Open interest: at 08:00 the position that the settlement states, and in between on the way."""

import functools

import numpy as np

from deribit_pipeline.sandbox.drivers import DAY, EIGHT_HOURS, seed_of
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.tape import is_in_base

_RAMP = 20
"""Days until a position is built up, at most."""
_LOTS = 80_000.0
"""The usual position of an instrument that trades in every minute, in minimum amounts."""


def open_interest(listing: Listing, moment: int) -> float:
    """The open interest of a future or an option, in the unit of its amounts, at UTC
    milliseconds."""
    since_eight = moment - EIGHT_HOURS
    day, share = since_eight // DAY, since_eight % DAY / DAY
    before, after = settled(listing, day), settled(listing, day + 1)
    return _amount(listing, (before + (after - before) * share) / listing.min_trade_amount)


@functools.lru_cache(maxsize=65_536)
def settled(listing: Listing, day: int) -> float:
    """The position at 08:00 of a day, counted from 1970."""
    age = day - (listing.created_ms - EIGHT_HOURS) // DAY
    if age <= 0 or not listing.activity:
        return 0.0
    usual = np.random.default_rng(seed_of(f"{listing.instrument_name} position")).lognormal(0, 0.8)
    noise = np.random.default_rng(seed_of(f"{listing.instrument_name} position {day}")).normal()
    weekly = 0.1 * np.sin(2 * np.pi * day / 7)
    whole = _LOTS * listing.activity * usual * min(age / _RAMP, 1.0)
    return _amount(listing, max(float(whole * (1 + weekly + 0.05 * noise)), 1.0))


def _amount(listing: Listing, lots: float) -> float:
    """Whole lots as an amount; one in dollars is written without decimals."""
    amount = round(round(lots) * listing.min_trade_amount, 8)
    return amount if is_in_base(listing) else int(amount)
