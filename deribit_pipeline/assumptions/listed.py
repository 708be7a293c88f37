"""Assumptions about listings and fields: instruments, currencies, fields that no parser reads."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from deribit_pipeline.assumptions.assumption import (
    Assumption,
    Comparison,
    Known,
    NotTested,
    Responses,
    compared,
)
from deribit_pipeline.datasets.candles import wire as parse
from deribit_pipeline.datasets.funding_rates import wire as funding
from deribit_pipeline.datasets.settlements import wire as settlements
from deribit_pipeline.datasets.trades.wire import FIELDS
from deribit_pipeline.domain.specification import CURRENCIES
from deribit_pipeline.exchange.shapes import NEVER, array, mapping, text
from deribit_pipeline.instruments.wire import listed, specification

NOT_KEPT = {
    "instruments": {
        "base_currency_uuid", "block_trade_commission", "block_trade_min_trade_amount",
        "block_trade_tick_size", "future_type", "index_id", "is_active", "lot_size",
        "max_liquidation_commission", "max_non_default_leverage", "product_group",
        "quote_currency_uuid", "state", "underlying_type",
    },
    "trades": {
        "block_rfq_id", "block_trade_leg_count", "combo_trade_id", "starbase_match_id",
        "starbase_timestamp",
    },
}  # fmt: skip
"""Known fields that no table has a column for."""


class _Noting(Mapping[str, Any]):
    """A JSON object that records which of its fields are read."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


def _fields(responses: Responses) -> Comparison:
    new = sorted({f"{name}.{field}" for name, field in _unread(responses)})
    return compared("no field that is not known", ", ".join(new) or "no other field", holds=not new)


def _unread(responses: Responses) -> Iterator[tuple[str, str]]:
    """Fields that no parser reads and that are not known, with the name of their request."""
    is_tested = False
    for name, rows_of, read in _READ:
        try:
            rows = responses.read(name, rows_of)
        except NotTested:
            continue
        is_tested = True
        for row in map(mapping, rows):
            for field in set(row) - read(row) - NOT_KEPT.get(name, set()):
                yield name, field
    if not is_tested:
        raise NotTested("there is no response")


def _noted(parser: Callable[[object], object], row: Mapping[str, Any]) -> set[str]:
    """The fields that a parser reads from a row; all of them if the row cannot be parsed, which
    another assumption reports."""
    noting = _Noting(row)
    try:
        parser(noting)
    except ValueError:
        return set(noting)
    return noting.read


def _among(name: str, result: object) -> list[Any]:
    return array(mapping(result).get(name))


def _settlement(row: object) -> object:
    return settlements.settlements({"settlements": [row]})


def _hour(row: object) -> object:
    return funding.rates([row])


_READ: tuple[
    tuple[str, Callable[[object], list[Any]], Callable[[Mapping[str, Any]], set[str]]], ...
] = (
    ("instruments", array, partial(_noted, specification)),
    ("trades", partial(_among, "trades"), lambda row: set(FIELDS)),
    ("funding-day", array, partial(_noted, _hour)),
    ("settlements", partial(_among, "settlements"), partial(_noted, _settlement)),
    ("day", lambda result: [result], lambda row: {"status", "ticks", *parse.CHART_ARRAYS}),
)
"""For each request: its rows, and which fields of a row are read."""


def _instruments(responses: Responses) -> Comparison:
    listing = responses.read("instruments", listed)
    count = len(listing.malformed) + len(listing.specifications)
    found = f"{len(listing.malformed)} of {count} cannot be read"
    found += f", such as {listing.malformed[0]}" if listing.malformed else ""
    return compared("every instrument can be read", found, holds=not listing.malformed)


def _any(responses: Responses) -> Comparison:
    assumed = "instruments that settle in several currencies"
    response = responses.of("instruments")
    if response.code is not None:
        return compared(assumed, f"a refusal: {response.message}", holds=False)
    listing = responses.read("instruments", listed).specifications
    settled_in = sorted({one.settlement_currency for one in listing if one.settlement_currency})
    found = f"{len(listing):,} instruments, which settle in {', '.join(settled_in) or 'nothing'}"
    return compared(assumed, found, holds=len(settled_in) > 1)


