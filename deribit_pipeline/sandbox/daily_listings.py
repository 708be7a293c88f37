"""Options that are listed and expire every day at 08:00 UTC, from the end of 2026 on.

As on the exchange: days, weeks, months and quarters, each listed when the next of its kind is due.
"""

import functools
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from deribit_pipeline.sandbox.drivers import DAY, EIGHT_HOURS, driver_of
from deribit_pipeline.sandbox.listing import Listing, ms_of
from deribit_pipeline.sandbox.option_listings import options_of, strikes_about
from deribit_pipeline.sandbox.surface import at_the_money, years_until

FIRST_EXPIRY = ms_of("2026-11-23T08:00:00") // DAY
"""The first day, counted from 1970, on which one expires."""

_LIVES = {"quarter": 364, "month": 91, "week": 21, "day": 4}
"""The days from the listing to the expiry."""

FIRST_LISTING = FIRST_EXPIRY - max(_LIVES.values())
"""The first day on which one is listed."""

_FRIDAY = 4
_BASES = {"BTC": "BTC", "ETH": "ETH", "XRP_USDC": "XRP"}
_LISTED_AFTER = 17_000  # milliseconds after 08:00


@functools.cache
def listed_on(day: int) -> tuple[Listing, ...]:
    """The options that are listed on a day, counted from 1970."""
    return tuple(_listed_on(day))


def _listed_on(day: int) -> Iterator[Listing]:
    created = day * DAY + EIGHT_HOURS + _LISTED_AFTER
    for kind, life in _LIVES.items():
        if day + life < FIRST_EXPIRY or _kind_of(day + life) != kind:
            continue
        period = "month" if kind == "quarter" else kind
        for currency, base in _BASES.items():
            if base == "XRP" and kind == "day":
                continue
            expires = (day + life) * DAY + EIGHT_HOURS
            moments = np.array([created])
            price = float(driver_of(base).prices(moments)[0])
            years = years_until(np.array([expires]), moments)
            deviation = math.sqrt(float(at_the_money(base, moments, years)[0]))
            strikes = strikes_about(price, deviation)
            yield from options_of(currency, expires, created, period, strikes)


def _kind_of(expiry: int) -> str:
    """The kind of an expiry: the last Friday of a quarter or of a month, a Friday, or a day."""
    date = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=expiry)).date()
    if date.weekday() != _FRIDAY:
        return "day"
    if (date + timedelta(days=7)).month == date.month:
        return "week"
    return "month" if date.month % 3 else "quarter"
