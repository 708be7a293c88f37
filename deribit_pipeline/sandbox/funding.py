"""Funding of perpetuals: invented rates, returned with every trap of the real method."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.sandbox.listing import Listing, ms_of
from deribit_pipeline.sandbox.market import DAY, MINUTE
from deribit_pipeline.sandbox.refusals import invalid, milliseconds
from deribit_pipeline.sandbox.world import Method, World

HOUR = 60 * MINUTE
MOST_HOURS = 744
BEGAN = ms_of("2019-04-30T10:00:00")

# Hours that were never published, for any instrument.
_NEVER_PUBLISHED = frozenset(
    map(ms_of, ("2019-07-16T05:00:00", "2020-03-13T02:00:00", "2020-03-13T03:00:00"))
)

Floats = NDArray[np.float64]


class Funding:
    """The history of funding. It is unknown which end is kept beyond 744 rows
    (assumption:funding-kept-end), and whether an instrument without funding is refused:
    `keeps_newest` and `refuses_others` decide it here. `begins_inclusive` includes a row at the
    requested start, which the exchange does not (assumption:funding-start).
    """

    keeps_newest = True
    refuses_others = True
    begins_inclusive = False

    def __init__(self, world: World) -> None:
        self._world = world
        self._days: dict[tuple[str, int], tuple[Floats, Floats]] = {}
        self._lost: set[tuple[str, int]] = set()
        self._revised: dict[tuple[str, int], float] = {}

    def methods(self) -> dict[str, Method]:
        return {"public/get_funding_rate_history": self._get_history}

    def omit(self, instrument_name: str, *ends: int) -> None:
        """Omit the hours that end then."""
        self._lost |= {(instrument_name, end) for end in ends}

    def revise(self, instrument_name: str, end: int, interest_1h: float) -> None:
        """Return another rate for the hour from now on."""
        self._revised[instrument_name, end] = interest_1h

    def running(self, listing: Listing, moment: int) -> tuple[float, float]:
        """The funding of the hour that contains a moment, and of the eight whole hours before."""
        ended = moment // HOUR * HOUR
        current = self._interest_1h(listing, ended + HOUR)
        return round(current, 8), round(self._interest_8h(listing, ended), 8)

    def _get_history(self, params: Mapping[str, str]) -> list[dict[str, Any]]:
        listing = self._world.listing(params)
        start, end = (milliseconds(params, name) for name in ("start_timestamp", "end_timestamp"))
        if start > end:
            raise invalid("start_timestamp", "must be before end_timestamp")
        if listing.kind != "future" or listing.settlement_period != "perpetual":
            if self.refuses_others:
                raise invalid("instrument_name", "must be a perpetual")
            return []
        after = start - 1 if self.begins_inclusive else start
        first = after // HOUR * HOUR + HOUR
        first = max(first, BEGAN, listing.created_ms // HOUR * HOUR + HOUR)
        last = min(end, self._world.now_ms(), listing.expires_ms)
        ends = [
            hour
            for hour in range(first, last + 1, HOUR)
            if hour not in _NEVER_PUBLISHED and (listing.instrument_name, hour) not in self._lost
        ]
        ends = ends[-MOST_HOURS:] if self.keeps_newest else ends[:MOST_HOURS]
        return [self._row(listing, hour) for hour in ends]

    def _row(self, listing: Listing, end: int) -> dict[str, Any]:
        return {
            "timestamp": end,
            "index_price": self._index(listing, end),
            "interest_8h": self._interest_8h(listing, end),
            "interest_1h": self._interest_1h(listing, end),
            "prev_index_price": self._index(listing, end - HOUR),
        }

    def _interest_8h(self, listing: Listing, end: int) -> float:
        """The funding of the last eight hours, as a share of the position at their beginning. An
        inverse position is worth one over the index, as in every recorded row."""
        hours = range(end - 7 * HOUR, end + 1, HOUR)
        rates = np.array([self._interest_1h(listing, hour) for hour in hours])
        if listing.is_linear:
            return float(rates.sum())
        before = np.array([self._index(listing, hour - HOUR) for hour in hours])
        return float((rates / before).sum() * before[0])

    def _interest_1h(self, listing: Listing, end: int) -> float:
        revised = self._revised.get((listing.instrument_name, end))
        return revised if revised is not None else float(self._of(listing, end)[0])

    def _index(self, listing: Listing, moment: int) -> float:
        return float(self._of(listing, moment)[1])

    def _of(self, listing: Listing, moment: int) -> tuple[float, float]:
        """The funding of the hour that ends then, and the index."""
        day, hour = moment // DAY, moment % DAY // HOUR
        key = (listing.instrument_name, day)
        if key not in self._days:
            self._days[key] = self._day(listing, day)
        rates, prices = self._days[key]
        return rates[hour], prices[hour]

    def _day(self, listing: Listing, day: int) -> tuple[Floats, Floats]:
        """A day's rates, and the index at each hour, close to the instrument's price."""
        digest = hashlib.blake2b(f"{listing.instrument_name} funding {day}".encode(), digest_size=8)
        rng = np.random.default_rng(int.from_bytes(digest.digest()))
        mood = rng.normal(1e-5, 1.5e-5)
        rates = mood + rng.normal(0, 4e-6, 24)
        traded = self._world.market(listing).minutes_of_day(day).values[::60, 0]
        return rates, np.round(traded * (1 - 8 * rates), 4)
