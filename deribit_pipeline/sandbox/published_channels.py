"""The channels of the WebSocket: their names, and the notifications that are due."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol

import orjson

from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.instrument_lists import CURRENCIES, KINDS
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.refusals import Refusal

INTERVALS = {"raw": 1, "100ms": 100, "agg2": 1_000}
"""Milliseconds that one notification covers, by the name of the interval."""

ANY = "any"


class Channel(Protocol):
    """What sockets subscribe to."""

    def due(self, now_ms: int) -> list[bytes]:
        """The notifications that are due at this time and were not returned before."""
        ...


def channel_of(name: str, exchange: SandboxExchange) -> Channel | None:
    """The channel of this name, which publishes from now on; None if there is none."""
    match name.split("."):
        case ["trades", instrument_name, interval] if interval in INTERVALS:
            return _trades_of_instrument(name, instrument_name, INTERVALS[interval], exchange)
        case ["trades", kind, currency, interval] if interval in INTERVALS:
            chosen = _chosen(kind, currency)
            return TradeChannel(name, INTERVALS[interval], chosen, exchange) if chosen else None
        case ["instrument", "state", kind, currency]:
            chosen = _chosen(kind, currency)
            return StateChannel(name, chosen, exchange) if chosen else None
    return None


def is_raw(name: str) -> bool:
    """Whether a channel is for sockets that are logged in."""
    return name.endswith(".raw")


Chosen = Callable[[Listing], bool]


def _chosen(kind: str, currency: str) -> Chosen | None:
    """Whether a channel of this kind and settlement currency is about an instrument."""
    if kind not in (*KINDS, ANY) or currency not in (*CURRENCIES, ANY):
        return None
    return lambda listing: (
        kind in (ANY, listing.kind) and currency in (ANY, listing.settlement_currency)
    )


def _trades_of_instrument(
    name: str, instrument_name: str, interval: int, exchange: SandboxExchange
) -> "TradeChannel | None":
    try:
        listing = exchange.listing({"instrument_name": instrument_name})
    except Refusal:
        return None
    if listing.expires_ms <= exchange.now_ms():
        return None
    return TradeChannel(name, interval, lambda each: each is listing, exchange)


@dataclass(order=True, slots=True)
class _Instrument:
    """An instrument of a channel: when its next trade is published, and until when all are."""

    due_ms: int
    instrument_name: str
    listing: Listing
    until_ms: int


class TradeChannel:
    """Trades, those of one interval in one notification.

    They are the trades that REST returns, in the order of their numbers for each instrument, from
    the interval of the subscription on.
    """

    def __init__(self, name: str, interval: int, chosen: Chosen, exchange: SandboxExchange) -> None:
        self._name, self._interval, self._chosen = name, interval, chosen
        self._exchange, self._trades = exchange, exchange.trades
        self._until_ms = self._listed_until_ms = self._end_of_last(exchange.now_ms())
        self._generation = self._trades.generation
        self._instruments = [
            self._instrument(listing, self._until_ms)
            for listing in exchange.listings()
            if listing.expires_ms > self._until_ms and self._has(listing)
        ]
        heapq.heapify(self._instruments)

    def due(self, now_ms: int) -> list[bytes]:
        end = self._end_of_last(now_ms)
        if end <= self._until_ms:
            return []
        self._take_in_listings(end)
        found: list[tuple[int, str, dict[str, Any]]] = []
        while self._instruments and self._instruments[0].due_ms < end:
            first = self._instruments[0]
            published = self._trades.published(first.listing, first.until_ms, end)
            found += [(at, first.instrument_name, trade) for at, trade in published]
            if first.listing.expires_ms <= end:
                heapq.heappop(self._instruments)
            else:
                heapq.heapreplace(self._instruments, self._instrument(first.listing, end))
        self._until_ms = end
        found.sort(key=itemgetter(0, 1))
        return [
            _notification(self._name, [trade for _, _, trade in trades])
            for _, trades in groupby(found, lambda row: row[0] // self._interval)
        ]

    def _end_of_last(self, now_ms: int) -> int:
        """The end of the last interval that is over."""
        return now_ms // self._interval * self._interval

    def _has(self, listing: Listing) -> bool:
        # Spot pairs are routed to another venue, and have no public trades here.
        return listing.kind != "spot" and self._chosen(listing)

    def _instrument(self, listing: Listing, until_ms: int) -> _Instrument:
        due_ms = self._trades.next_publication(listing, until_ms)
        return _Instrument(due_ms, listing.instrument_name, listing, until_ms)

    def _take_in_listings(self, end: int) -> None:
        for listing in self._exchange.listed_between(self._listed_until_ms, end):
            if self._has(listing):
                heapq.heappush(self._instruments, self._instrument(listing, self._until_ms))
        self._listed_until_ms = max(self._listed_until_ms, end)
        if self._generation != self._trades.generation:
            self._generation = self._trades.generation
            self._instruments = [
                self._instrument(each.listing, each.until_ms) for each in self._instruments
            ]
            heapq.heapify(self._instruments)


class StateChannel:
    """States of instruments, one notification each: `created` and `started` when one is listed,
    `closed` and `terminated` when it expires."""

    def __init__(self, name: str, chosen: Chosen, exchange: SandboxExchange) -> None:
        self._name, self._chosen, self._exchange = name, chosen, exchange
        self._until_ms = exchange.now_ms()

    def due(self, now_ms: int) -> list[bytes]:
        changes = sorted(self._changes(self._until_ms, now_ms), key=itemgetter(0))
        self._until_ms = max(self._until_ms, now_ms)
        return [
            _notification(
                self._name, {"timestamp": at, "state": state, "instrument_name": instrument_name}
            )
            for at, state, instrument_name in changes
        ]

    def _changes(self, after: int, until: int) -> Iterator[tuple[int, str, str]]:
        for listing in filter(self._chosen, self._exchange.listed_between(after, until)):
            for state in ("created", "started"):
                yield listing.created_ms, state, listing.instrument_name
        for listing in filter(self._chosen, self._exchange.expired_between(after, until)):
            for state in ("closed", "terminated"):
                yield listing.expires_ms, state, listing.instrument_name


def _notification(channel: str, data: object) -> bytes:
    params = {"channel": channel, "data": data}
    return orjson.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params})
