"""The two hosts that publish trades: the archive, which has all but the newest, and www, which
keeps the newest for about a day."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.trades import calls
from deribit_pipeline.datasets.trades.calls import BY_NUMBER
from deribit_pipeline.datasets.trades.trade_numbers import NO_TRADES
from deribit_pipeline.datasets.trades.values import unique_rows
from deribit_pipeline.datasets.trades.wire import TradesPage
from deribit_pipeline.domain.rows import Columns, count_of, joined_rows, some_of
from deribit_pipeline.domain.windows import ONE_DAY, from_moment64, from_ms, moment64
from deribit_pipeline.errors import DeribitBadPayload, UnknownInstrument
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.methods import ParsedResponse
from deribit_pipeline.exchange.repeats import until_valid
from deribit_pipeline.exchange.session import Exchange

MOST_TRADES, MOST_TRADES_OF_ARCHIVE = 1_000, 10_000
"""Maximum number of trades in a response of each host: assumption:trades-most and
assumption:trades-most-archive."""

LEAKS = 100
"""How many rows of a response may be outside the requested numbers: the trade before them, and
leaked ones (assumption:trades-leaks). They count towards the maximum of a response."""

KEPT = timedelta(hours=23)
"""How long www is trusted to keep trades: about a day (assumption:trades-kept)."""

RECHECKS = 3
"""How often missing trades are requested again."""

HINTS = 50
"""How many trades around a point in time are requested; one would do."""


# After this many responses that each bring newer trades from before a given time, reading stops.
_MOST_NEWER = 100

# An instrument that trades every minute: its newest trade shows how far the archive reaches.
_BUSIEST = "BTC-PERPETUAL"

_NEVER = from_ms(0)

_TradesRequest = Callable[[DeribitClient], Awaitable[ParsedResponse[TradesPage]]]


@dataclass(frozen=True, slots=True)
class Host:
    """A host, and the maximum number of trades in its responses."""

    client: DeribitClient
    most: int


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest trade: its number (None if there is none), and the exchange's time of the
    response. No more trades from before `known_until` can appear. `rows` are this trade and some
    before it."""

    number: int | None
    known_until: datetime
    as_of: datetime
    rows: Columns


