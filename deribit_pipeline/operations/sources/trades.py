"""The source of trades: by their numbers, and never by time."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np

from deribit_pipeline.deribit.trades import BY_NUMBER
from deribit_pipeline.domain import Instrument, day_window, days_between, spans_of
from deribit_pipeline.errors import DeribitBadPayload, DeribitError
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.operations.listings import agreed_listing, listings
from deribit_pipeline.operations.sources.source import FailedDays
from deribit_pipeline.operations.sources.trade_hosts import Newest, TradeHosts
from deribit_pipeline.planning.rows import FetchedRows
from deribit_pipeline.planning.trades import MARGIN, NO_TRADES, Chunk, CutDay, DayCutter, chunks
from deribit_pipeline.warehouse.warehouse import Warehouse

# How many chunks are under way at the same time: enough for 20 calls a second that take most of a
# second each, and 16 times 10,000 trades are what waits for the one before.
_AHEAD = 16

# How long after midnight trades of the day before may still be told for the first time.
_LATE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Span:
    """Unbroken days of an instrument, and the numbers in which all trades of them are.

    `last` is the newest number of all; `as_of` is the exchange's clock when it was told, and
    `known_until` the moment before which no more trades can come.
    """

    days: Sequence[date]
    numbers: range
    last: int
    as_of: datetime
    known_until: datetime


class TradesSource:
    """Brings the trades of an instrument's days.

    Raises DeribitError; where only a part of the numbers cannot be believed, its days have failed.
    """

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedRows | FailedDays]:
        """See Source."""
        hosts = TradeHosts(exchange, series)
        found, _ = await listings(exchange, warehouse, [series])
        instrument = found[series]
        if len(_listed(instrument, days)) < len(days):
            instrument = await agreed_listing(exchange, warehouse, series)
        listed = _listed(instrument, days)
        for day in sorted(set(days) - set(listed)):
            yield FetchedRows(series, day, NO_TRADES, hosts.now, is_listed=False)
        for first, last in spans_of(listed):
            span = list(days_between(first, last))
            try:
                planned = await _planned(hosts, instrument, span)
            except DeribitBadPayload as error:
                yield FailedDays(span, error)
                continue
            async with aclosing(_cut(hosts, planned)) as cut_days:
                async for cut in cut_days:
                    yield _fetched(series, planned, cut)

    def requests(self, series: str, days: Sequence[date]) -> int:
        """How many requests the days take, at least: nobody knows before how many trades there
        are. Each unbroken span takes two for each of its ends, and each day one."""
        return 2 + 6 * len(spans_of(days)) + len(days)


def _listed(instrument: Instrument, days: Sequence[date]) -> list[date]:
    """The days on which the instrument was listed."""
    windows = ((day, day_window(day)) for day in days)
    return [
        day
        for day, window in windows
        if instrument.listed_at < window.end
        and (instrument.expires_at is None or window.start < instrument.expires_at)
    ]


async def _planned(hosts: TradeHosts, instrument: Instrument, days: Sequence[date]) -> _Span:
    """The numbers in which the trades of the days are, some before and after them included."""
    start, end = day_window(days[0]).start, day_window(days[-1]).end
    newest = await hosts.newest()
    before = after = None
    if start > instrument.listed_at:
        before = await hosts.last_before(start, instrument.listed_at, newest.as_of)
    if end <= newest.as_of:
        after = await hosts.first_from(end, newest.as_of)
    known_until = end
    if after is None:
        newest, known_until = await _ending(hosts, instrument, days, newest)
    last = max(filter(None, (newest.number, before, after)), default=0)
    first = 1
    if before is not None:
        first = max(before - 2 * MARGIN, 1)
    elif last:
        earliest = await hosts.first_from(start, newest.as_of)
        if earliest is not None and earliest > hosts.per_chunk:
            raise _odd(instrument, f"no trade before the number {earliest} is told")
    stop = last + 1 if after is None else min(after + 2 * MARGIN, last) + 1
    known_until = min(known_until, newest.as_of - _LATE)
    return _Span(days, range(first, stop), last, newest.as_of, known_until)


async def _ending(
    hosts: TradeHosts, instrument: Instrument, days: Sequence[date], newest: Newest
) -> tuple[Newest, datetime]:
    """The newest trade where none is told after the days, and until when none can come.

    Days that are over may have no trade after them. What proves that nothing follows is that
    nothing comes: it must be said once more, by hosts that have got as far.
    """
    over = [day for day in days if day_window(day).end <= newest.as_of - _LATE]
    if not over or day_window(over[-1]).end <= newest.known_until:
        return newest, newest.known_until
    start, end = day_window(days[0]).start, day_window(over[-1]).end
    newest = await hosts.last(newest, end)
    if await hosts.knows_all(start, min(end, instrument.expires_at or end)):
        return newest, end
    if not hosts.has_archive:
        raise _odd(instrument, "trades of before yesterday are not told here")
    return newest, newest.known_until


def _odd(instrument: Instrument, reason: str) -> DeribitError:
    name = instrument.instrument_name
    return DeribitBadPayload(reason, method=BY_NUMBER, params={"instrument_name": name})


async def _cut(hosts: TradeHosts, span: _Span, step: int = 1) -> AsyncGenerator[CutDay]:
    """The days of the span, each as soon as no later chunk can change it.

    Looks further before and after where trades beside the span are on its days.
    """
    numbers, as_of, is_begun = span.numbers, span.as_of, False
    cutter = DayCutter(span.days, numbers.start)
    while numbers:
        async with aclosing(_told(hosts, numbers)) as told:
            async for chunk in told:
                finished = list(cutter.take(chunk))
                is_begun = is_begun or cutter.begins_before or chunk.error is not None
                if not is_begun:
                    break
                as_of = chunk.as_of
                for day in finished:
                    yield day
        if not is_begun:
            break
        stop = span.last + 1 if not cutter.ends_after else numbers.stop
        numbers = range(numbers.stop, min(numbers.stop + hosts.per_chunk, stop))
    if span.numbers and not is_begun:
        first = max(span.numbers.start - MARGIN * 10**step, 1)
        earlier = replace(span, numbers=range(first, span.numbers.stop))
        async with aclosing(_cut(hosts, earlier, step + 1)) as days:
            async for day in days:
                yield day
        return
    for day in cutter.rest(max(numbers.start, span.numbers.stop), as_of):
        yield day


async def _told(hosts: TradeHosts, numbers: range) -> AsyncGenerator[Chunk]:
    """The chunks of these numbers, in order, some of them under way ahead of time."""
    under_way: deque[asyncio.Task[Chunk]] = deque()
    try:
        for wanted in chunks(numbers, hosts.per_chunk):
            under_way.append(asyncio.create_task(hosts.chunk(wanted)))
            if len(under_way) == _AHEAD:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _fetched(series: str, span: _Span, cut: CutDay) -> FetchedRows | FailedDays:
    if cut.error is not None:
        return FailedDays([cut.day], cut.error)
    numbers = cut.rows["trade_seq"]
    expected = np.union1d(numbers, cut.holes) if len(cut.holes) else numbers
    is_over = day_window(cut.day).end <= span.known_until
    return FetchedRows(series, cut.day, cut.rows, cut.as_of, expected, is_over=is_over)
