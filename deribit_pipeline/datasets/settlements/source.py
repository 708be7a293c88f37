"""The source of settlements: pages from the end of the days back to their beginning."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from typing import TypeVar

import numpy as np

from deribit_pipeline.datasets.delivery_checks import delivery_prices, settlements_checked
from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.datasets.settlements.calls import get_last_settlements_by_currency
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

# Currencies that certainly have settlements.
_OLDEST = ("BTC", "ETH")

# How many settlements are requested where only their presence and values matter.
_FEW = 20

# Settlements per page, for at most a few days, if larger pages remain malformed.
_SMALLER = 50

_NO_TIME = np.timedelta64(0, "ms")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SettlementsSource(SeriesSource):
    """Fetches every settlement of a currency's days; the exchange publishes no count of them.

    A day is trusted once two responses with different ends agree on it and on some older
    settlements, or once two responses state that there are none. A page is requested from the
    oldest millisecond of the previous page, and must agree with that page on it. `count` is the
    number of settlements per page.
    """

    count: int = MOST_SETTLEMENTS

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        """The newest days first.

        A day without a trusted response fails, and the days before it are requested separately.
        Once several days in a row have failed, half as many fail together: if every response is
        malformed, this avoids a request for each day.
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
        """A day of a large currency is about one page, which is requested twice; each span needs
        one more request before it."""
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
    # The listings of the currency, once requested: they are limited to one request a second.
    lists: list[ParsedResponse[Listed]] = field(default_factory=list, init=False)

    @property
    def client(self) -> DeribitClient:
        """The client of www, the only host with settlements."""
        return self.exchange.client

    async def fetch_backwards(self, days: Sequence[date]) -> AsyncIterator[FetchedDay | FailedDays]:
        """Every day of a contiguous span, the last one first; days with a malformed settlement
        fail."""
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
        """The result from pages of the maximum size; if these remain malformed, from smaller ones,
        in which a malformed row affects only days close to its own."""
        try:
            return await until_valid(partial(request, self.count))
        except EndlessPages:
            raise
        except DeribitBadPayload as error:
            smaller = _smaller(self.count)
            logger.info("%s; requesting %d settlements at a time", error, smaller)
            return await until_valid(partial(request, smaller))

    async def _first_span(self, until: Moment, count: int) -> tuple[CompleteSpan, datetime]:
        """The newest span, whose newest rows another response confirms; and the exchange's time of
        the first response."""
        # With smaller pages its end differs too: the row at the edge may be the malformed one.
        recheck = await self._page(until, _FEW if count == self.count else _FEW - 1)
        return await self._confirmed_span(
            until, up_to(recheck.value.rows, until), count
        ), recheck.as_of

    async def _next_span(self, former: CompleteSpan, count: int) -> CompleteSpan:
        assert former.complete_after is not None, (
            "a span that reaches back to the first settlement is the last one"
        )
        return await self._confirmed_span(former.complete_after, former.boundary_rows, count)

    async def _confirmed_span(self, until: Moment, returned: Columns, count: int) -> CompleteSpan:
        """The span up to an instant on which two responses agree, as far back as both reach: one
        page each, or as many as a single millisecond takes. `returned` are settlements around that
        instant from another response."""
        # Pages with different ends also detect tokens that lose rows of one millisecond.
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
        """Raise unless a second response confirms that no older settlements exist. An exchange
        without any settlements may be down, unless it has some of another currency and listed no
        instrument that could have settled in this one."""
        moments = span.rows["settled_at"]
        oldest = moments.min() if len(moments) else until
        again = await self._read(oldest, count)
        newest = await self._page(None, _FEW)
        with self._expectations():
            if again.complete_after is not None:
                raise ValueError(f"settlements ended at {oldest}, but there are older ones")
            require_confirmed(again.rows, span.rows)
            if not count_of(newest.value.rows) and not await self._settles_nothing(newest.as_of):
                raise ValueError("no settlement was returned, not even the newest ones")

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
        # The bound may be inclusive or not: rows that it adds are also in the previous response.
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
    """Settlements per page if larger pages remain malformed."""
    return max(1, min(_SMALLER, count // 2))


def _fewer(count: int) -> int:
    """Settlements per page, for pages with a different end."""
    return max(1, count * 9 // 10)


SOURCE = SettlementsSource()
