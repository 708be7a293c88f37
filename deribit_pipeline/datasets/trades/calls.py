"""The API calls for trades of one instrument, by number and by time, on www and on the archive.

`count` is the maximum number of returned trades: up to 1,000 from www, 10,000 from the archive.
`has_more` is unreliable on the archive, and ignored. Rows of the archive are unordered, and some
are outside the requested range: they count towards `count`.
"""

import logging
from datetime import datetime

from deribit_pipeline.datasets.trades.typed_trades import decode_trades
from deribit_pipeline.datasets.trades.wire import TradesPage, trades_page
from deribit_pipeline.domain.windows import to_ms
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.methods import DecodedMethod, ParsedResponse

logger = logging.getLogger(__name__)

BY_NUMBER = "public/get_last_trades_by_instrument"
BY_TIME = "public/get_last_trades_by_instrument_and_time"


async def get_trades(
    client: DeribitClient, instrument_name: str, first: int, last: int, count: int
) -> ParsedResponse[TradesPage]:
    """`public/get_last_trades_by_instrument`: the trades with the numbers `first` to `last`,
    both included."""
    return await _trades(
        client, BY_NUMBER, instrument_name, count, "asc", start_seq=first, end_seq=last
    )


async def get_newest_trades(
    client: DeribitClient, instrument_name: str, count: int
) -> ParsedResponse[TradesPage]:
    """`public/get_last_trades_by_instrument`: the newest trades."""
    return await _trades(client, BY_NUMBER, instrument_name, count, "desc")


async def get_trades_from(
    client: DeribitClient, instrument_name: str, start: datetime, end: datetime, count: int
) -> ParsedResponse[TradesPage]:
    """`public/get_last_trades_by_instrument_and_time`: the first trades from `start` on, which
    come before `end`."""
    return await _trades_in(client, instrument_name, start, end, count, "asc")


async def get_trades_before(
    client: DeribitClient, instrument_name: str, start: datetime, end: datetime, count: int
) -> ParsedResponse[TradesPage]:
    """`public/get_last_trades_by_instrument_and_time`: the last trades before `end`, which
    come from `start` on."""
    return await _trades_in(client, instrument_name, start, end, count, "desc")


async def _trades_in(
    client: DeribitClient,
    instrument_name: str,
    start: datetime,
    end: datetime,
    count: int,
    sorting: str,
) -> ParsedResponse[TradesPage]:
    return await _trades(
        client,
        BY_TIME,
        instrument_name,
        count,
        sorting,
        start_timestamp=to_ms(start),
        end_timestamp=to_ms(end) - 1,  # Deribit's end is inclusive
    )


async def _trades(
    client: DeribitClient,
    method: str,
    instrument_name: str,
    count: int,
    sorting: str,
    **requested: int,
) -> ParsedResponse[TradesPage]:
    returned = await client.call(
        lambda answer: trades_page(answer, instrument_name, count),
        DecodedMethod(method, decode_trades),
        instrument_name=instrument_name,
        **requested,
        count=count,
        sorting=sorting,
    )
    if returned.value.repeated:
        logger.warning(
            "%s: %d trades of %s were returned twice in one response, equal in every field",
            method,
            returned.value.repeated,
            instrument_name,
        )
    return returned
