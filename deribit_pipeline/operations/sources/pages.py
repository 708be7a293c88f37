"""Windows of rows to pages that can be believed: asked for again where an answer is odd, lacks
rows, or stands alone."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from deribit_pipeline.deribit.methods import Told
from deribit_pipeline.domain import TimeWindow
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.planning.hearings import Hearing, doubtful
from deribit_pipeline.planning.rows import Columns
from deribit_pipeline.planning.windows import Lane, Page, agree, joined_pages, read_page

logger = logging.getLogger(__name__)

# How often an odd answer is asked again in halves, what lacks while something new comes, and an
# answer that others contradict.
_HALVINGS = 4
_LOOKS = 3
_ROUNDS = 5

Ask = Callable[[TimeWindow], Awaitable[Told[Columns]]]
"""Asks for the rows that stand in a window."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Unproved:
    """A window of which no believable answer is to be had, and why."""

    window: TimeWindow
    error: DeribitBadPayload


class PageFetcher:
    """Fetches the windows of one lane until they can be believed."""

    def __init__(self, lane: Lane, ask: Ask) -> None:
        self._lane = lane
        self._ask = ask

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
        hearings = [Hearing(piece) for piece in pieces if isinstance(piece, Page)]
        for _ in range(_ROUNDS):
            doubts = doubtful(hearings)
            if not doubts:
                break
            await together(self._hear_again(hearing) for hearing in doubts)
        doubts = doubtful(hearings)
        return [
            *(piece for piece in pieces if isinstance(piece, Unproved)),
            *(
                Unproved(
                    hearing.page.window,
                    self._lane.odd(hearing.page.window, "answers contradict each other"),
                )
                if hearing in doubts
                else replace(hearing.page, is_confirmed=hearing.answers > 1)
                for hearing in hearings
            ),
        ]

    async def _hear_again(self, hearing: Hearing) -> None:
        pieces = await self._pages(hearing.page.window)
        pages = [piece for piece in pieces if isinstance(piece, Page)]
        if len(pages) == len(pieces):
            hearing.hear(joined_pages(pages))

    async def _pages(self, window: TimeWindow, halvings: int = _HALVINGS) -> list[Page | Unproved]:
        """The page of the window, or those of its halves where its own is odd."""
        try:
            return [await self._completed(await self._page(window))]
        except DeribitBadPayload as error:
            if not halvings:
                return [Unproved(window, error)]
            logger.warning("%s; asking again in smaller windows", error)
        pieces: list[Page | Unproved] = []
        for half in self._lane.halves(window):
            # Where nothing before it was to be believed, one try more is enough.
            is_hopeless = bool(pieces) and not any(isinstance(piece, Page) for piece in pieces)
            pieces += await self._pages(half, 0 if is_hopeless else halvings - 1)
        return pieces

    async def _page(self, window: TimeWindow) -> Page:
        told = await self._ask(self._lane.asked(window))
        return read_page(self._lane, window, told.said, told.as_of)

    async def _completed(self, page: Page) -> Page:
        """The page with what it lacked, as far as other windows have it; what still lacks, they
        lack as well. Raises DeribitBadPayload where they contradict it."""
        for _ in range(_LOOKS):
            missing = page.missing
            if not len(missing):
                return page
            looks = [await self._page(look) for look in self._lane.second_looks(missing)]
            if any(page.is_contradicted_by(look) for look in looks):
                break
            for look in looks:
                # The next look agrees with the last one, where that filled what lacked.
                if agree(page.at, page.told, look.told):
                    page = page.with_found(look)
            is_news = any(np.isin(page.missing, look.moments).any() for look in looks)
            if len(page.missing) == len(missing) and not is_news:
                if not len(page.moments):
                    await self._require_newest(page)
                return page
        raise self._lane.odd(
            page.window, "answers contradict each other about which rows there are"
        )

    async def _require_newest(self, page: Page) -> None:
        """An exchange that has no rows at all confirms nothing: it may be down."""
        newest = await self._page(self._lane.newest(page.as_of))
        if not len(newest.moments):
            raise self._lane.odd(page.window, "no rows came, and of the newest ones none either")


async def together(work: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results of all; where one fails, the others are ended."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
