"""Settlements of a currency: pages that lead back from the end of days to their beginning."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from typing import TypeVar

import numpy as np

from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.datasets.settlements.calls import get_last_settlements_by_currency
from deribit_pipeline.datasets.settlements.delivered import delivery_prices
from deribit_pipeline.datasets.settlements.deliveries import settlements_checked
from deribit_pipeline.datasets.settlements.proof import (
    MOST_A_SECOND,
    CompleteSpan,
    Moment,
    complete_span,
    first_settlement,
    has_a_whole_millisecond,
    require_alike,
    require_confirmed,
    require_sound,
    shorter,
    up_to,
)
from deribit_pipeline.datasets.settlements.wire import (
    BY_CURRENCY,
    MOST_SETTLEMENTS,
    SettlementsPage,
)
from deribit_pipeline.domain.malformed import malformed_of
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.rows import Columns, count_of, joined_rows, some_of
from deribit_pipeline.domain.windows import day_window, days_between, moment64, spans_of
from deribit_pipeline.engine.expectations import expectations, once
from deribit_pipeline.engine.following import Progress, in_order, with_page
from deribit_pipeline.engine.settling import SETTLING, is_settled
from deribit_pipeline.engine.source import FailedDays, SeriesSource
from deribit_pipeline.errors import DeribitBadPayload, EndlessPages
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.methods import ParsedResponse
from deribit_pipeline.exchange.repeats import until_valid
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.listings import get_specifications
from deribit_pipeline.instruments.wire import Listed
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

# Currencies in which something surely settled.
_OLDEST = ("BTC", "ETH")

# How many settlements are enough to see whether there are any, and what they say.
_FEW = 20

# How many a page holds that is to reach a few days at most, where a larger one stays odd.
_SMALLER = 50

_NO_TIME = np.timedelta64(0, "ms")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SettlementsSource(SeriesSource):
    """Brings every settlement of a currency's days; nobody can count how many there must be.

    A day is believed once two answers, which end elsewhere, have told the same of it and some
    older settlements, or the exchange has said twice that there are none. A page is asked for from
    the oldest millisecond that the one before it told, and must tell the same of it. `count` is
    how many settlements a page holds.
    """

    count: int = MOST_SETTLEMENTS

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        """The newest days first.

        A day of which no answer can be believed fails, and those before it are asked for anew.
        Once several in a row have failed, half as many fail together: an exchange of which every
        answer is odd is not asked about each day of its past.
        """
        pages = _Pages(exchange, series, self.count)
        delivered = await asyncio.to_thread(_delivered, warehouse, days)
        for first, last in reversed(spans_of(days)):
            pending, failed = list(days_between(first, last)), 0
            while pending:
                try:
                    async for fetched in pages.fetch_backwards(tuple(pending)):
                        pending.pop()
                        failed = 0
                        if isinstance(fetched, FetchedDay):
                            of_day = delivered.get(fetched.day, {})
                            fetched = settlements_checked(fetched, of_day)
                        yield fetched
                except DeribitBadPayload as error:
                    newest = pending[-max(1, failed // 2) :]
                    del pending[-len(newest) :]
                    failed += len(newest)
                    yield FailedDays(newest, error)

    def requests(self, series: str, days: Sequence[date], *, each_twice: bool = False) -> int:
        """A day of a large currency is about one page, which is asked for twice; each span needs a
        look before it."""
        return 2 * len(days) + len(spans_of(days))


def _delivered(warehouse: Warehouse, days: Sequence[date]) -> dict[date, dict[str, float]]:
    with warehouse.reading() as connection:
        return delivery_prices(connection, min(days), max(days))


@dataclass(frozen=True, slots=True)
class _Pages:
    """The pages of a currency's settlements."""

    exchange: Exchange
    currency: str
    count: int
    # What is listed in the currency, once requested: these lists are metered at one a second.
    lists: list[ParsedResponse[Listed]] = field(default_factory=list, init=False)

    @property
    def client(self) -> DeribitClient:
        """Of www, which alone has settlements."""
        return self.exchange.client

    async def fetch_backwards(self, days: Sequence[date]) -> AsyncIterator[FetchedDay | FailedDays]:
        """Every day of an unbroken span, the last one first; those with a settlement that cannot
        be read have failed."""
        until = moment64(day_window(days[-1]).end)
        span, as_of = await self._fetch_valid(partial(self._first_span, until))
        rows, malformed = span.rows, list(span.malformed)
        progress = Progress(_smaller(self.count), MOST_A_SECOND)
        for day in reversed(days):
            while not span.has_seen(day):
                span = await self._fetch_valid(partial(self._next_span, span))
                with self._expectations():
                    progress.add(count_of(span.rows), span.covers(until))
                rows = joined_rows([rows, span.rows])
                malformed += span.malformed
            window = day_window(day)
            is_older = rows["settled_at"] < moment64(window.start)
            is_later = rows["settled_at"] >= moment64(window.end)
            if (why := malformed_of(malformed, day)) is not None:
                params = {"currency": self.currency}
                yield FailedDays([day], DeribitBadPayload(why, method=BY_CURRENCY, params=params))
            else:
                yield FetchedDay(
                    self.currency,
                    day,
                    in_order(SETTLEMENTS, some_of(rows, ~is_older & ~is_later)),
                    as_of,
                    is_over=is_settled(day, as_of),
                    is_listed=span.complete_after is not None
                    or not is_later.all()
                    or not is_settled(day, as_of),
                )
            rows = some_of(rows, is_older)

    async def _fetch_valid(self, request: Callable[[int], Awaitable[Result]]) -> Result:
        """What is told in pages as large as they may be; where that stays odd, in smaller ones,
        which an odd row spoils only near its own day."""
        try:
            return await until_valid(partial(request, self.count))
        except EndlessPages:
            raise
        except DeribitBadPayload as error:
            smaller = _smaller(self.count)
            logger.info("%s; asking for %d at a time", error, smaller)
            return await until_valid(partial(request, smaller))

    async def _first_span(self, until: Moment, count: int) -> tuple[CompleteSpan, datetime]:
        """The newest stretch, which another answer told the beginning of; and the exchange's clock
        before either."""
        # In smaller pages it ends elsewhere too: a row at the edge may be the one that stays odd.
        recheck = await self._page(until, _FEW if count == self.count else _FEW - 1)
        return await self._confirmed_span(
            until, up_to(recheck.value.rows, until), count
        ), recheck.as_of

    async def _next_span(self, former: CompleteSpan, count: int) -> CompleteSpan:
        assert former.complete_after is not None, "a stretch without a floor is the last one"
        return await self._confirmed_span(former.complete_after, former.boundary_rows, count)

    async def _confirmed_span(self, until: Moment, returned: Columns, count: int) -> CompleteSpan:
        """What two answers tell alike of the time up to a moment, as far back as both reach: a page
        each, or as many as a millisecond takes. `told` are settlements of then that another answer
        told."""
        # Pages that end elsewhere also show whether tokens lose what shares a millisecond.
        one, other = await self._read(until, count), await self._read(until, _fewer(count))
        with self._expectations():
            require_alike(one, other)
            span = shorter(one, other)
            require_confirmed(span.within(returned), span.rows)
        if span.complete_after is None:
            await self._require_end(span, until, _fewer(count))
        return span

    async def _read(self, until: Moment, count: int) -> CompleteSpan:
        page = (await self._page(until, count)).value
        rows, malformed = page.rows, list(page.malformed)
        progress = Progress(count, MOST_A_SECOND)
        while page.continuation is not None and not has_a_whole_millisecond(up_to(rows, until)):
            page = (await self._page(until, count, page.continuation)).value
            malformed += page.malformed
            with self._expectations():
                is_last = page.continuation is None
                before = count_of(rows)
                rows = with_page(SETTLEMENTS, rows, page.rows, is_last=is_last)
                covered = until - rows["settled_at"].min() if count_of(rows) else _NO_TIME
                progress.add(count_of(rows) - before, covered)
        return complete_span(up_to(rows, until), malformed, is_end=page.continuation is None)

    async def _require_end(self, span: CompleteSpan, until: Moment, count: int) -> None:
        """An answer that says it is the last one is believed where another says so too. An exchange
        that has no settlements at all may be down, unless it has some of another currency, and
        nothing that could have settled in this one."""
        moments = span.rows["settled_at"]
        oldest = moments.min() if len(moments) else until
        again = await self._read(oldest, count)
        newest = await self._page(None, _FEW)
        with self._expectations():
            if again.complete_after is not None:
                raise ValueError(f"settlements ended at {oldest}, and there are older ones")
            require_confirmed(again.rows, span.rows)
            if not count_of(newest.value.rows) and not await self._settles_nothing(newest.as_of):
                raise ValueError("no settlement came, and of the newest ones none either")

    async def _settles_nothing(self, as_of: datetime) -> bool:
        """Whether nothing can have settled in the currency so far."""
        other = next(name for name in _OLDEST if name != self.currency)
        control = await get_last_settlements_by_currency(self.client, other, count=_FEW)
        if not count_of(control.value.rows):
            return False
        if not self.lists:
            hosts = [self.client, *filter(None, [self.exchange.history])]
            self.lists[:] = await asyncio.gather(
                *(
                    get_specifications(host, self.currency, is_expired=is_expired)
                    for host in hosts
                    for is_expired in (False, True)
                )
            )
        listed = [each for returned in self.lists for each in returned.value.specifications]
        return not any(returned.value.malformed for returned in self.lists) and not any(
            first_settlement(each.listed_at) <= as_of - SETTLING
            for each in listed
            if each.kind in ("future", "option")
        )

    async def _page(
        self, until: Moment | None, count: int, continuation: str | int | None = None
    ) -> ParsedResponse[SettlementsPage]:
        # The bound may be inclusive or not: what it adds is told by the answer before it.
        latest = None if until is None else until + np.timedelta64(1, "ms")
        returned = await get_last_settlements_by_currency(
            self.client,
            self.currency,
            count=count,
            search_start_timestamp=None if latest is None else int(latest.astype(np.int64)),
            continuation=continuation,
        )
        page = returned.value
        with self._expectations():
            require_sound(
                page.rows, self.currency, entries=page.entries, count=count, latest=latest
            )
        rows, conflicting = once(SETTLEMENTS, page.rows)
        return replace(
            returned, value=replace(page, rows=rows, malformed=page.malformed + conflicting)
        )

    def _expectations(self) -> AbstractContextManager[None]:
        return expectations(BY_CURRENCY, currency=self.currency)


def _smaller(count: int) -> int:
    """How many settlements a page holds where a larger one stays odd."""
    return max(1, min(_SMALLER, count // 2))


def _fewer(count: int) -> int:
    """How many settlements a page holds that is to end elsewhere."""
    return max(1, count * 9 // 10)


SOURCE = SettlementsSource()
