"""The source of trades: requested by number, never by time."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import date
from functools import partial

import numpy as np

from deribit_pipeline.datasets.trades.backfill_session import TradesSession
from deribit_pipeline.datasets.trades.calls import BY_NUMBER
from deribit_pipeline.datasets.trades.chunks import TradeChunks
from deribit_pipeline.datasets.trades.held import HeldTrades, held_trades
from deribit_pipeline.datasets.trades.hosts import TradeHosts
from deribit_pipeline.datasets.trades.hourly_candles import Witness, Witnessed, chart_requests
from deribit_pipeline.datasets.trades.plan import Span, planned
from deribit_pipeline.datasets.trades.proof import CutDay, DayCutter, UnprovedTrades
from deribit_pipeline.datasets.trades.recorded import RecordedTrades
from deribit_pipeline.datasets.trades.trade_numbers import NO_TRADES, Chunk
from deribit_pipeline.datasets.trades.trade_numbers import chunks as pieces_of
from deribit_pipeline.datasets.trades.values import MARGIN, differing
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.rows import count_of, joined_rows
from deribit_pipeline.domain.windows import day_window, days_between, spans_of
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.source import Context, FailedDays, Recorded, SeriesSource
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.listings import (
    agreed_listing,
    exchange_time,
    listings,
    warn_of_clock,
)
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.warehouse.warehouse import Warehouse

# The maximum number of concurrent chunks: enough for 20 calls a second that take most of a second
# each, with at most 16 times 10,000 trades waiting for an earlier chunk.
_AHEAD = 16

# After this many consecutive chunks without a trade, each requested several times, no more are
# requested.
_MOST_EMPTY = 50


class TradesSource(SeriesSource):
    """Fetches the trades of an instrument's days; those that were recorded are not requested.

    Raises DeribitError; if only some of the numbers cannot be proved, only their days fail.
    """

    async def open(self, context: Context, days: Days) -> "TradesSession":
        """See Source."""
        warn_of_clock(await exchange_time(context.exchange.client))
        exchange = context.exchange
        spool = None if context.is_forced else exchange.spool
        taken_in = partial(self.taken_in, exchange, context.warehouse, spool)
        return TradesSession(self, context, taken_in)

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        """See SeriesSource: everything is requested."""
        async with aclosing(self.taken_in(exchange, warehouse, None, series, days)) as pieces:
            async for piece in pieces:
                yield piece

    async def taken_in(
        self,
        exchange: Exchange,
        warehouse: Warehouse,
        spool: Spool | None,
        series: str,
        days: Sequence[date],
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        """The days from what the spool holds of them, and requests for the rest."""
        hosts = TradeHosts(exchange, series)
        found, _ = await listings(exchange, warehouse, [series])
        instrument = found[series]
        if len(_listed(instrument, days)) < len(days):
            instrument = await agreed_listing(exchange, warehouse, series)
        listed = _listed(instrument, days)
        for day in sorted(set(days) - set(listed)):
            yield FetchedDay(
                series, day, NO_TRADES, hosts.now, NO_TRADES["trade_seq"], is_listed=False
            )
        for first, last in spans_of(listed):
            days = list(days_between(first, last))
            held = await asyncio.to_thread(held_trades, spool, warehouse, series, days)
            async with aclosing(_span_of(exchange, hosts, instrument, days, held)) as pieces:
                async for piece in pieces:
                    yield piece

    def recorded(self, spool: Spool, days: Days) -> Recorded | None:
        """See Source."""
        if not spool.exists():
            return None
        spans = [(name, *span) for name, some in days.items() for span in spans_of(some)]
        found = [
            RecordedTrades(spool, name, list(days_between(first, last))).on_its_days
            for name, first, last in spans
        ]
        rows = sum(map(len, found))
        numbers = sum(int(each[-1] - each[0]) + 1 for each in found if len(each))
        return Recorded(rows, numbers - rows) if rows else None

    def requests(self, series: str, days: Sequence[date], *, each_twice: bool = False) -> int:
        """The minimum number of requests for the days: the number of trades is not known in
        advance. Each contiguous span needs two for each of its ends and those of its hourly
        candles, and each day one, or two with `each_twice`."""
        spans = spans_of(days)
        hours = sum(chart_requests(first, last) for first, last in spans)
        return 2 + 6 * len(spans) + hours + (2 if each_twice else 1) * len(days)


SOURCE = TradesSource()


async def _span_of(
    exchange: Exchange,
    hosts: TradeHosts,
    instrument: Instrument,
    days: Sequence[date],
    held: HeldTrades | None,
) -> AsyncGenerator[FetchedDay | FailedDays]:
    """Contiguous days, each compared with the exchange's candles."""
    try:
        span = await planned(hosts, instrument, days, held)
    except DeribitBadPayload as error:
        yield FailedDays(days, error)
        return
    is_combo = instrument.kind.endswith("combo")
    chunks = TradeChunks(hosts, is_combo=is_combo, each_twice=exchange.each_twice, held=held)
    client = (exchange.history if instrument.is_archived else None) or exchange.client
    witness = Witness(client, hosts, chunks, instrument, span)
    async with aclosing(_cut(chunks, span)) as cut_days:
        async for cut in cut_days:
            day = _fetched(hosts, instrument.instrument_name, span, await witness.beside(cut))
            yield day if isinstance(day, FailedDays) else _with_origin(day, chunks, held)