def _expiry(responses: Responses) -> Comparison:
    entries = [mapping(entry) for entry in responses.read("instruments", array)]
    expiries = {
        entry.get("instrument_name"): entry.get("expiration_timestamp")
        for entry in entries
        if entry.get("settlement_period") == "perpetual" and entry.get("kind") == "future"
    }
    if not expiries:
        raise NotTested("no perpetual is listed")
    malformed = {
        name: value
        for name, value in expiries.items()
        if not isinstance(value, int | float) or value < NEVER
    }
    found = f"{len(malformed)} of {len(expiries)} perpetuals expire before"
    found += "".join(f", such as {name}: {malformed[name]}" for name in list(malformed)[:1])
    return compared("every perpetual expires in the year 3000", found, holds=not malformed)


def _currencies(responses: Responses) -> Comparison:
    listing = responses.read("instruments", listed).specifications
    settled_in = {one.settlement_currency for one in listing if one.settlement_currency}
    others = sorted(settled_in - set(CURRENCIES))
    return compared(
        f"instruments settle in {', '.join(CURRENCIES)}",
        f"some settle in {', '.join(others)}" if others else "in no others",
        holds=not others,
    )


def _currencies_listed(responses: Responses) -> Comparison:
    entries = [mapping(entry) for entry in responses.read("currencies", array)]
    names = {text("currency", entry.get("currency")) for entry in entries}
    absent, others = set(CURRENCIES) - names, names - set(CURRENCIES)
    return compared(
        f"{', '.join(CURRENCIES)} and perhaps others",
        f"absent: {', '.join(sorted(absent)) or 'none'}; "
        f"others: {', '.join(sorted(others)) or 'none'}",
        holds=not absent,
    )


LISTINGS = (
    Assumption(
        "instruments-readable",
        "Every instrument of `public/get_instruments` has a name, a kind that is known, a base "
        "currency, times and amounts.",
        Known.DOCUMENTED,
        "also read off recorded lists of futures and options",
        "Such instruments are left out of the table `instruments`, with a warning that names them.",
        _instruments,
    ),
    Assumption(
        "instruments-any",
        "`public/get_instruments` lists the instruments of all currencies where the currency is "
        "`any`.",
        Known.DOCUMENTED,
        "",
        "Currencies that the code does not know are not found by their futures.",
        _any,
    ),
    Assumption(
        "instruments-expiry",
        "A perpetual expires in the year 3000.",
        Known.RECORDED,
        "a recorded list of futures",
        "`expires_at` of perpetuals is a date, and days after it are `not_listed`.",
        _expiry,
    ),
    Assumption(
        "currencies-settled",
        f"Instruments settle in {', '.join(CURRENCIES)} and in nothing else.",
        Known.DOCUMENTED,
        "",
        "Nothing is lost: the currencies of `public/get_currencies` and of the futures of all "
        "currencies are listed too. Selectors know the others once the lists are refreshed.",
        _currencies,
    ),
    Assumption(
        "currencies-listed",
        f"`public/get_currencies` lists {', '.join(CURRENCIES)}.",
        Known.DOCUMENTED,
        "",
        "The lists of these currencies may be refused: report it to the maintainers.",
        _currencies_listed,
    ),
    Assumption(
        "instruments-archived",
        "The archive host lists every instrument that has expired; the main host lists those of "
        "the last days.",
        Known.SEEN,
        "",
        "The table `instruments` has gaps among what expired, and so has what selectors with "
        "`expired` find.",
        untested="it needs the lists of all instruments that ever expired, and another source to "
        "count them",
        is_of_mainnet=True,
    ),
    Assumption(
        "spot-lists",
        "A spot pair is in the list of one of its two currencies.",
        Known.OPEN,
        "in which of them, nothing shows",
        "Nothing: a selector that may mean spot pairs reads the lists of all currencies.",
        untested="it needs the lists of all currencies, five megabytes in all",
    ),
    Assumption(
        "fields-known",
        "Instruments, trades, funding, settlements and candles have no fields but those that are "
        "known.",
        Known.RECORDED,
        "one recorded response of each method",
        "Nothing is stored wrong; the new fields are not kept. Report it to the maintainers.",
        _fields,
    ),
)
