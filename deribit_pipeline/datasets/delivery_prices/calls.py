"""The API call for delivery prices."""

from deribit_pipeline.datasets.delivery_prices.wire import (
    MOST_DELIVERY_PRICES,
    DeliveryPage,
    delivery_prices,
)
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.methods import ParsedResponse


async def get_delivery_prices(
    client: DeribitClient, index_name: str, *, offset: int = 0, count: int = MOST_DELIVERY_PRICES
) -> ParsedResponse[DeliveryPage]:
    """`public/get_delivery_prices`: prices after the newest `offset` ones. A price that is added
    between two calls shifts the offsets."""
    return await client.call(
        delivery_prices,
        "public/get_delivery_prices",
        index_name=index_name,
        offset=offset,
        count=count,
    )
