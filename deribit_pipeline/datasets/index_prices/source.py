"""The source of index prices: the two-day chart, compared with the delivery prices of its days."""

from collections.abc import Sequence
from datetime import date, timedelta

from deribit_pipeline.datasets.delivery_checks import delivery_prices, index_checked
from deribit_pipeline.datasets.index_prices import INDEX_PRICES
from deribit_pipeline.datasets.index_prices.wire import index_chart
from deribit_pipeline.domain.rows import some_of
from deribit_pipeline.engine.rolling_source import Check, RollingSource
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.entries import Readings
from deribit_pipeline.exchange.methods import ParsedResponse
from deribit_pipeline.warehouse.place import Connection

METHOD = "public/get_index_chart_data"


async def _chart(client: DeribitClient, index_name: str) -> ParsedResponse[Readings]:
    """The two-day chart: the finest one that contains all of yesterday at any time of day. Its
    first point is dropped, even if repeated: it may average only the rest of its span."""
    returned = await client.call(index_chart, METHOD, index_name=index_name, range="2d")
    moments = returned.value.rows["priced_at"]
    rows = some_of(returned.value.rows, moments != moments[:1])
    return ParsedResponse(Readings(rows, returned.value.malformed), returned.as_of)


def _delivered(connection: Connection, index_name: str, days: Sequence[date]) -> Check:
    delivered = delivery_prices(connection, min(days), max(days))
    return lambda fetched: index_checked(fetched, delivered.get(fetched.day, {}).get(index_name))


SOURCE = RollingSource(
    INDEX_PRICES,
    METHOD,
    _chart,
    reach=timedelta(days=3),  # for two days: a longer response is a chart of another range
    witness=_delivered,
)
