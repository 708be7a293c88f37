"""Both hosts that tell trades, asked as one: the archive, which has them all but the newest, and
www, which keeps the newest for about a day."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from deribit_pipeline.deribit.client import DeribitClient
from deribit_pipeline.deribit.methods import Told
from deribit_pipeline.domain import ONE_DAY, from_moment64, from_ms, moment64
from deribit_pipeline.errors import DeribitBadPayload, UnknownInstrument
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.operations.sources.asking import insisted
from deribit_pipeline.planning.rows import Columns, count_of, some_of
from deribit_pipeline.planning.trades import NO_TRADES, Chunk, second_looks, within

MOST_TRADES, MOST_TRADES_OF_ARCHIVE = 1_000, 10_000
"""How many trades a response of each host holds at most: assumption:trades-most and
assumption:trades-most-archive."""

LEAKS = 100
"""How many rows of an answer may lie beside the numbers that were asked for: they count among the
most that an answer holds (assumption:trades-leaks)."""

KEPT = timedelta(hours=23)
"""How long www is trusted to keep trades: about a day (assumption:trades-kept)."""

_HINTS = 50  # rows of an answer of which one would do
_LOOKS = 3  # how often what lacks is asked for again

# An instrument that is traded every minute: how far the archive has got, its newest trade shows.
_BUSIEST = "BTC-PERPETUAL"

_NEVER = from_ms(0)

_Ask = Callable[[DeribitClient], Awaitable[Told[Columns]]]


@dataclass(frozen=True, slots=True)
class _Host:
    client: DeribitClient
    most: int


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest trade told: its number, None where there is none, and the exchange's clock then.
    No more trades can come of before `known_until`, as far as it shows."""

    number: int | None
    known_until: datetime
    as_of: datetime


class TradeHosts:
    """The trades of one instrument, as both hosts tell them. Methods raise DeribitError.

    `per_chunk` is how many numbers are best asked for at once; `has_archive` tells whether trades
    are told that are older than a day.
    """

    def __init__(self, exchange: Exchange, instrument_name: str) -> None:
        self._name = instrument_name
        self._www = _Host(exchange.client, MOST_TRADES)
        archive = exchange.history
        self._archive = _Host(archive, MOST_TRADES_OF_ARCHIVE) if archive else None
        self._hosts = [host for host in (self._archive, self._www) if host]
        self.per_chunk = self._hosts[0].most - LEAKS
        self.has_archive = self._archive is not None
        self._is_known = False
        self._unknown: UnknownInstrument | None = None

    @property
    def now(self) -> datetime:
        """The exchange's clock in the newest answer of either host."""
        return max(
            host.client.rpc.as_of for host in self._hosts if host.client.rpc.as_of is not None
        )

    async def newest(self) -> Newest:
        """The newest trade; that there is none at all, both hosts must say again and again, and
        one of them must know the instrument."""
        found = Newest(None, _NEVER, _NEVER)
        for _ in range(_LOOKS):
            for host in self._hosts:
                told = await self._asked(
                    host, lambda client: client.get_newest_trades(self._name, _HINTS)
                )
                found = _newer(found, told)
            if found.number is not None:
                break
        if self._unknown is not None:
            raise self._unknown
        return found

    async def last(self, newest: Newest, until: datetime) -> Newest:
        """The trade after which neither host tells any with a higher number, or one that was not
        traded before `until`."""
        while newest.known_until < until:
            former = newest.number
            for host in self._hosts:
                next_number = (newest.number or 0) + 1
                beyond = range(next_number, next_number + host.most - LEAKS)
                newest = _newer(newest, await self._numbered(host, beyond))
            if newest.number == former:
                break
        return newest

    async def last_before(self, moment: datetime, since: datetime, now: datetime) -> int | None:
        """The number of about the last trade between `since` and `moment`; None where none is told.

        A hint: right or wrong, it shows itself when the trades with the numbers around are there.
        """
        numbers = await self._hints(
            lambda client: client.get_trades_before(self._name, since, moment, _HINTS),
            lambda times: times < moment64(moment),
            is_new=moment > now - ONE_DAY,
        )
        return max(numbers, default=None)

    async def first_from(self, moment: datetime, now: datetime) -> int | None:
        """The number of about the first trade from `moment` on; None where none is told."""
        until = max(now, moment) + ONE_DAY
        numbers = await self._hints(
            lambda client: client.get_trades_from(self._name, moment, until, _HINTS),
            lambda times: times >= moment64(moment),
            is_new=moment > now - ONE_DAY,
        )
        return min(numbers, default=None)

    async def chunk(self, wanted: range) -> Chunk:
        """The trades with these numbers. What one host lacks the other is asked for, and what both
        lack again, in other pieces, until nothing new comes."""
        try:
            told = await self._numbered(self._hosts[0], wanted)
            chunk = Chunk(wanted, within(told.said, wanted), told.as_of)
            for look in range(_LOOKS):
                lacking = len(chunk.missing)
                if not lacking:
                    break
                for host in reversed(self._hosts):
                    for piece in second_looks(chunk.missing, host.most - LEAKS, 7 * look):
                        told = await self._numbered(host, piece)
                        chunk = chunk.with_found(told.said, told.as_of)
                if look and len(chunk.missing) == lacking:
                    break
            return chunk
        except DeribitBadPayload as error:
            return Chunk(wanted, NO_TRADES, self.now, error)

    async def knows_all(self, start: datetime, end: datetime) -> bool:
        """Whether what neither host tells of [start, end) does not exist: www keeps a day, and the
        archive has what it got by now (assumption:trades-archived)."""
        kept_since = self.now - KEPT
        if start >= kept_since:
            return True
        if self._archive is None:
            return False
        told = await insisted(lambda: self._archived(_BUSIEST))
        return bool(np.any(told.said["traded_at"] >= moment64(min(end, kept_since))))

    async def _archived(self, instrument_name: str) -> Told[Columns]:
        assert self._archive
        return await self._archive.client.get_newest_trades(instrument_name, _HINTS)

    async def _hints(
        self, ask: _Ask, fits: Callable[[np.ndarray], np.ndarray], *, is_new: bool
    ) -> list[int]:
        for look in range(_LOOKS):
            numbers: list[int] = []
            for host in self._hosts if is_new or look else self._hosts[:1]:
                rows = (await self._asked(host, ask)).said
                numbers += some_of(rows, fits(rows["traded_at"]))["trade_seq"].tolist()
            if numbers:
                break
        return numbers

    async def _numbered(self, host: _Host, wanted: range) -> Told[Columns]:
        return await self._asked(
            host,
            lambda client: client.get_trades(
                self._name, wanted.start, wanted.stop - 1, min(len(wanted) + LEAKS, host.most)
            ),
        )

    async def _asked(self, host: _Host, ask: _Ask) -> Told[Columns]:
        """What a host tells; nothing where it does not know the instrument, or not any more."""
        try:
            told = await insisted(lambda: ask(host.client))
        except UnknownInstrument as error:
            if not self._is_known:
                self._unknown = error
            return Told(NO_TRADES, self.now)
        self._is_known, self._unknown = True, None
        return told


def _newer(newest: Newest, told: Told[Columns]) -> Newest:
    """The newest trade, of those told too."""
    number = int(told.said["trade_seq"][-1]) if count_of(told.said) else 0
    if number <= (newest.number or 0):
        return replace(newest, as_of=told.as_of)
    traded_at = from_moment64(told.said["traded_at"].max())
    return Newest(number, traded_at, told.as_of)
