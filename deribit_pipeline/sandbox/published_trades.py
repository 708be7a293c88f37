"""Trades as both hosts write them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from deribit_pipeline.sandbox import option_prices
from deribit_pipeline.sandbox.drivers import Floats, Ticks, driver_of
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.market import Market
from deribit_pipeline.sandbox.surface import digits_of, marks

Trade = dict[str, Any]


def published_trades(market: Market, numbers: Ticks, moved: Mapping[int, int]) -> list[Trade]:
    """The trades with these numbers, in their order; `moved` are other times of some."""
    if not len(numbers):
        return []
    trades: list[Trade] = []
    for day in range(market.day_of(int(numbers[0])), market.day_of(int(numbers[-1])) + 1):
        first, end = market.number_of(day), market.number_of(day + 1)
        of_day = numbers[(numbers >= first) & (numbers < end)]
        if len(of_day):
            trades += _published_of_day(market, day, of_day)
    for trade in trades if moved else ():
        trade["timestamp"] = moved.get(trade["trade_seq"], trade["timestamp"])
    return trades


def _published_of_day(market: Market, day: int, numbers: Ticks) -> list[Trade]:
    listing, tape = market.listing, market.tape_of_day(day)
    rows = numbers - market.number_of(day)
    price, times = tape.price[rows], market.times_of_day(day)[rows]
    rng = numbers * 2_654_435_761 % 2**32 / 2**32  # any span of trades gets the same random numbers
    amount = np.round(tape.contracts[rows] * listing.min_trade_amount, 8)
    mark, index, iv = _marked(listing, times, price, rng)
    name, prefix = listing.instrument_name, listing.base_currency
    trades = [
        {
            "trade_seq": number,
            "trade_id": f"{prefix}-{number}",
            "timestamp": traded_ms,
            "tick_direction": tick_direction,
            "price": trade_price,
            "mark_price": mark_price,
            "instrument_name": name,
            "index_price": index_price,
            "direction": "buy" if is_buy else "sell",
            "amount": trade_amount,
            "contracts": contracts,
        }
        for (
            number, traded_ms, tick_direction, trade_price, mark_price, index_price, is_buy,
            trade_amount, contracts,
        ) in zip(
            numbers.tolist(), times.tolist(), market.directions_of_day(day)[rows].tolist(),
            price.tolist(), mark.tolist(), index.tolist(), (rng * 97 % 1 < 0.5).tolist(),
            amount.tolist(), np.round(amount / _contract_sizes(listing, times), 8).tolist(),
            strict=True,
        )
    ]  # fmt: skip
    for trade, volatility in zip(trades, iv.tolist(), strict=False):
        trade["iv"] = volatility
    for row in np.flatnonzero(rng < 0.002).tolist():
        trades[row]["liquidation"] = ("T", "M", "MT")[int(numbers[row]) % 3]
    for row in np.flatnonzero(rng > 0.999).tolist():
        trades[row]["block_trade_id"] = f"BLOCK-{numbers[row]}"
    return trades


def _marked(
    listing: Listing, times: Ticks, price: Floats, rng: Floats
) -> tuple[Floats, Floats, Floats]:
    """Mark and index when each trade was made, and the volatility that its price implies: none for
    what is no option."""
    if listing.is_option:
        mark = marks(listing, times)
        paid = price if listing.is_linear else price * mark.forward
        strikes, is_call = np.full(len(paid), listing.strike), np.full(len(paid), listing.is_call)
        iv = option_prices.implied(
            is_call, mark.forward, strikes, mark.years, paid, near=mark.iv / 100
        )
        return mark.price, mark.index, np.round(100 * iv, 2)
    digits = digits_of(listing.base_currency)
    near = price * (1 + (rng - 0.5) * 1e-4)
    index = driver_of(listing.base_currency).prices(times)
    return np.round(near, digits), np.round(index, digits), np.empty(0)


def _contract_sizes(listing: Listing, times: Ticks) -> Floats:
    """The size of a contract when each trade was made; a day has at most two."""
    first, last = int(times.min()), int(times.max())
    sizes = [listing.contract_size_at(moment) for moment in (first, last)]
    if sizes[0] == sizes[1]:
        return np.full(len(times), sizes[0])
    return np.array([listing.contract_size_at(moment) for moment in times.tolist()])
