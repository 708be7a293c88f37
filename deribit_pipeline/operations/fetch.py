"""Requests to pages that can be believed: asked again where an answer is odd, lacks, or stands
alone."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from deribit_pipeline.deribit.client import Chart, DeribitClient
from deribit_pipeline.domain import Instrument, TimeWindow
from deribit_pipeline.errors import DeribitBadPayload, DeribitError, UnknownInstrument
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.planning.agreement import Claim, doubtful
from deribit_pipeline.planning.pages import Page, agree, contradict, joined, odd, read_page
from deribit_pipeline.planning.requests import ChartRequest, newest, second_looks

logger = logging.getLogger(__name__)

# How often an odd answer is asked again in halves: 5,000 candles halved four times are some 300.
_HALVINGS = 4

# How often what lacks is asked again while something new comes.
_LOOKS = 3

# How often an answer is asked for anew where looks contradict it, and where others do.
_TRIES = 2
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Unproved:
    """A window of which no believable answer is to be had, and why."""

    window: TimeWindow
    error: DeribitError


def chart_hosts(exchange: Exchange, instrument: Instrument) -> list[DeribitClient]:
    """Who tells the candles of an instrument, in the order to ask: of what has expired, the archive
    host does, once www knows it no more."""
    as_of = exchange.as_of
    if exchange.history is None:
        return [exchange.client]
    if instrument.is_archived:
        return [exchange.history]
    if instrument.expires_at is None or as_of is None or instrument.expires_at > as_of:
        return [exchange.client]
    return [exchange.client, exchange.history]


class ChartFetcher:
    """Fetches the pages of requests; `requests` counts what it asked for, whatever it got.

    `hosts` are asked one after the other where one does not know the instrument. `stopped_by` says
    why nothing more is to be asked for, where that is so.
    """

    def __init__(
        self,
        hosts: Sequence[DeribitClient],
        stopped_by: Callable[[], DeribitError | None] = lambda: None,
    ) -> None:
        self._client, *self._others = hosts
        self._stopped_by = stopped_by
        self.requests = 0

    async def pages(self, request: ChartRequest, tries: int = _TRIES) -> list[Page | Unproved]:
        """What is to be had of the request's window, in pieces that cover it.

        What an answer lacks is asked for again, in other windows; what then comes is in the pages,
        and what still lacks is `missing`. Raises DeribitUnavailable or DeribitRejected.
        """
        pieces: list[Page | Unproved] = []
        for piece in await self._believable(request, _HALVINGS):
            if isinstance(piece, Unproved) or not len(piece.missing):
                pieces.append(piece)
                continue
            confirmed = await self._confirmed(request, piece)
            if isinstance(confirmed, Unproved) and tries > 1:
                pieces += await self.pages(request.within(piece.window), tries - 1)
            else:
                pieces.append(confirmed)
        return pieces

    async def agreed(self, claims: Sequence[Claim]) -> list[Page | Unproved]:
        """The pages of the claims, asked for again until none is contradicted or stands alone;
        unproved where that never comes."""
        doubts, error = doubtful(claims), None
        for _ in range(_ROUNDS):
            if not doubts or error is not None:
                break
            errors = await asyncio.gather(*(self._ask_again(claim) for claim in doubts))
            error = next((one for one in errors if one is not None), None)
            doubts = doubtful(claims)
        return [
            Unproved(
                claim.page.window,
                error or odd(claim.request, "answers contradict each other about its candles"),
            )
            if claim in doubts
            else claim.page
            for claim in claims
        ]

    async def _ask_again(self, claim: Claim) -> DeribitError | None:
        """Hear another answer; where none comes, why."""
        stopped_by = self._stopped_by()
        if stopped_by is not None:
            return stopped_by
        try:
            pieces = await self.pages(claim.request)
        except DeribitError as error:
            return error
        pages = [piece for piece in pieces if isinstance(piece, Page)]
        is_torn = any(contradict(a.candles, b.before) for a, b in pairwise(pages))
        if len(pages) == len(pieces) and not is_torn:
            claim.hear(joined(pages))
        return None

    async def _believable(self, request: ChartRequest, halvings: int) -> list[Page | Unproved]:
        """The page of the request, or those of its halves where its own cannot be believed."""
        try:
            return [await self._page(request)]
        except DeribitBadPayload as error:
            if not halvings:
                return [Unproved(request.window, error)]
            logger.warning("%s; asking again in smaller windows", error)
        pieces: list[Page | Unproved] = []
        for half in request.halves():
            # Where nothing before it was to be believed, one try more is enough.
            is_hopeless = bool(pieces) and not any(isinstance(piece, Page) for piece in pieces)
            pieces += await self._believable(half, 0 if is_hopeless else halvings - 1)
        return pieces

    async def _page(self, request: ChartRequest) -> Page:
        chart = await self._chart(request, request.asked)
        if not len(chart.candles) and request.resolution.anchor is None:
            # Nothing shows on which grid they open; the neighbours may.
            chart = await self._chart(request, request.widened)
        return read_page(request, chart.candles, chart.as_of)

    async def _chart(self, request: ChartRequest, window: TimeWindow) -> Chart:
        self.requests += 1
        name = request.instrument.instrument_name
        try:
            return await self._client.get_tradingview_chart_data(name, request.resolution, window)
        except UnknownInstrument:
            if not self._others:
                raise
        self._client, *self._others = self._others
        return await self._chart(request, window)

    async def _confirmed(self, request: ChartRequest, page: Page) -> Page | Unproved:
        """The page, once other windows lack the same; unproved where answers contradict."""
        try:
            for _ in range(_LOOKS):
                before, looks = page, await self._looks(request, page)
                if not len(page.candles) and any(len(look.candles) for look in looks):
                    raise odd(request, "no candle came where there are some")
                for look in looks:
                    # The next look agrees with the last one, where that filled what lacked.
                    if agree(page.candles, look.told):
                        page = page.with_found(look)
                is_settled = len(page.missing) == len(before.missing)
                if not len(page.missing):
                    return page
                if is_settled and not any(_is_news(page, look) for look in looks):
                    if not len(page.candles):
                        await self._require_newest(request, page)
                    return page
            raise odd(request, "answers contradict each other about which candles there are")
        except DeribitBadPayload as error:
            return Unproved(page.window, error)

    async def _looks(self, request: ChartRequest, page: Page) -> list[Page]:
        looks: list[Page] = []
        for look in second_looks(request, page.missing):
            for piece in await self._believable(look, _HALVINGS):
                if isinstance(piece, Unproved):
                    raise piece.error
                looks.append(piece)
        return looks

    async def _require_newest(self, request: ChartRequest, page: Page) -> None:
        """An exchange that has no candles at all confirms nothing: it may be down."""
        probe = newest(request, page.as_of)
        chart = await self._chart(probe, probe.asked)
        if not len(chart.candles):
            raise odd(request, "no candles came, and of the newest ones none either")


def _is_news(page: Page, look: Page) -> bool:
    """Whether a look says something else than the page, or has what the page lacks."""
    found = np.isin(page.missing, look.candles.opened_at)
    return page.is_contradicted_by(look) or bool(found.any())
