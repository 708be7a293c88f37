"""Settlements of a currency: pages that lead back from the end of days to their beginning."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial

import numpy as np

from deribit_pipeline.deribit.client import DeribitClient
from deribit_pipeline.deribit.methods import Told
from deribit_pipeline.deribit.settlements import BY_CURRENCY, MOST_SETTLEMENTS, SettlementsPage
from deribit_pipeline.domain import day_window, days_between, moment64, spans_of
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.operations.sources.asking import expectations, insisted
from deribit_pipeline.operations.sources.source import FailedDays
from deribit_pipeline.planning.rows import Columns, FetchedRows, count_of, joined_rows, some_of
from deribit_pipeline.planning.settlements import (
    Moment,
    Stretch,
    has_a_whole_millisecond,
    in_order,
    require_alike,
    require_sound,
    require_told,
    stretch_of,
    up_to,
    with_page,
)
from deribit_pipeline.warehouse.file import Warehouse

# How many settlements are enough to see whether there are any, and what they say.
_FEW = 20


@dataclass(frozen=True, slots=True)
class SettlementsSource:
    """Brings every settlement of a currency's days; nobody can count how many there must be.

    A day is believed once a page has told older settlements, or the exchange has said twice that
    there are none. A page is asked for from the oldest millisecond that the one before it told,
    and must tell the same of it. `count` is how many settlements a page holds.
    """

    count: int = MOST_SETTLEMENTS

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncIterator[FetchedRows | FailedDays]:
        """The newest days first."""
        pages = _Pages(exchange.client, series, self.count)
        for first, last in reversed(spans_of(days)):
            unbrought = list(days_between(first, last))
            try:
                async for fetched in pages.back_over(tuple(unbrought)):
                    unbrought.pop()
                    yield fetched
            except DeribitBadPayload as error:
                yield FailedDays(unbrought, error)

    def requests(self, series: str, days: Sequence[date]) -> int:
        """A day of a large currency is about one page; each span needs a look before it."""
        return len(days) + len(spans_of(days))


@dataclass(frozen=True, slots=True)
class _Pages:
    """The pages of a currency's settlements."""

    client: DeribitClient
    currency: str
    count: int

    @property
    def _other_count(self) -> int:
        """How many settlements a page holds that is to end elsewhere."""
        return max(1, self.count * 9 // 10)

    async def back_over(self, days: Sequence[date]) -> AsyncIterator[FetchedRows]:
        """Every day of an unbroken span, the last one first."""
        until = moment64(day_window(days[-1]).end)
        stretch, as_of = await insisted(partial(self._first_stretch, until))
        rows = stretch.rows
        for day in reversed(days):
            while not stretch.has_seen(day):
                stretch = await insisted(partial(self._next_stretch, stretch))
                rows = joined_rows([rows, stretch.rows])
            window = day_window(day)
            is_older = rows["settled_at"] < moment64(window.start)
            is_later = rows["settled_at"] >= moment64(window.end)
            yield FetchedRows(
                self.currency,
                day,
                in_order(some_of(rows, ~is_older & ~is_later)),
                as_of,
                is_over=window.end <= as_of,
                is_listed=stretch.floor is not None or not is_later.all(),
            )
            rows = some_of(rows, is_older)

    async def _first_stretch(self, until: Moment) -> tuple[Stretch, datetime]:
        """The newest stretch, which another answer told the beginning of; and the exchange's clock
        before either."""
        look = await self._page(until, _FEW)
        return await self._stretch(until, up_to(look.said.rows, until)), look.as_of

    async def _next_stretch(self, former: Stretch) -> Stretch:
        assert former.floor is not None, "a stretch without a floor is the last one"
        return await self._stretch(former.floor, former.brink)

    async def _stretch(self, until: Moment, told: Columns) -> Stretch:
        """What is told of the time up to a moment, as far back as one page reaches, or as many as
        a millisecond takes. `told` are settlements of then that another answer told."""
        stretch, pages = await self._read(until, self.count)
        if pages > 1:
            # Whether tokens lose what shares a millisecond shows where pages end elsewhere.
            other, _ = await self._read(until, self._other_count)
            with self._expectations():
                require_alike(stretch, other)
        with self._expectations():
            require_told(stretch.within(told), stretch.rows)
        if stretch.floor is None:
            await self._require_end(stretch, until)
        return stretch

    async def _read(self, until: Moment, count: int) -> tuple[Stretch, int]:
        """A stretch, and of how many pages it is."""
        page = (await self._page(until, count)).said
        rows, pages = page.rows, 1
        while page.continuation and not has_a_whole_millisecond(up_to(rows, until)):
            page = (await self._page(until, count, page.continuation)).said
            with self._expectations():
                rows = with_page(rows, page.rows, is_last=page.continuation is None)
            pages += 1
        return stretch_of(up_to(rows, until), is_end=page.continuation is None), pages

    async def _require_end(self, stretch: Stretch, until: Moment) -> None:
        """An answer that says it is the last one is believed where another says so too, and an
        exchange that has no settlements at all is not: it may be down."""
        moments = stretch.rows["settled_at"]
        oldest = moments.min() if len(moments) else until
        again, _ = await self._read(oldest, self._other_count)
        newest = await self._page(None, _FEW)
        with self._expectations():
            if again.floor is not None:
                raise ValueError(f"settlements ended at {oldest}, and there are older ones")
            require_told(again.rows, stretch.rows)
            if not count_of(newest.said.rows):
                raise ValueError("no settlement came, and of the newest ones none either")

    async def _page(
        self, until: Moment | None, count: int, continuation: str | None = None
    ) -> Told[SettlementsPage]:
        # The bound may be inclusive or not: what it adds is told by the answer before it.
        latest = None if until is None else until + np.timedelta64(1, "ms")
        told = await self.client.get_last_settlements_by_currency(
            self.currency,
            count=count,
            search_start_timestamp=None if latest is None else int(latest.astype(np.int64)),
            continuation=continuation,
        )
        with self._expectations():
            require_sound(told.said.rows, self.currency, count=count, latest=latest)
        return told

    def _expectations(self) -> AbstractContextManager[None]:
        return expectations(BY_CURRENCY, currency=self.currency)
