"""Trades by their numbers from both hosts, requested again if a response cannot be right."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.trades.held import HeldTrades
from deribit_pipeline.datasets.trades.hosts import KEPT, LEAKS, RECHECKS, Host, TradeHosts
from deribit_pipeline.datasets.trades.trade_numbers import (
    NO_TRADES,
    Chunk,
    Numbers,
    Refused,
    chunks,
    holes_of,
    rechecks_of,
    within,
)
from deribit_pipeline.datasets.trades.values import (
    are_in_order,
    differing,
    impossible,
    shared_rows,
    unique_rows,
)
from deribit_pipeline.datasets.trades.wire import MalformedTrade, TradesPage
from deribit_pipeline.domain.rows import Columns, count_of, joined_rows, some_of
from deribit_pipeline.domain.windows import moment64
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.methods import ParsedResponse

_RESPONSES = 4  # maximum number of responses in which to find two that agree on each trade

# By how many numbers the boundaries of each further request are shifted.
_SHIFT = 17

# After this many chunks with decreasing times that a second response confirms, they are accepted as
# a property of the exchange's data.
_ENOUGH = 6

# A chunk of which every fifth trade is missing is requested whole: each hole takes a request of its
# own.
_MOST_HOLES = 2_000

NOT_SHARED = "no two responses agree on it"
"""Why a trade that was in several responses is not proved."""


class TradeChunks:
    """The trades of one instrument by their numbers. Methods raise DeribitError.

    `per_chunk` is the number of trades per chunk. With `each_twice`, two responses to different
    requests must agree on every trade. Trades that are `held` are not requested, unless a chunk
    must be confirmed; then a held trade is the first of the responses. `superseded` are the values
    of recorded trades that differ from those on which two responses agree.
    """

    def __init__(
        self,
        hosts: TradeHosts,
        *,
        is_combo: bool,
        each_twice: bool = False,
        held: HeldTrades | None = None,
    ) -> None:
        self._hosts, self._is_combo, self._each_twice = hosts, is_combo, each_twice
        self._held = held
        self.superseded: list[Columns] = []
        # Small enough that one further request contains them all, and some on either side.
        self.per_chunk = hosts.per_chunk - (2 * _SHIFT if each_twice else 0)
        self._ordered = self._unordered = 0

    async def chunk(self, requested: range) -> Chunk:
        """The trades with these numbers. Numbers missing from one host are requested from the
        other, and those missing from both again, in other ranges, until nothing new is returned. If
        trades are impossible or times decrease, all are requested again."""
        try:
            chunk, malformed = await self._first_response(requested)
            for recheck in range(RECHECKS):
                missing = len(chunk.missing)
                if not missing:
                    break
                for host in self._hosts_for(chunk):
                    async for returned in self._rechecks(host, chunk, 7 * recheck):
                        malformed += returned.value.malformed
                        chunk = chunk.with_found(returned.value.rows, returned.as_of)
                if recheck and len(chunk.missing) == missing:
                    break
            chunk = replace(chunk, refused=tuple(_refused(chunk, malformed)))
            if self._each_twice or impossible(chunk.rows, is_combo=self._is_combo).any():
                return await self.confirmed(chunk)
            return await self._in_order(chunk)
        except DeribitBadPayload as error:
            return Chunk(requested, NO_TRADES, self._hosts.now, error)

    async def _first_response(self, requested: range) -> tuple[Chunk, list[MalformedTrade]]:
        """The held trades with these numbers, or the first response if there are none; and its
        malformed trades."""
        former = range(max(requested.start - 1, 1), requested.start)
        held, now = await self._held_rows(former.start, requested.stop), self._hosts.now
        chunk = Chunk(requested, within(held, requested), now, before=within(held, former))
        if count_of(chunk.rows) and len(holes_of(chunk.missing)) <= _MOST_HOLES:
            return replace(chunk, is_held=True), []
        start = requested.start if count_of(chunk.before) else former.start
        returned = await self._hosts.numbered(self._hosts.hosts[0], range(start, requested.stop))
        rows, malformed = returned.value.rows, list(returned.value.malformed)
        before = chunk.before if count_of(chunk.before) else within(rows, former)
        return Chunk(requested, within(rows, requested), returned.as_of, before=before), malformed

    async def _held_rows(self, first: int, stop: int) -> Columns:
        if self._held is None or not self._held.count(range(first, stop)):
            return NO_TRADES
        return await asyncio.to_thread(self._held.rows, range(first, stop))

    def _hosts_for(self, chunk: Chunk) -> list[Host]:
        """The hosts for the missing trades of a chunk: www first, unless the held ones among which
        they are missing are older than what it keeps."""
        kept_since = moment64(self._hosts.now - KEPT)
        is_old = chunk.is_held and not np.any(chunk.rows["traded_at"] > kept_since)
        return self._hosts.hosts if is_old else self._hosts.hosts[::-1]

    async def confirmed(self, chunk: Chunk) -> Chunk:
        """The chunk as confirmed by two responses; trades on which no two agree are refused."""
        if chunk.is_confirmed or chunk.error is not None or not count_of(chunk.rows):
            return chunk
        try:
            rows, left = await self.agreed(
                chunk.rows,
                chunk.rows["trade_seq"],
                lambda rows: np.isin(rows["trade_seq"], chunk.rows["trade_seq"]),
            )
        except DeribitBadPayload as error:
            return replace(chunk, rows=NO_TRADES, error=error)
        refused = (Refused(left, NOT_SHARED),) if len(left) else ()
        return replace(chunk, rows=rows, refused=chunk.refused + refused, is_confirmed=True)

    async def agreed(
        self,
        first: Columns,
        numbers: Numbers,
        is_of_interest: Callable[[Columns], NDArray[np.bool_]],
    ) -> tuple[Columns, Numbers]:
        """Trades with these numbers on which two responses agree, and the numbers of those on which
        none do. `first` is the first response; further responses are filtered to the trades of
        interest. Each further request has other boundaries."""
        responses = [first]
        shared, left = first, numbers
        for response in range(1, _RESPONSES + 1):
            rows = await self._again(numbers, _SHIFT * response)
            responses.append(some_of(rows, is_of_interest(rows)))
            shared, left = shared_rows(responses)
            if not len(left):
                break
        self._note_superseded(first, shared)
        return shared, left

    def _note_superseded(self, first: Columns, shared: Columns) -> None:
        """Keep the values of recorded trades that differ from those on which two responses
        agree."""
        if self._held is None:
            return
        recorded = some_of(first, np.isin(first["trade_seq"], self._held.recorded.numbers))
        other = differing(recorded, shared)
        if count_of(other):
            self.superseded.append(other)

    async def _in_order(self, chunk: Chunk) -> Chunk:
        """The chunk, confirmed by a second response if its times decrease. If most chunks are like
        that and confirmed, no further requests are made for it."""
        is_in_order = are_in_order(chunk.rows["trade_seq"], chunk.rows["traded_at"])
        is_usual = self._unordered >= _ENOUGH and self._unordered > self._ordered
        if not is_in_order and not is_usual:
            chunk = await self.confirmed(chunk)
            is_in_order = are_in_order(chunk.rows["trade_seq"], chunk.rows["traded_at"])
        self._ordered += is_in_order
        self._unordered += not is_in_order
        return chunk

    async def _rechecks(
        self, host: Host, chunk: Chunk, shift: int
    ) -> AsyncIterator[ParsedResponse[TradesPage]]:
        """A host's responses for the numbers missing from a chunk. If all are missing, one request
        first tests whether the host has any: an archive that ends early would cost hundreds of
        requests."""
        if len(chunk.missing) == len(chunk.requested) > host.most - LEAKS - shift:
            start = max(chunk.requested.start - shift, 1)
            returned = await self._hosts.numbered(host, range(start, chunk.requested.stop + shift))
            yield returned
            if not count_of(within(returned.value.rows, chunk.requested)):
                return
        most = host.most - LEAKS
        pieces = rechecks_of(chunk.missing, most, shift)
        if chunk.is_held and not shift:  # exactly the holes
            pieces = (piece for hole in holes_of(chunk.missing) for piece in chunks(hole, most))
        for piece in pieces:
            yield await self._hosts.numbered(host, piece)

    async def _again(self, numbers: Numbers, shift: int) -> Columns:
        """The trades with these numbers and some beside them, each from the first host that has
        it."""
        parts, left = [NO_TRADES], numbers
        for host in self._hosts.hosts:
            for piece in rechecks_of(left, host.most - LEAKS, shift):
                returned = await self._hosts.numbered(host, piece)
                parts.append(within(returned.value.rows, piece))
                left = left[~np.isin(left, parts[-1]["trade_seq"])]
        return unique_rows(joined_rows(parts))


def _refused(chunk: Chunk, malformed: Sequence[MalformedTrade]) -> Iterator[Refused]:
    """The trades missing from the chunk because each response that had them was malformed."""
    left = chunk.missing
    for trade in malformed:
        if trade.number is not None and trade.number in left:
            numbers = np.array([trade.number])
            when = None if trade.traded_ms is None else np.datetime64(trade.traded_ms, "ms")
            yield Refused(numbers, trade.reason, when)
            left = left[left != trade.number]
    unnumbered = [trade for trade in malformed if trade.number is None]
    if len(left) and unnumbered:
        yield Refused(left, f"no trade with this number, and one whose {unnumbered[0].reason}")
