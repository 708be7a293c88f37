"""Trades by number and by time: www returns the newest, the archive host all of them, with its
known defects."""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deribit_pipeline.sandbox.combo_legs import add_combos
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.market import DAY, MINUTE, Market
from deribit_pipeline.sandbox.published_trades import Trade, published_trades
from deribit_pipeline.sandbox.refusals import Refusal, invalid, milliseconds
from deribit_pipeline.sandbox.tape import Integers
from deribit_pipeline.sandbox.world import Method, World

WWW, HISTORY = "www", "history"
MOST_TRADES = {WWW: 1_000, HISTORY: 10_000}

KEPT = DAY
"""How long www keeps trades, in milliseconds."""

LAG = 10 * MINUTE
"""How late the archive gets trades, in milliseconds: a guess, see assumption:trades-archived."""

_LEAKED = 3  # at most this many rows from either side of the requested range
_BY_NUMBER = "public/get_last_trades_by_instrument"
_BY_TIME = _BY_NUMBER + "_and_time"


@dataclass(slots=True)
class _Loss:
    """Trades that a host omits, for as many responses as `times` yields."""

    instrument_name: str
    host: str | None
    first: int
    last: int
    times: Iterator[int]


@dataclass(slots=True)
class Trades:
    """The trades of both hosts, and those that they omit."""

    world: World
    lag: int = LAG
    generation: int = 0
    """Changes when other trades are given."""
    _losses: list[_Loss] = field(default_factory=list)
    _moved: dict[str, dict[int, int]] = field(default_factory=dict)
    _given: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def omit(
        self,
        instrument_name: str,
        first: int,
        last: int,
        host: str | None = None,
        times: int | None = None,
    ) -> None:
        """Omit the trades from `first` to `last`, on one host or on both: for ever, or in the next
        `times` responses that should contain them."""
        left = itertools.count() if times is None else iter(range(times))
        self._losses.append(_Loss(instrument_name, host, first, last, left))

    def find(self) -> None:
        """Return all omitted trades again."""
        self._losses.clear()

    def move(self, instrument_name: str, number: int, traded_ms: int) -> None:
        """Return another time for the trade from now on."""
        self._moved.setdefault(instrument_name, {})[number] = traded_ms

    def give(self, instrument_name: str, trades: Sequence[dict[str, Any]]) -> None:
        """Return only these trades of an instrument from now on."""
        self.generation += 1
        self._given[instrument_name] = sorted(trades, key=lambda trade: trade["trade_seq"])

    def published(self, listing: Listing, start: int, end: int) -> list[tuple[int, Trade]]:
        """The trades that are published in [start, end), in UTC milliseconds, by their numbers,
        each with the time of its publication. Omitted ones are among them."""
        name = listing.instrument_name
        if name in self._given:
            times = itertools.accumulate((each["timestamp"] for each in self._given[name]), max)
            given = zip(times, self._given[name], strict=True)
            return [(at, trade) for at, trade in given if start <= at < end]
        market, found = self.world.market(listing), list[tuple[int, Trade]]()
        for day in range(start // DAY, -(-end // DAY)):
            times_of_day = market.publications_of_day(day)
            first, last = (int(row) for row in np.searchsorted(times_of_day, (start, end)))
            numbers = np.arange(first, last) + market.number_of(day)
            trades = self._written(listing, numbers)
            found += zip(times_of_day[first:last].tolist(), trades, strict=True)
        return found

    def next_publication(self, listing: Listing, start: int) -> int:
        """When the next trade is published from `start` on, in UTC milliseconds; or the end of the
        day if none is before."""
        day = start // DAY
        if listing.instrument_name in self._given:
            left = self.published(listing, start, (day + 1) * DAY)
            return left[0][0] if left else (day + 1) * DAY
        times = self.world.market(listing).publications_of_day(day)
        row = int(np.searchsorted(times, start))
        return int(times[row]) if row < len(times) else (day + 1) * DAY

    def methods(self, host: str) -> dict[str, Method]:
        """The methods of a host."""
        return {
            _BY_NUMBER: lambda params: self._by_number(host, params),
            _BY_TIME: lambda params: self._by_time(host, params),
        }

    def numbers(self, listing: Listing, host: str) -> range:
        """The numbers of the trades of a host, omitted ones included."""
        market, now = self.world.market(listing), self.world.now_ms()
        if host == HISTORY:
            return range(1, _number_at(market, now - self.lag))
        return range(_number_at(market, now - KEPT), _number_at(market, now))

    def _by_number(self, host: str, params: Mapping[str, str]) -> dict[str, Any]:
        listing = self._listing(host, params)
        if listing.instrument_name in self._given:
            first, last = _number(params, "start_seq", 0), _number(params, "end_seq", 2**53)
            given = self._given_of(host, params, "trade_seq", first, last)
            return _page(
                host, params, given, _is_newest_first(params) and "start_seq" not in params
            )
        returned = self.numbers(listing, host)
        first = max(_number(params, "start_seq", returned.start), returned.start)
        last = min(_number(params, "end_seq", returned.stop - 1), returned.stop - 1)
        is_newest_first = _is_newest_first(params) and "start_seq" not in params
        wanted = range(first, max(first, last + 1))
        return self._answer(host, params, listing, wanted, is_newest_first)

    def _by_time(self, host: str, params: Mapping[str, str]) -> dict[str, Any]:
        listing = self._listing(host, params)
        market, returned = self.world.market(listing), self.numbers(listing, host)
        start, end = (milliseconds(params, name) for name in ("start_timestamp", "end_timestamp"))
        if start > end:
            raise invalid("start_timestamp", "must be before end_timestamp")
        if listing.instrument_name in self._given:
            given = self._given_of(host, params, "timestamp", start, end)
            return _page(host, params, given, _is_newest_first(params))
        now = self.world.now_ms()
        first = max(_number_at(market, min(start - 1, now)), returned.start)
        last = min(_number_at(market, min(end, now)), returned.stop)
        wanted = range(first, max(first, last))
        return self._answer(host, params, listing, wanted, _is_newest_first(params))

    def _given_of(
        self, host: str, params: Mapping[str, str], name: str, first: int, last: int
    ) -> list[dict[str, Any]]:
        """The given trades of a host whose field is in [first, last]."""
        now = self.world.now_ms()
        oldest, newest = (0, now - self.lag) if host == HISTORY else (now - KEPT, now)
        return [
            trade
            for trade in self._given[params["instrument_name"]]
            if oldest <= trade["timestamp"] <= newest and first <= trade[name] <= last
        ]

    def _listing(self, host: str, params: Mapping[str, str]) -> Listing:
        named = self.world.listing if host == HISTORY else self.world.remembered
        listing = named(params)
        if listing.kind == "spot":
            raise Refusal(11060, "not_supported_for_coinbase_routed_spot")
        return listing

    def _answer(
        self,
        host: str,
        params: Mapping[str, str],
        listing: Listing,
        wanted: range,
        is_newest_first: bool,
    ) -> dict[str, Any]:
        most = _most(host, params)
        lost = self._lost(listing.instrument_name, host, wanted)
        spare = most + sum(len(numbers) for numbers in lost)
        numbers = np.array(wanted[-spare:] if is_newest_first else wanted[:spare], np.int64)
        numbers = _without(lost, numbers)
        numbers = numbers[-most:] if is_newest_first else numbers[:most]
        has_more = len(wanted) > most
        rng = random.Random(f"{host} {sorted(params.items())}")
        if host == HISTORY:
            leaky = _leaky(numbers, self.numbers(listing, host), rng)
            numbers = _without(lost, leaky)[:most]
            has_more = rng.random() < 0.5
        trades = self._written(listing, numbers)
        if is_newest_first:
            trades.reverse()
        if host == HISTORY:
            for place in range(0, len(trades) - 4, 5):
                other = place + rng.randint(0, 4)
                trades[place], trades[other] = trades[other], trades[place]
        return {"trades": trades, "has_more": has_more}

    def _written(self, listing: Listing, numbers: Integers) -> list[Trade]:
        """The trades with these numbers as both hosts and the WebSocket publish them."""
        moved = self._moved.get(listing.instrument_name, {})
        trades = published_trades(self.world.market(listing), numbers, moved)
        add_combos(self.world, listing, trades, self._written)
        return trades

    def _lost(self, instrument_name: str, host: str, wanted: range) -> list[range]:
        """Numbers, some of them requested, that this response omits."""
        lost: list[range] = []
        for loss in self._losses:
            is_here = (loss.instrument_name, loss.host or host) == (instrument_name, host)
            is_wanted = loss.first < wanted.stop and loss.last >= wanted.start
            if is_here and is_wanted and next(loss.times, None) is not None:
                lost.append(range(loss.first, loss.last + 1))
        return lost


def _page(
    host: str, params: Mapping[str, str], trades: list[dict[str, Any]], is_newest_first: bool
) -> dict[str, Any]:
    most = _most(host, params)
    page = trades[-most:][::-1] if is_newest_first else trades[:most]
    return {"trades": page, "has_more": len(trades) > most}


def _most(host: str, params: Mapping[str, str]) -> int:
    most = _number(params, "count", 10)
    if not 1 <= most <= MOST_TRADES[host]:
        raise invalid("count", f"must be between 1 and {MOST_TRADES[host]}")
    return most


def _without(lost: list[range], numbers: Integers) -> Integers:
    for those in lost:
        numbers = numbers[(numbers < those.start) | (numbers >= those.stop)]
    return numbers


def _leaky(numbers: Integers, returned: range, rng: random.Random) -> Integers:
    """The numbers, and some on either side that were not requested."""
    if not len(numbers):
        return numbers
    first, last = int(numbers[0]), int(numbers[-1])
    before = range(max(first - rng.randint(0, _LEAKED), returned.start), first)
    after = range(last + 1, min(last + 1 + rng.randint(0, _LEAKED), returned.stop))
    return np.concatenate((before, numbers, after)).astype(np.int64)


def _number_at(market: Market, moment: int) -> int:
    """The number that the next trade after this moment has."""
    moment = max(moment, market.listing.created_ms - 1)
    day = moment // DAY
    return market.number_of(day) + market.published_of_day(day, moment)


def _number(params: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(params.get(name, default))
    except ValueError:
        raise invalid(name, "wrong format") from None


def _is_newest_first(params: Mapping[str, str]) -> bool:
    return params.get("sorting", "default") != "asc"
