"""The calls that bring what the account did. Bounds are UTC milliseconds."""

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

# A call costs 10,000 of 80,000 credits, of which 10,000 come back in a second.
_LIMITED_LOG = LimitedMethod(LOG, "transaction_log", per_second=1.0, burst=8)


async def get_transaction_log(
    client: DeribitClient,
    currency: str,
    first: int,
    last: int,
    *,
    continuation: str | int | None = None,
) -> ParsedResponse[AccountPage]:
    """`private/get_transaction_log`: entries between two moments, newest first. Needs the scope
    account:read. Metered apart, at one call a second."""
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
    """`private/get_user_trades_by_currency_and_time`: trades between two moments, of the last
    24 hours or, `historical`, of those that are indexed by now. Needs the scope trade:read.

    Of more than 1,000 the exchange leaves some out, and may say that there are no more
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
    """`private/get_settlement_history_by_currency`: the newest up to a moment, which despite
    its name is an upper bound, or what follows a token. Needs the scope trade:read."""
    return await client.call(
        partial(settlements_page, currency),
        SETTLEMENTS,
        currency=currency,
        count=MOST_SETTLEMENTS,
        search_start_timestamp=last,
        continuation=continuation,
    )
