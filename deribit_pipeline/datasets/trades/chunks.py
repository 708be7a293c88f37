"""Trades by their numbers: of both hosts, and again where a response cannot be right."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.trades.hosts import LEAKS, LOOKS, Host, TradeHosts
from deribit_pipeline.datasets.trades.proof import (
    NO_TRADES,
    Chunk,
    Numbers,
    Refused,
    second_looks,
    within,
)
from deribit_pipeline.datasets.trades.values import (
    are_in_order,
    impossible,
    shared_rows,
    unique_rows,
)
from deribit_pipeline.datasets.trades.wire import MalformedTrade, TradesPage
from deribit_pipeline.domain.rows import Columns, count_of, joined_rows, some_of
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.methods import Told

_RESPONSES = 4  # how often trades are requested again until two responses have the same of each

# How far each further request for the same trades is cut elsewhere than the one before.
_SHIFT = 17

# Chunks whose numbers run against time although two responses have it, after which that is taken
# for what the exchange does.
_ENOUGH = 6

NOT_SHARED = "no two responses have the same of it"
"""Why a trade is not proved that came in several responses."""


class TradeChunks:
    """The trades of one instrument by their numbers. Methods raise DeribitError.

    `per_chunk` is how many numbers a chunk has. With `each_twice`, two responses for different
    numbers must have the same of every trade.
    """

    def __init__(self, hosts: TradeHosts, *, is_combo: bool, each_twice: bool = False) -> None:
        self._hosts, self._is_combo, self._each_twice = hosts, is_combo, each_twice
        # Few enough that one further request has them all, and some on either side.
        self.per_chunk = hosts.per_chunk - (2 * _SHIFT if each_twice else 0)
        self._ordered = self._unordered = 0

    async def chunk(self, wanted: range) -> Chunk:
        """The trades with these numbers. What one host lacks the other is asked for, and what both
        lack again, in other pieces, until nothing new comes. Where trades are impossible or run
        against time, all are requested again."""
        try:
            told = await self._hosts.numbered(
                self._hosts.hosts[0], range(max(wanted.start - 1, 1), wanted.stop)
            )
            rows, malformed = told.said.rows, list(told.said.malformed)
            before = within(rows, range(wanted.start - 1, wanted.start))
            chunk = Chunk(wanted, within(rows, wanted), told.as_of, before=before)
            for look in range(LOOKS):
                lacking = len(chunk.missing)
                if not lacking:
                    break
                for host in reversed(self._hosts.hosts):
                    async for told in self._looks(host, chunk, 7 * look):
                        malformed += told.said.malformed
                        chunk = chunk.with_found(told.said.rows, told.as_of)
                if look and len(chunk.missing) == lacking:
                    break
            chunk = replace(chunk, refused=tuple(_refused(chunk, malformed)))
            if self._each_twice or impossible(chunk.rows, is_combo=self._is_combo).any():
                return await self.confirmed(chunk)
            return await self._in_order(chunk)
        except DeribitBadPayload as error:
            return Chunk(wanted, NO_TRADES, self._hosts.now, error)

    async def confirmed(self, chunk: Chunk) -> Chunk:
        """The chunk as two responses have it; what no two have the same of is refused."""
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
        """Trades with these numbers as two responses have them, and the numbers of those of which
        no two have the same. `first` is the first response; those of further ones that are not of
        interest are left out. Each further request is cut elsewhere."""
        responses = [first]
        shared, left = first, numbers
        for response in range(1, _RESPONSES + 1):
            rows = await self._again(numbers, _SHIFT * response)
            responses.append(some_of(rows, is_of_interest(rows)))
            shared, left = shared_rows(responses)
            if not len(left):
                break
        return shared, left

    async def _in_order(self, chunk: Chunk) -> Chunk:
        """The chunk, as two responses have it where its numbers run against time. Where most chunks
        do although that is confirmed, nothing more is paid for it."""
        is_in_order = are_in_order(chunk.rows["trade_seq"], chunk.rows["traded_at"])
        is_usual = self._unordered >= _ENOUGH and self._unordered > self._ordered
        if not is_in_order and not is_usual:
            chunk = await self.confirmed(chunk)
            is_in_order = are_in_order(chunk.rows["trade_seq"], chunk.rows["traded_at"])
        self._ordered += is_in_order
        self._unordered += not is_in_order
        return chunk

    async def _looks(self, host: Host, chunk: Chunk, shift: int) -> AsyncIterator[Told[TradesPage]]:
        """What a host has of the numbers that a chunk lacks. Where it lacks all, one answer shows
        first whether the host has any: an archive that ends early would cost hundreds."""
        if len(chunk.missing) == len(chunk.wanted) > host.most - LEAKS - shift:
            start = max(chunk.wanted.start - shift, 1)
            told = await self._hosts.numbered(host, range(start, chunk.wanted.stop + shift))
            yield told
            if not count_of(within(told.said.rows, chunk.wanted)):
                return
        for piece in second_looks(chunk.missing, host.most - LEAKS, shift):
            yield await self._hosts.numbered(host, piece)

    async def _again(self, numbers: Numbers, shift: int) -> Columns:
        """The trades with these numbers and some beside them, of the first host that has each."""
        parts, left = [NO_TRADES], numbers
        for host in self._hosts.hosts:
            for piece in second_looks(left, host.most - LEAKS, shift):
                told = await self._hosts.numbered(host, piece)
                parts.append(within(told.said.rows, piece))
                left = left[~np.isin(left, parts[-1]["trade_seq"])]
        return unique_rows(joined_rows(parts))


def _refused(chunk: Chunk, malformed: Sequence[MalformedTrade]) -> Iterator[Refused]:
    """The trades that the chunk lacks because each response that had them was malformed."""
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