def _with_origin(day: FetchedDay, chunks: TradeChunks, held: HeldTrades | None) -> FetchedDay:
    """The day with how many of its trades were recorded, and the recorded values that it does not
    have."""
    if held is None:
        return day
    is_recorded = np.isin(day.rows["trade_seq"], held.recorded.numbers)
    copies = joined_rows([held.recorded.rejected, *chunks.superseded])
    superseded = differing(copies, day.rows) if count_of(copies) else None
    return replace(day, recorded=int(np.count_nonzero(is_recorded)), superseded=superseded)


def _listed(instrument: Instrument, days: Sequence[date]) -> list[date]:
    """The days on which the instrument was listed."""
    windows = ((day, day_window(day)) for day in days)
    return [
        day
        for day, window in windows
        if instrument.listed_at < window.end
        and (instrument.expires_at is None or window.start < instrument.expires_at)
    ]


async def _cut(chunks: TradeChunks, span: Span, step: int = 1) -> AsyncGenerator[CutDay]:
    """The days of the span, each as soon as no later chunk can change it.

    The range of numbers is extended while trades at its ends are on days of the span.
    """
    numbers, as_of, is_begun = span.numbers, span.as_of, False
    cutter = DayCutter(span.days, numbers.start)
    while numbers:
        async with aclosing(_agreeing(chunks, numbers)) as returned:
            async for chunk in returned:
                finished = list(cutter.add(chunk))
                is_begun = is_begun or cutter.begins_before or chunk.error is not None
                if not is_begun:
                    break
                as_of = chunk.as_of
                for day in finished:
                    yield day
                if cutter.is_done:
                    break
        if not is_begun or cutter.is_done:
            break
        stop = span.last + 1 if not cutter.ends_after else numbers.stop
        numbers = range(numbers.stop, min(numbers.stop + chunks.per_chunk, stop))
    if span.numbers and not is_begun:
        first = max(span.numbers.start - MARGIN * 10**step, 1)
        earlier = replace(span, numbers=range(first, span.numbers.stop))
        async with aclosing(_cut(chunks, earlier, step + 1)) as days:
            async for day in days:
                yield day
        return
    for day in cutter.rest(max(numbers.start, span.numbers.stop), as_of):
        yield day


async def _agreeing(chunks: TradeChunks, numbers: range) -> AsyncGenerator[Chunk]:
    """The chunks of these numbers, in order. Each is compared with the next one: if they contradict
    each other, both are requested again. Raises DeribitBadPayload if too many in a row have no
    trade."""
    former: Chunk | None = None
    empty = 0
    async with aclosing(_fetched_ahead(chunks, numbers)) as fetched:
        async for chunk in fetched:
            empty = 0 if count_of(chunk.rows) or chunk.error is not None else empty + 1
            if empty == _MOST_EMPTY:
                raise DeribitBadPayload(
                    f"{empty} responses in a row have no trade, though there should be "
                    f"{len(numbers):,} up to the number {numbers.stop - 1}",
                    method=BY_NUMBER,
                    params={
                        "start_seq": chunk.requested.start,
                        "end_seq": chunk.requested.stop - 1,
                    },
                )
            if former is not None and former.contradicts(chunk):
                former, chunk = await chunks.confirmed(former), await chunks.confirmed(chunk)
            if former is not None:
                yield former
            former = chunk
    if former is not None:
        yield former


async def _fetched_ahead(chunks: TradeChunks, numbers: range) -> AsyncGenerator[Chunk]:
    """The chunks of these numbers, in order, with some of them fetched ahead."""
    under_way: deque[asyncio.Task[Chunk]] = deque()
    try:
        for requested in pieces_of(numbers, chunks.per_chunk):
            under_way.append(asyncio.create_task(chunks.chunk(requested)))
            if len(under_way) == _AHEAD:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _fetched(
    hosts: TradeHosts, series: str, span: Span, witnessed: Witnessed
) -> FetchedDay | FailedDays:
    cut, error = witnessed.cut, witnessed.cut.error
    if isinstance(error, UnprovedTrades):
        error = hosts.unproved(error.reason)
    if error is not None:
        return FailedDays([cut.day], error)
    numbers = cut.rows["trade_seq"]
    expected = np.union1d(numbers, cut.holes) if len(cut.holes) else numbers
    is_over = day_window(cut.day).end <= span.known_until
    return FetchedDay(
        series,
        cut.day,
        cut.rows,
        cut.as_of,
        expected,
        is_over=is_over,
        verdict=witnessed.verdict,
        cross_check=witnessed.cross_check,
    )
