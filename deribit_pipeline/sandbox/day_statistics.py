"""What was traded in the last 24 hours."""

from dataclasses import dataclass

import numpy as np

from deribit_pipeline.sandbox.drivers import DAY
from deribit_pipeline.sandbox.market import Market
from deribit_pipeline.sandbox.tape import is_in_base


@dataclass(frozen=True, slots=True)
class DayStatistics:
    """`volume` in base currency, `turnover` in the currency of the price; `last` of any earlier
    day if there was no trade, null if there never was one. `change` is in percent."""

    last: float | None = None
    high: float | None = None
    low: float | None = None
    change: float | None = None
    volume: float = 0.0
    turnover: float = 0.0


def statistics_of(market: Market, moment: int) -> DayStatistics:
    """The statistics at a moment in UTC milliseconds."""
    listing, day = market.listing, moment // DAY
    if not listing.activity:
        return DayStatistics()
    parts = [
        (market.tape_of_day(day - 1), slice(market.published_of_day(day - 1, moment - DAY), None)),
        (market.tape_of_day(day), slice(0, market.published_of_day(day, moment))),
    ]
    prices = np.concatenate([tape.price[rows] for tape, rows in parts])
    amounts = np.concatenate([tape.contracts[rows] for tape, rows in parts])
    amounts = amounts * listing.min_trade_amount
    if not len(prices):
        return DayStatistics(last=market.last_before(day))
    in_base, in_quote = amounts, amounts * prices
    if not is_in_base(listing):
        in_base, in_quote = amounts / prices, amounts
    first, last = float(prices[0]), float(prices[-1])
    return DayStatistics(
        last,
        float(prices.max()),
        float(prices.min()),
        round(100 * (last - first) / first, 4),
        round(float(in_base.sum()), 8),
        round(float(in_quote.sum()), 6),
    )
