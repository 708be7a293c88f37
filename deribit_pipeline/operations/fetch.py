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


async def fetch_pages(client: DeribitClient, request: ChartRequest) -> list[Page]:
    """The pages that cover the request's window, all gaps confirmed.

    What an answer lacks is asked for a second time, in other windows; what then comes is in the
    pages, and what still lacks is `missing`. Raises a DeribitError where no believable answer is
    to be had.
    """
    return [await _confirmed(client, request, page) for page in await _pages(client, request)]


async def _pages(
    client: DeribitClient, request: ChartRequest, halvings: int = _HALVINGS
) -> list[Page]:
    try:
        asked = request.asked
        chart = await client.get_tradingview_chart_data(
            request.instrument.instrument_name, request.resolution, asked
        )
        return [read_page(request, chart.candles, chart.as_of)]
    except DeribitBadPayload as error:
        if not halvings:
            raise
        logger.warning("%s; asking again in smaller windows", error)
        pages: list[Page] = []
        for half in request.halves():
            pages += await _pages(client, half, halvings - 1)
        return pages


async def _confirmed(client: DeribitClient, request: ChartRequest, page: Page) -> Page:
    if not len(page.missing):
        return page
    looks: list[Page] = []
    for look in second_looks(request, page.missing):
        looks += await _pages(client, look)
    return page.confirmed_by(looks)
