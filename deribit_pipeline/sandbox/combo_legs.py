"""Trades of combos, which the exchange publishes twice: as one of the combo, with its `legs`, and
as one of each leg, with `combo_id`.

Prices and amounts of the legs are those that their own market has invented: they do not add up to
the combo's.
"""

import functools
from collections.abc import Callable, Iterable

import numpy as np

from deribit_pipeline.sandbox.drivers import Ticks
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.market import Market
from deribit_pipeline.sandbox.published_trades import Trade
from deribit_pipeline.sandbox.refusals import Refusal
from deribit_pipeline.sandbox.world import World

LEGS = {"BTC-FS-25DEC26_PERP": ("BTC-25DEC26", "BTC-PERPETUAL")}
"""The legs of combos whose trades are published with them. Other combos have strikes or dates of
which no market is listed all the time, or are older than the field."""

Written = Callable[[Listing, Ticks], list[Trade]]
"""The trades of an instrument with these numbers, in their order."""


def add_combos(world: World, listing: Listing, trades: list[Trade], written: Written) -> None:
    """Add `legs` to trades of a combo, and `combo_id` and `combo_trade_id` to those of a leg."""
    name = listing.instrument_name
    if name in LEGS:
        _add_legs(world, listing, trades, written)
    for combo_name, leg_names in LEGS.items():
        combo = _found(world, combo_name) if name in leg_names else None
        if combo is None:
            continue
        market, numbers = world.market(listing), [trade["trade_seq"] for trade in trades]
        of_combo: dict[int, int] = {}
        for day in _days(market, numbers):
            pairs = _pairs(world.market(combo), market, day)
            of_combo |= {leg: number for number, leg in pairs.items()}
        for trade in trades:
            number = of_combo.get(trade["trade_seq"])
            if number is not None:
                trade["combo_id"] = combo_name
                trade["combo_trade_id"] = f"{combo.base_currency}-{number}"


def _add_legs(world: World, combo: Listing, trades: list[Trade], written: Written) -> None:
    market, numbers = world.market(combo), [trade["trade_seq"] for trade in trades]
    legs: dict[int, list[Trade]] = {}
    for leg_name in LEGS[combo.instrument_name]:
        leg = _found(world, leg_name)
        if leg is None:
            continue
        pairs: dict[int, int] = {}
        for day in _days(market, numbers):
            pairs |= _pairs(market, world.market(leg), day)
        paired = [number for number in numbers if number in pairs]
        of_leg = written(leg, np.array([pairs[number] for number in paired], np.int64))
        for number, trade in zip(paired, of_leg, strict=True):
            legs.setdefault(number, []).append(trade)
    for trade in trades:
        if trade["trade_seq"] in legs:
            trade["legs"] = legs[trade["trade_seq"]]


@functools.lru_cache(maxsize=64)
def _pairs(combo: Market, leg: Market, day: int) -> dict[int, int]:
    """The number of the leg's trade by that of the combo's: the last one that was published by
    then and is part of no later trade of the combo. Early trades of a day may have none."""
    times, of_leg = combo.publications_of_day(day), leg.publications_of_day(day)
    places = np.arange(len(times))
    rows = np.searchsorted(of_leg, times, side="right") - 1 - places
    rows = np.minimum.accumulate(rows[::-1])[::-1] + places
    first, first_of_leg = combo.number_of(day), leg.number_of(day)
    pairs = zip(places.tolist(), rows.tolist(), strict=True)
    return {first + place: first_of_leg + row for place, row in pairs if row >= 0}


def _days(market: Market, numbers: list[int]) -> Iterable[int]:
    if not numbers:
        return ()
    return range(market.day_of(min(numbers)), market.day_of(max(numbers)) + 1)


def _found(world: World, name: str) -> Listing | None:
    try:
        return world.listing({"instrument_name": name})
    except Refusal:
        return None
