"""One request to one page that can be believed: asked again where an answer is odd or lacks."""

import logging

from deribit_pipeline.deribit.client import DeribitClient
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.planning.pages import Page, read_page
from deribit_pipeline.planning.requests import ChartRequest, second_looks

logger = logging.getLogger(__name__)

# How often an odd answer is asked again in halves. An answer that is odd for every window becomes
# an error after as many requests; 5,000 candles halved four times are some 300.
_HALVINGS = 4


class ChartFetcher:
    """Fetches the pages of requests; `requests` counts what it asked for, whatever it got."""

    def __init__(self, client: DeribitClient) -> None:
        self._client = client
        self.requests = 0

    async def pages(self, request: ChartRequest) -> list[Page]:
        """The pages that cover the request's window, all gaps confirmed.

        What an answer lacks is asked for a second time, in other windows; what then comes is in
        the pages, and what still lacks is `missing`. Raises a DeribitError where no believable
        answer is to be had.
        """
        pages = await self._believable(request, _HALVINGS)
        return [await self._confirmed(request, page) for page in pages]

    async def _believable(self, request: ChartRequest, halvings: int) -> list[Page]:
        try:
            self.requests += 1
            chart = await self._client.get_tradingview_chart_data(
                request.instrument.instrument_name, request.resolution, request.asked
            )
            return [read_page(request, chart.candles, chart.as_of)]
        except DeribitBadPayload as error:
            if not halvings:
                raise
            logger.warning("%s; asking again in smaller windows", error)
            pages: list[Page] = []
            for half in request.halves():
                pages += await self._believable(half, halvings - 1)
            return pages

    async def _confirmed(self, request: ChartRequest, page: Page) -> Page:
        if not len(page.missing):
            return page
        looks: list[Page] = []
        for look in second_looks(request, page.missing):
            looks += await self._believable(look, _HALVINGS)
        return page.confirmed_by(looks)
