"""The best bid and ask of instruments: about their marks, and on ticks."""

import numpy as np

from deribit_pipeline.sandbox.drivers import Floats
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.tape import tick_sizes

HALF_SPREAD = 5e-5
"""Half the usual spread of what is no option, relative to the mark."""


def quotes_of(
    listing: Listing, mark: float, half_spread: float
) -> tuple[float | None, float | None]:
    """Bid and ask of what is quoted at all; a bid below one tick is none."""
    half = max(half_spread, listing.tick_size / 2)
    prices = np.array([mark - half, mark + half])
    sizes = tick_sizes(listing, prices)
    bid, ask = _whole(prices, sizes)
    if listing.is_combo:  # a spread may cost less than nothing
        return bid, ask
    return (bid if bid >= listing.tick_size else None), max(ask, listing.tick_size)


def _whole(prices: Floats, sizes: Floats) -> tuple[float, float]:
    """The bid rounded down and the ask rounded up, to whole ticks."""
    bid = float(np.round(np.floor(prices[0] / sizes[0] + 1e-9) * sizes[0], 8))
    ask = float(np.round(np.ceil(prices[1] / sizes[1] - 1e-9) * sizes[1], 8))
    return bid, ask
