"""Sources whose rows lie on a sampling grid: days to windows, and pages to days."""

import asyncio
import sys
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import ClassVar

import numpy as np

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.rows import Columns, Keys, joined_rows, keys_of, some_of
from deribit_pipeline.domain.windows import TimeWindow, day_window
from deribit_pipeline.engine.cross_checks import CrossChecks
from deribit_pipeline.engine.grid_windows import Page, SeriesGrid, joined_pages
from deribit_pipeline.engine.sampling_grid import SamplingGrid
from deribit_pipeline.engine.source import FailedDays, SeriesSource
from deribit_pipeline.engine.trusted_pages import Unproved, together
from deribit_pipeline.engine.window_pages import ENOUGH, PageFetcher, RowsRequest
from deribit_pipeline.engine.witness import Witness
from deribit_pipeline.errors import DeribitError
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.warehouse.warehouse import Warehouse

# How many windows of the finest grid are cross-checked together, and how many such spans are
# fetched at the same time.
_WINDOWS = 30
_SPANS_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """How to request a series on each sampling grid: `listed` is the time in which it exists, None
    if it never does; `witness` is the independent data that its rows are compared with; for
    `control` see PageFetcher."""

    listed: TimeWindow | None
    witness: Witness
    ways: Sequence[tuple[SeriesGrid, RowsRequest]] = ()
    control: RowsRequest | None = None

    def has(self, day: date) -> bool:
        """Whether the series exists on the day."""
        return self.listed is not None and day_window(day).intersection(self.listed) is not None


class WindowedSource(SeriesSource):
    """A source of rows on one sampling grid, or several.

    `nothing` is an empty set of rows. Days before the listing, or before the known beginning of
    history, have no expected rows, but are requested nevertheless; rows returned for them are kept.
    """

    dataset: ClassVar[Dataset]
    sampling_grids: ClassVar[tuple[SamplingGrid, ...]]
    nothing: ClassVar[Columns]

    @abstractmethod
    async def request_plan(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> RequestPlan:
        """The request plan for the days of a series. Raises DeribitError."""

    def requests(self, series: str, days: Sequence[date], *, each_twice: bool = False) -> int:
        """How many requests the days take if every response can be trusted: a window with fewer
        than two neighbours is requested twice; with `each_twice`, every window. The witness takes
        none."""
        enough = sys.maxsize if each_twice else ENOUGH
        return sum(
            sampling_grid.requests(span, enough)
            for span in self._spans(days)
            for sampling_grid in self.sampling_grids
        )

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        """See Source."""
        request_plan = await self.request_plan(exchange, warehouse, series, days)
        listed = [day for day in days if request_plan.has(day)]
        for day in sorted(set(days) - set(listed)):
            yield self._unlisted(exchange, series, day)
        fetchers = [
            PageFetcher(series_grid, request, request_plan.control)
            for series_grid, request in request_plan.ways
        ]
        checks = CrossChecks(
            request_plan.witness, fetchers, self.nothing, series, each_twice=exchange.each_twice
        )
        under_way: deque[asyncio.Task[list[FetchedDay | FailedDays]]] = deque()
        try:
            for span in self._spans(listed):
                under_way.append(asyncio.create_task(self._fetched(series, fetchers, checks, span)))
                if len(under_way) == _SPANS_AT_ONCE:
                    for fetched in await under_way.popleft():
                        yield fetched
            while under_way:
                for fetched in await under_way.popleft():
                    yield fetched
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def _spans(self, days: Sequence[date]) -> list[Sequence[date]]:
        """The days in spans that are cross-checked together."""
        length = min(
            _WINDOWS * sampling_grid.longest // (sampling_grid.rows_per_day * sampling_grid.step)
            for sampling_grid in self.sampling_grids
        )
        return [days[first : first + length] for first in range(0, len(days), length)]

    def _unlisted(self, exchange: Exchange, series: str, day: date) -> FetchedDay:
        as_of = exchange.as_of
        assert as_of is not None  # the listing was requested
        none = keys_of(self.dataset, self.nothing)
        return FetchedDay(series, day, self.nothing, as_of, none, none, is_listed=False)

    async def _fetched(
        self,
        series: str,
        fetchers: Sequence[PageFetcher],
        checks: CrossChecks,
        days: Sequence[date],
    ) -> list[FetchedDay | FailedDays]:
        """The days of a span, once all its windows are fetched and agree, with their rows compared
        with the witness."""
        trusted = await together(
            fetcher.trusted(fetcher.sampling_grid.windows(days)) for fetcher in fetchers
        )
        checked = await checks.checked(trusted)
        fetched: list[FetchedDay | FailedDays] = []
        failed: dict[DeribitError, list[date]] = {}
        for day in days:
            parts = [_parts_of(pieces, day_window(day)) for pieces in trusted]
            error = next((p.error for part in parts for p in part if isinstance(p, Unproved)), None)
            if error is None and (why := checked.unproved(day)):
                error = fetchers[0].unproved(day, why)
            if error is not None:
                failed.setdefault(error, []).append(day)
                continue
            pages = [
                rows.corrected(joined_pages([p for p in part if isinstance(p, Page)]))
                for rows, part in zip(checked.rows, parts, strict=True)
            ]
            fetched.append(
                replace(
                    self._day(series, day, fetchers, pages),
                    verdict=checked.verdict(day),
                    cross_check=checked.cross_check(day),
                )
            )
        return [*fetched, *(FailedDays(days, error) for error, days in failed.items())]

    def _day(
        self, series: str, day: date, fetchers: Sequence[PageFetcher], pages: Sequence[Page]
    ) -> FetchedDay:
        sampling_grids = [fetcher.sampling_grid for fetcher in fetchers]
        rows = joined_rows([page.rows for page in pages])
        as_of = min(page.as_of for page in pages)
        expected = [page.expected for page in pages]
        return FetchedDay(
            series,
            day,
            some_of(rows, np.argsort(keys_of(self.dataset, rows), kind="stable")),
            as_of,
            self._keys(sampling_grids, expected),
            self._keys(sampling_grids, [page.unclosed for page in pages]),
            is_over=day_window(day).end <= as_of,
            is_listed=any(len(moments) > 0 for moments in expected),
            is_confirmed=all(page.is_confirmed for page in pages),
        )

    def _keys(self, sampling_grids: Sequence[SamplingGrid], moments: Sequence[Keys]) -> Keys:
        """The keys of rows at these timestamps, for all sampling grids, sorted."""
        keys = [
            keys_of(
                self.dataset,
                {
                    name: np.full(len(these), label, object)
                    for name, label in sampling_grid.labels.items()
                }
                | {sampling_grid.at: these},
            )
            for sampling_grid, these in zip(sampling_grids, moments, strict=True)
        ]
        return np.sort(np.concatenate(keys))


def _parts_of(pieces: Iterable[Page | Unproved], window: TimeWindow) -> list[Page | Unproved]:
    """The parts of the pieces that overlap a window, sorted by time."""
    parts: list[Page | Unproved] = []
    for piece in sorted(pieces, key=lambda piece: piece.window):
        shared = piece.window.intersection(window)
        if shared:
            parts.append(piece.part(shared) if isinstance(piece, Page) else piece)
    return parts
