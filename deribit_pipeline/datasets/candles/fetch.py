"""Fetch trusted pages of candles: responses that are malformed, incomplete or unconfirmed are
requested again."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from deribit_pipeline.datasets.candles.calls import Chart, get_tradingview_chart_data, unexpected
from deribit_pipeline.datasets.candles.pages import (
    Page,
    UnexpectedCandles,
    agreement,
    joined,
    read_page,
)
from deribit_pipeline.datasets.candles.requests import ChartRequest, newest, rechecks_of
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import TimeWindow
from deribit_pipeline.engine.agreement import Claim
from deribit_pipeline.engine.trusted_pages import (
    RECHECKS,
    Unproved,
    add_response,
    pages_of,
    settle,
    together,
    whole_or_halves,
)
from deribit_pipeline.errors import DeribitBadPayload, DeribitError, UnknownInstrument
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.session import Exchange

# How often a window is fetched from scratch if its rechecks contradict each other.
_TRIES = 2

# How many agreeing neighbours confirm each other: as many as the responses needed where a single
# request covers everything.
_ENOUGH = 2


def chart_hosts(exchange: Exchange, instrument: Instrument) -> list[DeribitClient]:
    """The hosts to request an instrument's candles from, in order: candles of expired instruments
    move to the archive host, after which www no longer knows the instrument."""
    as_of = exchange.as_of
    if exchange.history is None:
        return [exchange.client]
    if instrument.is_archived:
        return [exchange.history]
    if instrument.expires_at is None or as_of is None or instrument.expires_at > as_of:
        return [exchange.client]
    return [exchange.client, exchange.history]


class ChartFetcher:
    """Fetches the pages of requests.

    `hosts` are tried one after the other if one does not know the instrument. `stopped_by` returns
    the reason why no more requests are made, or None.
    """

    def __init__(
        self,
        hosts: Sequence[DeribitClient],
        stopped_by: Callable[[], DeribitError | None] = lambda: None,
    ) -> None:
        self._client, *self._others = hosts
        self._stopped_by = stopped_by

    async def pages(self, request: ChartRequest, tries: int = _TRIES) -> list[Page | Unproved]:
        """The pages of the request's window, in pieces that cover it.

        Missing candles are requested again, in other windows; those then returned are included in
        the pages, and the rest is `missing`. Raises DeribitUnavailable or DeribitRejected.
        """
        pieces: list[Page | Unproved] = []
        for piece in await self._well_formed_pages(request):
            if isinstance(piece, Unproved) or not len(piece.missing):
                pieces.append(piece)
                continue
            confirmed = await self._confirmed(request, piece)
            if isinstance(confirmed, Unproved) and tries > 1:
                pieces += await self.pages(request.within(piece.window), tries - 1)
            else:
                pieces.append(confirmed)
        return pieces

    async def agreed(
        self, request: ChartRequest, claims: Sequence[Claim[Page]], *, each_twice: bool = False
    ) -> list[Page | Unproved]:
        """The pages of claims about the request's instrument, requested again until each is
        confirmed and none is contradicted; otherwise unproved. With `each_twice`, two responses for
        different windows must agree on every page."""
        repeats: Counter[Claim[Page]] = Counter()

        async def request_again(claim: Claim[Page]) -> DeribitError | None:
            stopped_by = self._stopped_by()
            if stopped_by is not None:
                return stopped_by
            repeats[claim] += 1
            again = request.within(claim.page.window).again(repeats[claim])
            try:
                pieces = await self.pages(again)
            except DeribitError as error:
                return error
            step = request.resolution.duration
            add_response(claim, pieces, lambda pages: joined(pages).reconciled(claim.page, step))
            return None

        def contradiction(window: TimeWindow) -> DeribitError:
            what = "responses contradict each other about its candles"
            return unexpected(request.within(window), what)

        enough = _ENOUGH
        if each_twice:
            enough = len(claims) + 1  # no number of neighbours replaces a second response
            errors = await together(request_again(claim) for claim in claims)
            if (error := next(filter(None, errors), None)) is not None:
                return [Unproved(claim.page.window, error) for claim in claims]
        settled = await settle(claims, request_again, contradiction, enough)
        return [piece if isinstance(piece, Unproved) else piece.page for piece in settled]

    async def recheck(self, request: ChartRequest) -> list[Page]:
        """The well-formed pages of another response for the request's window."""
        return pages_of(await self._well_formed_pages(request))

    async def _well_formed_pages(self, request: ChartRequest) -> list[Page | Unproved]:
        return await whole_or_halves(
            request.window,
            lambda window: self._page(request.within(window)),
            lambda window: [half.window for half in request.within(window).halves()],
        )

    async def _page(self, request: ChartRequest) -> Page:
        requested = request.requested
        chart = await self._chart(request, requested)
        if not len(chart.candles) and request.resolution.anchor is None:
            # An empty response does not show the grid; the candles around the window may.
            requested = request.widened
            chart = await self._chart(request, requested)
        try:
            return read_page(request, chart.candles, chart.as_of, requested)
        except UnexpectedCandles as error:
            raise unexpected(request, str(error)) from error

    async def _chart(self, request: ChartRequest, window: TimeWindow) -> Chart:
        name = request.instrument.instrument_name
        try:
            return await get_tradingview_chart_data(self._client, name, request.resolution, window)
        except UnknownInstrument:
            if not self._others:
                raise
        self._client, *self._others = self._others
        return await self._chart(request, window)

    async def _confirmed(self, request: ChartRequest, page: Page) -> Page | Unproved:
        """The page, once requests for other windows confirm that the same candles are missing;
        unproved if responses contradict each other."""
        try:
            for _ in range(RECHECKS):
                before, rechecks = page, await self._rechecks(request, page)
                if not len(page.candles) and any(len(recheck.present) for recheck in rechecks):
                    raise unexpected(request, "no candle was returned where there are some")
                for recheck in rechecks:
                    # A recheck may only add missing candles if it agrees on the others.
                    if agreement(page.candles, recheck.returned):
                        page = page.with_found(recheck)
                is_settled = len(page.missing) == len(before.missing)
                if not len(page.missing):
                    return page
                if is_settled and not any(_has_new_rows(page, recheck) for recheck in rechecks):
                    if not len(page.candles):
                        await self._require_newest(request, page)
                    return page
            raise unexpected(
                request, "responses contradict each other about which candles there are"
            )
        except DeribitBadPayload as error:
            return Unproved(page.window, error)

    async def _rechecks(self, request: ChartRequest, page: Page) -> list[Page]:
        rechecks: list[Page] = []
        for recheck in rechecks_of(request, page.missing):
            for piece in await self._well_formed_pages(recheck):
                if isinstance(piece, Unproved):
                    raise piece.error
                rechecks.append(piece)
        return rechecks

    async def _require_newest(self, request: ChartRequest, page: Page) -> None:
        """Raise if even the newest candles are missing: the exchange may be down, and an empty
        response then confirms nothing."""
        probe = newest(request, page.as_of)
        chart = await self._chart(probe, probe.requested)
        if not len(chart.candles):
            raise unexpected(request, "no candles were returned, not even the newest ones")


def _has_new_rows(page: Page, recheck: Page) -> bool:
    """Whether a recheck contradicts the page, or has candles that are missing from it."""
    found = np.isin(page.missing, recheck.present)
    return page.is_contradicted_by(recheck) or bool(found.any())
