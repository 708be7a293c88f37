"""Settlements of the sandbox: one per instrument and day, all in the same millisecond."""

import base64
import enum
import functools
import random
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.market import DAY, EIGHT_HOURS
from deribit_pipeline.sandbox.plans import level_of
from deribit_pipeline.sandbox.positions import settled
from deribit_pipeline.sandbox.prices import Prices
from deribit_pipeline.sandbox.refusals import invalid, required
from deribit_pipeline.sandbox.world import Method, World

_CURRENCIES = ("BTC", "ETH", "USDC", "USDT", "EURR")
_TYPES = ("settlement", "delivery", "bankruptcy")
_ENDINGS: tuple[dict[str, str | None], ...] = (
    {},
    {"continuation": None},
    {"continuation": "none"},
)

Row = dict[str, Any]
Place = tuple[int, int]
"""A day, counted from 1970, and the number of its rows that come before."""


class Cut(enum.Enum):
    """Where the page of a continuation token begins; assumption:settlements-token is one of
    these."""

    AT_THE_ROW = "after the last row returned"
    BELOW_THE_MILLISECOND = "below its millisecond, so that other rows of it are lost"
    AT_THE_MILLISECOND = "with its whole millisecond, so that some rows are repeated"


class Settlements:
    """The settlements that the sandbox returns.

    `cut` is where the next page begins, `is_inclusive` whether the bound is. At the end, pages
    alternate between the forms of an absent continuation, by their count. `lost` are instruments
    and days whose settlement is omitted.
    """

    def __init__(self, world: World, prices: Prices) -> None:
        self._world = world
        self._prices = prices
        self.cut = Cut.AT_THE_ROW
        self.is_inclusive = True
        self.lost: set[tuple[str, int]] = set()

    def methods(self) -> dict[str, Method]:
        """The methods of www."""
        return {
            "public/get_last_settlements_by_currency": self._get_by_currency,
            "public/get_last_settlements_by_instrument": lambda params: self._page(
                params, [self._world.listing(params)]
            ),
        }

    def settled_ms(self, day: int) -> int:
        """The time of all settlements of a day: a few milliseconds after 08:00."""
        return day * DAY + EIGHT_HOURS + 40 + day * 37 % 719

    def rows_of(self, listings: Iterable[Listing], day: int) -> list[Row]:
        """The settlements of a day in the order in which they are returned."""
        rows = [self._row(listing, day) for listing in listings if self._settles(listing, day)]
        return sorted(rows, key=lambda row: str(row["instrument_name"]))

    def _get_by_currency(self, params: Mapping[str, str]) -> dict[str, Any]:
        currency = required(params, "currency")
        if currency not in _CURRENCIES:
            raise invalid("currency", "invalid currency")
        kinds = ("future", "option")
        return self._page(
            params,
            [
                listing
                for listing in self._world.listings()
                if listing.kind in kinds and listing.settlement_currency == currency
            ],
        )

    def _page(self, params: Mapping[str, str], listings: list[Listing]) -> dict[str, Any]:
        count = int(params.get("count", 20))
        if not 1 <= count <= 1_000:
            raise invalid("count", "must be between 1 and 1000")
        if params.get("type") not in (None, *_TYPES):
            raise invalid("type", "unsupported type")
        found = list(islice(self._returned(params, listings), count + 1))
        page = {"settlements": [row for _, row in found[:count]]}
        if len(found) <= count:
            return page | _ENDINGS[count % len(_ENDINGS)]
        day, place = found[count][0]
        if self.cut is Cut.BELOW_THE_MILLISECOND:
            day, place = found[count - 1][0][0] - 1, 0
        elif self.cut is Cut.AT_THE_MILLISECOND:
            day, place = found[count - 1][0][0], 0
        return page | {"continuation": _token(day, place)}

    def _returned(
        self, params: Mapping[str, str], listings: list[Listing]
    ) -> Iterator[tuple[Place, Row]]:
        """The rows that a call requests, newest first, and the place of each."""
        now, kind = self._world.now_ms(), params.get("type")
        latest = min(int(params.get("search_start_timestamp", now)) + self.is_inclusive, now + 1)
        day, skipped = latest // DAY, 0
        if "continuation" in params:
            day, skipped = _place(params["continuation"])
        oldest = min((listing.created_ms for listing in listings), default=now) // DAY
        while day >= oldest:
            if self.settled_ms(day) < latest:
                for place, row in enumerate(self.rows_of(listings, day)):
                    if place >= skipped and kind in (None, row["type"]):
                        yield (day, place), row
            day, skipped = day - 1, 0

    def _settles(self, listing: Listing, day: int) -> bool:
        at_eight = day * DAY + EIGHT_HOURS
        is_listed = listing.created_ms <= at_eight <= listing.expires_ms
        return is_listed and (listing.instrument_name, day) not in self.lost

    def _row(self, listing: Listing, day: int) -> Row:
        rng = random.Random(f"{listing.instrument_name} {day}")
        prices = self._prices
        base, counter = listing.base_currency, listing.counter_currency
        index = prices.delivered(prices.perpetual(base, counter), day)
        is_last = day * DAY + EIGHT_HOURS == listing.expires_ms
        is_option = listing.kind == "option"
        mark = _mark(listing, day)
        if is_last:
            mark = 0.0 if is_option else index
        return {
            "position": settled(listing, day),
            "timestamp": self.settled_ms(day),
            "type": ("exercise" if is_option else "delivery") if is_last else "settlement",
            "index_price": index,
            "instrument_name": listing.instrument_name,
            "mark_price": mark,
            "profit_loss": rng.gauss(0, 3),
            "session_profit_loss": abs(rng.gauss(0, 40_000)),
        }


@functools.lru_cache(maxsize=65_536)
def _mark(listing: Listing, day: int) -> float:
    """The mark price at 08:00 of a day."""
    level = level_of(listing, np.array([day * DAY + EIGHT_HOURS]))
    return round(float(level[0]), 8 if listing.is_option else 2)


def _token(day: int, place: int) -> str:
    return base64.b32encode(f"{day} {place}".encode()).decode().rstrip("=")


def _place(token: str) -> Place:
    try:
        text = base64.b32decode(token + "=" * (-len(token) % 8)).decode()
        day, place = map(int, text.split())
    except ValueError:
        raise invalid("continuation", "wrong format") from None
    return day, place
