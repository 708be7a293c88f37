"""Open interest: what the settlement at 08:00 states as the position, and on the way in between."""

import functools
from datetime import timedelta

import numpy as np

from deribit_pipeline.sandbox.drivers import DAY, EIGHT_HOURS, seed_of
from deribit_pipeline.sandbox.listing import Listing

_RAMP = 20
"""Days until a position is built up, at most."""
_LOTS = {"option": 400.0, "future": 60_000.0}
_WEEK = timedelta(days=7).days


def open_interest(listing: Listing, moment: int) -> float:
    """The open interest of a future or an option, in the unit of its amounts, at UTC milliseconds;
    nothing before the first settlement of its life begins to count."""
    since_eight = moment - EIGHT_HOURS
    day, share = since_eight // DAY, since_eight % DAY / DAY
    before, after = settled(listing, day), settled(listing, day + 1)
    lots = round((before + (after - before) * share) / listing.min_trade_amount)
    return round(lots * listing.min_trade_amount, 8)


@functools.lru_cache(maxsize=65_536)
def settled(listing: Listing, day: int) -> float:
    """The position at 08:00 of a day, counted from 1970."""
    age = day - (listing.created_ms - EIGHT_HOURS) // DAY
    if age <= 0 or not listing.activity:
        return 0.0
    usual = np.random.default_rng(seed_of(f"{listing.instrument_name} position")).lognormal(0, 0.8)
    noise = np.random.default_rng(seed_of(f"{listing.instrument_name} position {day}")).normal()
    weekly = 0.1 * np.sin(2 * np.pi * day / _WEEK)
    lots = _LOTS[listing.kind] * usual * min(age / _RAMP, 1.0) * (1 + weekly + 0.05 * noise)
    return round(max(round(float(lots)), 1) * listing.min_trade_amount, 8)
