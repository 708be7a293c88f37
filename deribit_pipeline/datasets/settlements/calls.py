"""The API call for settlements."""

from deribit_pipeline.datasets.settlements.wire import (
    BY_CURRENCY,
    MOST_SETTLEMENTS,
    SettlementsPage,
    settlements,
)
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.methods import ParsedResponse


async def get_last_settlements_by_currency(
    client: DeribitClient,
    currency: str,
    *,
    count: int = MOST_SETTLEMENTS,
    search_start_timestamp: int | None = None,
    continuation: str | int | None = None,
) -> ParsedResponse[SettlementsPage]:
    """`public/get_last_settlements_by_currency`: the newest up to an instant, in UTC milliseconds,
    or those that follow a token. Despite its name, `search_start_timestamp` is an upper bound
    (assumption:settlements-bound)."""
    return await client.call(
        settlements,
        BY_CURRENCY,
        currency=currency,
        count=count,
        search_start_timestamp=search_start_timestamp,
        continuation=continuation,
    )
