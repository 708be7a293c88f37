"""Book summaries: one row for every listed instrument of a currency, all of one instant.

The exchange renews them every two seconds, each currency at milliseconds of its own.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from deribit_pipeline.sandbox.best_quotes import HALF_SPREAD, quotes_of
from deribit_pipeline.sandbox.day_statistics import statistics_of
from deribit_pipeline.sandbox.drivers import driver_of, seed_of
from deribit_pipeline.sandbox.funding import Funding
from deribit_pipeline.sandbox.instrument_lists import CURRENCIES, KINDS
from deribit_pipeline.sandbox.listing import NEVER, Listing
from deribit_pipeline.sandbox.option_prices import delta_of
from deribit_pipeline.sandbox.plans import level_of
from deribit_pipeline.sandbox.positions import open_interest
from deribit_pipeline.sandbox.refusals import invalid, required
from deribit_pipeline.sandbox.surface import digits_of, marks_of
from deribit_pipeline.sandbox.world import Method, World

RENEWED = 2_000
"""How often summaries are renewed, in milliseconds."""

_HARDLY = 0.004
"""Options whose delta is nearer than this to 0 or to 1 have no quotes."""

Row = dict[str, Any]


class BookSummaries:
    """The summaries of every currency."""

    def __init__(self, world: World, funding: Funding) -> None:
        self._world, self._funding = world, funding
        self.rows_at = functools.lru_cache(maxsize=8)(self._rows_at)

    def methods(self) -> dict[str, Method]:
        """The methods of www."""
        return {
            "public/get_book_summary_by_currency": self._by_currency,
            "public/get_book_summary_by_instrument": self._by_instrument,
        }

    def renewed_ms(self, currency: str) -> int:
        """The instant of the newest summaries of a currency."""
        phase = seed_of(f"{currency} summaries") % RENEWED
        return (self._world.now_ms() - phase) // RENEWED * RENEWED + phase

    def _by_currency(self, params: Mapping[str, str]) -> list[Row]:
        currency, kind = required(params, "currency"), params.get("kind")
        if currency not in CURRENCIES:
            raise invalid("currency", "invalid currency")
        if kind not in (None, *KINDS):
            raise invalid("kind", "invalid kind")
        rows = self.rows_at(currency, self.renewed_ms(currency))
        return [dict(row) for listing, row in rows if kind in (None, listing.kind)]

    def _by_instrument(self, params: Mapping[str, str]) -> list[Row]:
        wanted = self._world.listing(params)
        currency = wanted.settlement_currency
        rows = self.rows_at(currency, self.renewed_ms(currency))
        return [dict(row) for listing, row in rows if listing is wanted]

    def _rows_at(self, currency: str, moment: int) -> list[tuple[Listing, Row]]:
        """Every instrument that is listed at a moment, and its row."""
        listed = [
            listing
            for listing in self._world.listings()
            if listing.settlement_currency == currency
            and listing.created_ms <= moment < listing.expires_ms
        ]
        chances = np.random.default_rng(seed_of(f"{currency} {moment}")).random(len(listed))
        futures = {each.instrument_name for each in listed if each.kind == "future"}
        priced = _priced(listed, moment, futures)
        indexes = {base: _index(base, moment) for base in {each.base_currency for each in listed}}
        rows: list[tuple[Listing, Row]] = []
        for listing, chance in zip(listed, chances.tolist(), strict=True):
            fields = priced.get(listing.instrument_name) or self._of_other(listing, moment)
            bid, ask = None, None
            half_spread = fields.pop("half_spread")
            if half_spread is not None:
                bid, ask = quotes_of(listing, fields["mark_price"], half_spread * (0.5 + chance))
            row = self._common(listing, moment, indexes[listing.base_currency]) | fields
            row |= {"bid_price": bid, "ask_price": ask, "mid_price": _middle(bid, ask)}
            rows.append((listing, row))
        return rows

    def _common(self, listing: Listing, moment: int, index: float) -> Row:
        """What the rows of all kinds have."""
        day = statistics_of(self._world.market(listing), moment)
        in_dollars = day.turnover
        if listing.kind.startswith("option") and not listing.is_linear:
            in_dollars = round(day.turnover * index, 2)
        row = {
            "instrument_name": listing.instrument_name,
            "creation_timestamp": moment,
            "base_currency": listing.base_currency,
            "quote_currency": listing.quote_currency,
            "estimated_delivery_price": index,
            "last": day.last,
            "high": day.high,
            "low": day.low,
            "price_change": day.change,
            "volume": day.volume,
            "volume_usd": in_dollars,
        }
        if not listing.is_option or listing.is_linear:
            row["volume_notional"] = in_dollars
        if listing.kind in ("future", "option"):
            row["open_interest"] = open_interest(listing, moment)
        return row

    def _of_other(self, listing: Listing, moment: int) -> Row:
        """The mark of what is no option, and the funding of perpetuals."""
        level = float(level_of(listing, np.array([moment]))[0])
        digits = digits_of(listing.base_currency)
        fields: Row = {"mark_price": round(level, digits), "half_spread": level * HALF_SPREAD}
        if listing.kind == "future" and listing.expires_ms == NEVER:
            current, of_8h = self._funding.running(listing, moment)
            fields |= {"current_funding": current, "funding_8h": of_8h}
            fields["mark_price"] = round(level * (1 + of_8h), digits)
        return fields


def _priced(listed: list[Listing], moment: int, futures: set[str]) -> dict[str, Row]:
    """The fields of options that follow from the surface."""
    found: dict[str, Row] = {}
    for base in sorted({each.base_currency for each in listed if each.is_option}):
        options = [each for each in listed if each.is_option and each.base_currency == base]
        moments = np.full(len(options), moment)
        expires = np.array([each.expires_ms for each in options])
        strikes = np.array([each.strike for each in options])
        is_call = np.array([each.is_call for each in options])
        marks = marks_of(base, options[0].is_linear, moments, expires, strikes, is_call)
        deltas = np.abs(delta_of(is_call, marks.forward, strikes, marks.years, marks.iv / 100))
        columns = (marks.price, marks.iv, marks.forward, marks.half_spread, deltas)
        for option, price, iv, forward, half_spread, delta in zip(
            options, *(column.tolist() for column in columns), strict=True
        ):
            name = option.instrument_name.rsplit("-", 2)[0]
            found[option.instrument_name] = {
                "mark_price": price,
                "mark_iv": iv,
                "underlying_price": forward,
                "underlying_index": name if name in futures else f"SYN.{name}",
                "interest_rate": 0.0,
                "half_spread": half_spread if _HARDLY < delta < 1 - _HARDLY else None,
            }
    return found


def _index(base: str, moment: int) -> float:
    return float(np.round(driver_of(base).prices(np.array([moment])), digits_of(base))[0])


def _middle(bid: float | None, ask: float | None) -> float | None:
    return None if bid is None or ask is None else round((bid + ask) / 2, 8)
