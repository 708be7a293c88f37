"""The API calls for the account's history. Bounds are UTC milliseconds."""

from functools import partial

from deribit_pipeline.datasets.account.wire import (
    LOG,
    MOST_ENTRIES,
    MOST_SETTLEMENTS,
    MOST_TRADES,
    SETTLEMENTS,
    TRADES,
    AccountPage,
    log_page,
    settlements_page,
    trades_page,
)
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.methods import LimitedMethod, ParsedResponse

# A call costs 10,000 of 80,000 credits, which are refilled at 10,000 a second.
_LIMITED_LOG = LimitedMethod(LOG, "transaction_log", per_second=1.0, burst=8)


async def get_transaction_log(
    client: DeribitClient,
    currency: str,
    first: int,
    last: int,
    *,
    continuation: str | int | None = None,
) -> ParsedResponse[AccountPage]:
    """`private/get_transaction_log`: entries between two instants, newest first. Needs the scope
    account:read. It has a rate limit of its own, one call a second."""
    return await client.call(
        partial(log_page, currency),
        _LIMITED_LOG,
        currency=currency,
        start_timestamp=first,
        end_timestamp=last,
        count=MOST_ENTRIES,
        continuation=continuation,
    )


async def get_user_trades(
    client: DeribitClient, currency: str, first: int, last: int, *, historical: bool
) -> ParsedResponse[AccountPage]:
    """`private/get_user_trades_by_currency_and_time`: trades between two instants, of the last
    24 hours or, if `historical`, of those that are already indexed. Needs the scope trade:read.

    Of more than 1,000 the exchange omits some, and may report that there are no more
    (assumption:account-pages).
    """
    return await client.call(
        partial(trades_page, currency),
        TRADES,
        currency=currency,
        start_timestamp=first,
        end_timestamp=last,
        count=MOST_TRADES,
        sorting="asc",
        historical=historical,
    )


async def get_settlement_history(
    client: DeribitClient, currency: str, last: int, *, continuation: str | int | None = None
) -> ParsedResponse[AccountPage]:
    """`private/get_settlement_history_by_currency`: the newest up to an instant, which despite its
    name is an upper bound, or those that follow a token. Needs the scope trade:read."""
    return await client.call(
        partial(settlements_page, currency),
        SETTLEMENTS,
        currency=currency,
        count=MOST_SETTLEMENTS,
        search_start_timestamp=last,
        continuation=continuation,
    )
