"""Perpetuals for a market as wide as the exchange's, which lists about 130."""

from deribit_pipeline.sandbox.known_listings import LISTINGS
from deribit_pipeline.sandbox.listing import NEVER, Listing, ms_of

NUMBER_KNOWN = sum(listing.kind == "future" and listing.expires_ms == NEVER for listing in LISTINGS)
"""The number of perpetuals among the known listings."""


def invented(count: int) -> tuple[Listing, ...]:
    """This many invented perpetuals, settled in USDC: X001_USDC-PERPETUAL and so on.

    Each has a price path of its own and trades about as much as the smaller real ones.
    """
    created = ms_of("2022-04-28T13:00:00")
    return tuple(
        Listing(f"X{number:03d}_USDC-PERPETUAL", created, 10.0, 0.001, 1.0, 0.3, 1_000.0)
        for number in range(1, count + 1)
    )
