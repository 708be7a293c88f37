"""Windows of rows to pages that can be believed: asked for again where an answer is odd, lacks
rows, or stands alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import numpy as np

from deribit_pipeline.deribit.methods import Told
from deribit_pipeline.domain import TimeWindow
from deribit_pipeline.errors import DeribitError
from deribit_pipeline.operations.believing import (
    LOOKS,
    Unproved,
    hear,
    pages_of,
    settle,
    together,
    unproved_of,
    whole_or_halves,
)
from deribit_pipeline.planning.agreement import Claim
from deribit_pipeline.planning.rows import Columns
from deribit_pipeline.planning.windows import (
    Cadence,
    Lane,
    Page,
    agreement,
    joined_pages,
    read_page,
)

# So many neighbours that agree support each other. Two more requests for a short range cost little
# where windows are few, and two neighbours are easily mistaken in the same way.
_ENOUGH = 3

Ask = Callable[[TimeWindow], Awaitable[Told[Columns]]]
"""Asks for the rows that stand in a window."""


class PageFetcher:
    """Fetches the windows of one lane until they can be believed."""

    def __init__(self, lane: Lane, ask: Ask) -> None:
        self._lane = lane
        self._ask = ask
        self._are_newest_told = False
        self._asking_newest = asyncio.Lock()

    @property
    def cadence(self) -> Cadence:
        return self._lane.cadence

    async def believed(self, windows: Sequence[TimeWindow]) -> list[Page | Unproved]:
        """What is to be had of the windows, in pieces that cover them.

        Answers that are contradicted or stand alone are asked for again. Raises DeribitError where
        nothing more is to be had at all.
        """
        pieces = [
            piece
            for some in await together(self._pages(window) for window in windows)
            for piece in some
        ]
        claims = [Claim(page) for page in pages_of(pieces)]
        settled = await settle(claims, self._ask_again, self._contradiction, _ENOUGH)
        return [
            *unproved_of(pieces),
            *(
                piece
                if isinstance(piece, Unproved)
                else replace(piece.page, is_confirmed=piece.answers > 1)
                for piece in settled
            ),
        ]

    async def _ask_again(self, claim: Claim[Page]) -> None:
        hear(claim, await self._pages(claim.page.window), joined_pages)

    def _contradiction(self, window: TimeWindow) -> DeribitError:
        return self._lane.odd(window, "answers contradict each other")

    async def _pages(self, window: TimeWindow) -> list[Page | Unproved]:
        return await whole_or_halves(window, self._completed, self._lane.halves)

    async def _page(self, window: TimeWindow) -> Page:
        told = await self._ask(self._lane.asked(window))
        return read_page(self._lane, window, told.said, told.as_of)

    async def _completed(self, window: TimeWindow) -> Page:
        """The page with what it lacked, as far as other windows have it; what still lacks, they
        lack as well. Raises DeribitBadPayload where they contradict it."""
        page = await self._page(window)
        for _ in range(LOOKS):
            missing = page.missing
            if not len(missing):
                if not len(page.expected) and not len(page.moments):
                    await self._require_newest_once(page)
                return page
            looks = [await self._page(look) for look in self._lane.second_looks(missing)]
            if any(page.is_contradicted_by(look) for look in looks):
                break
            for look in looks:
                # The next look agrees with the last one, where that filled what lacked.
                if agreement(page.at, page.told, look.told):
                    page = page.with_found(look)
            is_news = any(np.isin(page.missing, look.moments).any() for look in looks)
            if len(page.missing) == len(missing) and not is_news:
                if not len(page.moments):
                    await self._require_newest(page)
                return page
        raise self._lane.odd(
            page.window, "answers contradict each other about which rows there are"
        )

    async def _require_newest_once(self, page: Page) -> None:
        """Where nothing is expected, no rows are all that there is to see of an outage too. One
        answer with the newest rows vouches for all that is fetched."""
        async with self._asking_newest:
            if not self._are_newest_told:
                await self._require_newest(page)
                self._are_newest_told = True

    async def _require_newest(self, page: Page) -> None:
        """An exchange that has no rows at all confirms nothing: it may be down."""
        newest = await self._page(self._lane.newest(page.as_of))
        if not len(newest.moments):
            raise self._lane.odd(page.window, "no rows came, and of the newest ones none either")
