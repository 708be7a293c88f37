"""From windows of rows to trusted pages: a window is requested again if its response is malformed,
is missing rows, or has no neighbour to confirm it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

import numpy as np

from deribit_pipeline.domain.rows import count_of
from deribit_pipeline.domain.windows import Moments, TimeWindow, day_window
from deribit_pipeline.engine.agreement import Claim
from deribit_pipeline.engine.grid_windows import (
    Page,
    SeriesGrid,
    agreement,
    each_once,
    joined_pages,
    read_page,
)
from deribit_pipeline.engine.sampling_grid import SamplingGrid
from deribit_pipeline.engine.trusted_pages import (
    RECHECKS,
    Unproved,
    add_response,
    pages_of,
    settle,
    together,
    unproved_of,
    whole_or_halves,
)
from deribit_pipeline.errors import DeribitError
from deribit_pipeline.exchange.readings import ResponseRows

logger = logging.getLogger(__name__)

ENOUGH = 3
"""How many agreeing neighbours confirm each other. For a short range that costs two more requests;
two neighbours alone can easily be wrong in the same way."""

RowsRequest = Callable[[TimeWindow], Awaitable[ResponseRows]]
"""Requests the rows of a window."""


class PageFetcher:
    """Fetches the windows of one sampling grid until their pages can be trusted.

    `control` requests the rows of a series that is known to have some: if it returns the newest
    ones, the exchange works, and a series without rows has none yet.
    """

    def __init__(
        self, series_grid: SeriesGrid, request: RowsRequest, control: RowsRequest | None = None
    ) -> None:
        self._series_grid = series_grid
        self._request = request
        self._control = control
        self._times = Counter[TimeWindow]()
        self._requested: set[TimeWindow] = set()
        self._has_newest = False
        self._newest_lock = asyncio.Lock()

    @property
    def sampling_grid(self) -> SamplingGrid:
        return self._series_grid.sampling_grid

    async def trusted(self, windows: Sequence[TimeWindow]) -> list[Page | Unproved]:
        """The windows as pieces that cover them, each a trusted page or Unproved.

        Responses that are contradicted or unconfirmed are requested again. Raises DeribitError if
        nothing more is available at all.
        """
        pieces = [
            piece
            for some in await together(self._pages(window) for window in windows)
            for piece in some
        ]
        claims = [Claim(page) for page in pages_of(pieces)]
        settled = await settle(claims, self._request_again, self._contradiction, ENOUGH)
        return [
            *unproved_of(pieces),
            *(
                piece
                if isinstance(piece, Unproved)
                else replace(piece.page, is_confirmed=piece.answers > 1)
                for piece in settled
            ),
        ]

    def recheck_windows(self, moments: Moments) -> list[TimeWindow]:
        """Windows that request the rows at these timestamps, and their neighbours, again."""
        return self._series_grid.rechecks_of(moments) if len(moments) else []

    async def recheck(self, window: TimeWindow, reach: int) -> Page:
        """One response for a window, requested with `reach` additional rows on each side. Raises
        DeribitError."""
        return await self._page(window, reach)

    def unproved(self, day: date, why: str) -> DeribitError:
        """The error for a day whose rows cannot be proved."""
        return self._series_grid.bad_payload(day_window(day), why)

    async def _request_again(self, claim: Claim[Page]) -> None:
        """Request the window again with other bounds: no request repeats the bounds of an earlier
        one."""
        window = claim.page.window
        self._times[window] += 1
        reach = self._times[window]
        parts = self.sampling_grid.again(window, reach)
        pieces = [piece for part in parts for piece in await self._pages(part, reach)]
        add_response(claim, pieces, joined_pages)

    def _contradiction(self, window: TimeWindow) -> DeribitError:
        return self._series_grid.bad_payload(window, "responses contradict each other")

    async def _pages(self, window: TimeWindow, reach: int = 0) -> list[Page | Unproved]:
        request = partial(self._completed, reach=reach)
        return await whole_or_halves(window, request, self._series_grid.halves)

    async def _page(self, window: TimeWindow, reach: int = 0) -> Page:
        while (wide := self.sampling_grid.widened(window, reach)) in self._requested:
            reach += 1  # no request repeats the bounds of an earlier one
        self._requested.add(wide)
        returned = await self._request(self._series_grid.requested(wide))
        rows = each_once(self.sampling_grid.at, returned.value)
        repeated = count_of(returned.value) - count_of(rows)
        if repeated:
            counted = "1 row" if repeated == 1 else f"{repeated} rows"
            note = self._series_grid.bad_payload(
                wide, f"{counted} returned twice, with equal values"
            )
            logger.warning("%s", note)
        page = read_page(self._series_grid, wide, rows, returned.as_of, returned.malformed)
        return page.narrowed(window) if reach else page

    async def _completed(self, window: TimeWindow, reach: int = 0) -> Page:
        """The page with its missing rows added, as far as other windows return them; rows that are
        missing there too stay missing. Raises DeribitBadPayload if they contradict the page."""
        page = await self._page(window, reach)
        for number in range(RECHECKS):
            missing = page.missing
            if not len(missing):
                if not len(page.expected) and not len(page.moments):
                    await self._require_newest_once(page)
                return page
            windows = self._series_grid.rechecks_of(missing)
            rechecks = [await self._page(recheck, reach + number) for recheck in windows]
            if any(page.is_contradicted_by(recheck) for recheck in rechecks):
                break
            for recheck in rechecks:
                # The next recheck agrees with the last one, which added the missing rows.
                if agreement(page.at, page.returned, recheck.returned):
                    page = page.with_found(recheck)
            has_new_rows = any(np.isin(page.missing, recheck.moments).any() for recheck in rechecks)
            if len(page.missing) == len(missing) and not has_new_rows:
                if not len(page.moments):
                    await self._require_newest(page)
                return page
        raise self._series_grid.bad_payload(
            page.window, "responses contradict each other about which rows there are"
        )

    async def _require_newest_once(self, page: Page) -> None:
        """An empty response for a window without expected rows does not differ from an outage. One
        response with the newest rows confirms that the exchange works, for everything fetched."""
        async with self._newest_lock:
            if not self._has_newest:
                await self._require_newest(page)
                self._has_newest = True

    async def _require_newest(self, page: Page) -> None:
        """An exchange that returns no rows at all confirms nothing: it may be down."""
        window = self._series_grid.newest(page.as_of)
        if len((await self._page(window)).moments):
            return
        if self._control is None or not count_of((await self._control(window)).value):
            raise self._series_grid.bad_payload(
                page.window, "no rows were returned, and none of the newest ones either"
            )
