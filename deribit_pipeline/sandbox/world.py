"""The basis of all methods of the sandbox: its clock, the instruments, and their markets."""

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from deribit_pipeline.sandbox.known_listings import LISTINGS
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.market import DAY, Market
from deribit_pipeline.sandbox.refusals import invalid, required

Method = Callable[[Mapping[str, str]], Any]
"""Takes parameters and returns a result; raises Refusal."""

REMEMBERED = 7 * DAY
"""How long after its expiry www still lists an instrument, in milliseconds. The exchange's own
figure is undocumented."""


class World:
    """The instruments as they are listed now. `clock` returns UTC seconds, so that tests decide the
    time. `trades_per_minute` is the usual number in a minute with trades."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        listings: tuple[Listing, ...] = LISTINGS,
        trades_per_minute: float = 2.0,
    ) -> None:
        self.clock = clock
        self._listings = {listing.instrument_name: listing for listing in listings}
        self._trades_per_minute = trades_per_minute

    def now_ms(self) -> int:
        """The exchange's clock in UTC milliseconds."""
        return int(self.clock() * 1000)

    def listing(self, params: Mapping[str, str]) -> Listing:
        """The instrument that a call names. Raises Refusal if it is not listed."""
        name = required(params, "instrument_name")
        listing = self._listings.get(name)
        if listing is None or listing.created_ms > self.now_ms():
            raise invalid("instrument_name", "instrument not found")
        return listing

    def listings(self) -> Iterator[Listing]:
        """Every instrument that was listed by now."""
        now = self.now_ms()
        return (listing for listing in self._listings.values() if listing.created_ms <= now)

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
        return _market_of(listing, self._trades_per_minute)


# Cached: it is the same in every world and slow to create, and thousands of tests need it.
_market_of = functools.lru_cache(maxsize=512)(Market)
