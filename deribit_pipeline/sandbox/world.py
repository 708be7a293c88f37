"""The basis of all methods of the sandbox: its clock, the instruments, and their markets."""

import bisect
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from deribit_pipeline.sandbox.daily_listings import FIRST_LISTING, listed_on
from deribit_pipeline.sandbox.known_listings import LISTINGS
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.market import DAY, Market
from deribit_pipeline.sandbox.refusals import invalid, required
from deribit_pipeline.sandbox.rush import Rush

Method = Callable[[Mapping[str, str]], Any]
"""Takes parameters and returns a result; raises Refusal."""

REMEMBERED = 7 * DAY
"""How long after its expiry www still lists an instrument, in milliseconds. The exchange's own
figure is undocumented."""


class World:
    """The instruments as they are listed now. `clock` returns UTC seconds, so that tests decide the
    time. `listings` are the only instruments; by default all, among them options that are listed
    day by day. `more_listings` are listed besides. `trades_per_minute` is the usual number in a
    minute with trades, to which `rush` adds for a while."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        listings: tuple[Listing, ...] | None = None,
        trades_per_minute: float = 2.0,
        rush: Rush | None = None,
        more_listings: tuple[Listing, ...] = (),
    ) -> None:
        self.clock = clock
        all_listings = (*(listings or LISTINGS), *more_listings)
        self._listings = {each.instrument_name: each for each in all_listings}
        self._has_daily_listings = listings is None
        self._listed_before = FIRST_LISTING
        self._sorted: tuple[list[Listing], list[Listing]] = ([], [])
        self._trades_per_minute, self._rush = trades_per_minute, rush

    def now_ms(self) -> int:
        """The exchange's clock in UTC milliseconds."""
        return int(self.clock() * 1000)

    def listing(self, params: Mapping[str, str]) -> Listing:
        """The instrument that a call names. Raises Refusal if it is not listed."""
        name = required(params, "instrument_name")
        listing = self._listings.get(name) or self._listed().get(name)
        if listing is None or listing.created_ms > self.now_ms():
            raise invalid("instrument_name", "instrument not found")
        return listing

    def listings(self) -> Iterator[Listing]:
        """Every instrument that was listed by now."""
        now = self.now_ms()
        return (each for each in self._listed().values() if each.created_ms <= now)

    def listed_between(self, after_ms: int, until_ms: int) -> list[Listing]:
        """The instruments that were listed in (after_ms, until_ms], the earliest first."""
        return _between(self._by_time()[0], _created, after_ms, until_ms)

    def expired_between(self, after_ms: int, until_ms: int) -> list[Listing]:
        """The instruments that expired in (after_ms, until_ms], the earliest first."""
        return _between(self._by_time()[1], _expires, after_ms, until_ms)

    def _by_time(self) -> tuple[list[Listing], list[Listing]]:
        """All instruments by the time of their listing, and by that of their expiry."""
        listed = self._listed()
        if len(self._sorted[0]) != len(listed):
            self._sorted = (
                sorted(listed.values(), key=_created),
                sorted(listed.values(), key=_expires),
            )
        return self._sorted

    def _listed(self) -> dict[str, Listing]:
        """Every instrument, with those that are listed day by day until today."""
        tomorrow = self.now_ms() // DAY + 1
        if self._has_daily_listings and self._listed_before < tomorrow:
            new = {
                listing.instrument_name: listing
                for day in range(self._listed_before, tomorrow)
                for listing in listed_on(day)
            }
            self._listings, self._listed_before = self._listings | new, tomorrow
        return self._listings

    def is_remembered(self, listing: Listing) -> bool:
        """Whether www still lists an instrument: expired ones only for a while. The archive host
        lists them for ever."""
        return self.now_ms() < listing.expires_ms + REMEMBERED

    def remembered(self, params: Mapping[str, str]) -> Listing:
        """The instrument that a call to www names. Raises Refusal if www does not list it."""
        listing = self.listing(params)
        if not self.is_remembered(listing):
            raise invalid("instrument_name", "instrument not found")
        return listing

    def market(self, listing: Listing) -> Market:
        """The history of an instrument."""
        is_rushed = (
            self._rush is not None and listing.instrument_name in self._rush.instrument_names
        )
        return _market_of(listing, self._trades_per_minute, self._rush if is_rushed else None)


def _created(listing: Listing) -> int:
    return listing.created_ms


def _expires(listing: Listing) -> int:
    return listing.expires_ms


def _between(
    listings: list[Listing], moment_of: Callable[[Listing], int], after_ms: int, until_ms: int
) -> list[Listing]:
    first = bisect.bisect_right(listings, after_ms, key=moment_of)
    return listings[first : bisect.bisect_right(listings, until_ms, key=moment_of)]


# Cached: it is the same in every world and slow to create, and thousands of tests need it.
_market_of = functools.lru_cache(maxsize=2_048)(Market)