class TradeHosts:
    """The trades of one instrument on both hosts. Methods raise DeribitError.

    `hosts` are the available hosts, the one with the larger responses first; `per_chunk` is the
    best number of trades per request; `has_archive` states whether trades older than a day are
    available.
    """

    def __init__(self, exchange: Exchange, instrument_name: str) -> None:
        self._name = instrument_name
        self._www = Host(exchange.client, MOST_TRADES)
        archive = exchange.history
        self._archive = Host(archive, MOST_TRADES_OF_ARCHIVE) if archive else None
        self.hosts = [host for host in (self._archive, self._www) if host]
        self.per_chunk = self.hosts[0].most - LEAKS
        self.has_archive = self._archive is not None
        self._is_known = False
        self._unknown: UnknownInstrument | None = None

    @property
    def now(self) -> datetime:
        """The exchange's time in the newest response of either host."""
        return max(
            host.client.rpc.as_of for host in self.hosts if host.client.rpc.as_of is not None
        )

    async def newest(self) -> Newest:
        """The newest trade. That there is none must be confirmed by both hosts in repeated
        responses, and one of them must know the instrument."""
        found = Newest(None, _NEVER, _NEVER, NO_TRADES)
        malformed: list[str] = []
        for _ in range(RECHECKS):
            for host in self.hosts:
                returned = await self._requested(
                    host, lambda client: calls.get_newest_trades(client, self._name, HINTS)
                )
                found = _newer(found, returned)
                malformed += [trade.reason for trade in returned.value.malformed]
            if found.number is not None:
                break
        if self._unknown is not None:
            raise self._unknown
        if found.number is None and malformed:
            raise self.unproved(f"the newest trade cannot be read: {malformed[0]}")
        return found

    async def last(self, newest: Newest, until: datetime) -> Newest:
        """The last trade: neither host returns one with a higher number, or it was traded at or
        after `until`."""
        for _ in range(_MOST_NEWER):
            if newest.known_until >= until:
                return newest
            former = newest.number
            for host in self.hosts:
                next_number = (newest.number or 0) + 1
                beyond = range(next_number, next_number + host.most - LEAKS)
                newest = _newer(newest, await self.numbered(host, beyond))
            if newest.number == former:
                return newest
        raise self.unproved(
            f"{_MOST_NEWER} responses in a row each had newer trades of before {until}, "
            f"up to the number {newest.number}"
        )

    async def beyond(self, newest: Newest) -> Newest:
        """The newest trade, if all up to the number of `newest` are known: only higher numbers are
        requested, from www alone if it still keeps all of these."""
        is_kept = newest.known_until > self.now - KEPT
        hosts = [self._www] if is_kept else self.hosts
        for _ in range(_MOST_NEWER):
            former = newest.number or 0
            for host in hosts:
                first = (newest.number or 0) + 1
                returned = await self.numbered(host, range(first, first + host.most - LEAKS))
                if count_of(returned.value.rows) >= host.most - LEAKS:
                    return await self.newest()
                newest = _newer(newest, returned)
            if newest.number == former:
                return newest
        return await self.newest()

    async def last_before(
        self, moment: datetime, since: datetime, now: datetime, count: int = HINTS
    ) -> Columns:
        """About the last `count` trades between `since` and `moment`, sorted by number; empty if
        none are returned.

        Only a hint: an error is detected when the trades with the surrounding numbers are fetched.
        """
        return await self._hints(
            lambda client: calls.get_trades_before(client, self._name, since, moment, count),
            lambda times: times < moment64(moment),
            is_new=moment > now - ONE_DAY,
        )

    async def first_from(
        self,
        moment: datetime,
        now: datetime,
        until: datetime | None = None,
        count: int = HINTS,
    ) -> Columns:
        """About the first `count` trades from `moment` on and before `until`, sorted by number;
        empty if none are returned."""
        end = until or max(now, moment) + ONE_DAY
        return await self._hints(
            lambda client: calls.get_trades_from(client, self._name, moment, end, count),
            lambda times: times >= moment64(moment),
            is_new=moment > now - ONE_DAY,
        )

    async def has(self, number: int, count: int = HINTS + 1) -> bool:
        """Whether a request by number, of `count` trades up to it, returns the trade from either
        host."""
        requested = range(max(number - count + 1, 1), number + 1)
        for host in self.hosts:
            returned = await self.numbered(host, requested)
            if number in returned.value.rows["trade_seq"]:
                return True
        return False

    async def knows_all(self, start: datetime, end: datetime) -> bool:
        """Whether trades in [start, end) that neither host returns do not exist: www keeps a day,
        and the archive is complete up to a known time (assumption:trades-archived)."""
        kept_since = self.now - KEPT
        if start >= kept_since:
            return True
        if self._archive is None:
            return False
        returned = await until_valid(lambda: self._archived(_BUSIEST))
        return bool(np.any(returned.value.rows["traded_at"] >= moment64(min(end, kept_since))))

    def unproved(self, reason: str) -> DeribitBadPayload:
        """The error for responses that prove nothing about the instrument."""
        return DeribitBadPayload(reason, method=BY_NUMBER, params={"instrument_name": self._name})

    async def _archived(self, instrument_name: str) -> ParsedResponse[TradesPage]:
        assert self._archive
        return await calls.get_newest_trades(self._archive.client, instrument_name, HINTS)

    async def _hints(
        self, request: _TradesRequest, fits: Callable[[NDArray[Any]], NDArray[Any]], *, is_new: bool
    ) -> Columns:
        rows = NO_TRADES
        for recheck in range(RECHECKS):
            for host in self.hosts if is_new or recheck else self.hosts[:1]:
                returned = (await self._requested(host, request)).value.rows
                rows = joined_rows([rows, some_of(returned, fits(returned["traded_at"]))])
            if count_of(rows):
                break
        return unique_rows(rows)

    async def numbered(self, host: Host, requested: range) -> ParsedResponse[TradesPage]:
        """A host's trades with these numbers, and leaked ones."""
        return await self._requested(
            host,
            lambda client: calls.get_trades(
                client,
                self._name,
                requested.start,
                requested.stop - 1,
                min(len(requested) + LEAKS, host.most),
            ),
        )

    async def _requested(self, host: Host, request: _TradesRequest) -> ParsedResponse[TradesPage]:
        """A host's response; empty if it does not know the instrument, or no longer does."""
        try:
            returned = await until_valid(lambda: request(host.client))
        except UnknownInstrument as error:
            if not self._is_known:
                self._unknown = error
            return ParsedResponse(TradesPage(NO_TRADES), self.now)
        self._is_known, self._unknown = True, None
        return returned


def _newer(newest: Newest, returned: ParsedResponse[TradesPage]) -> Newest:
    """The newest trade, including those of a response. A malformed one counts by its number
    only."""
    rows, former = returned.value.rows, newest.number or 0
    number = int(rows["trade_seq"][-1]) if count_of(rows) else 0
    if number > former:
        traded_at = from_moment64(rows["traded_at"].max())
        newest = Newest(number, traded_at, returned.as_of, rows)
    malformed = [trade.number for trade in returned.value.malformed if trade.number is not None]
    highest = max([*malformed, newest.number or 0])
    return replace(newest, number=highest or None, as_of=returned.as_of)
