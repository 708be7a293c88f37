"""What a backfill requests from the exchange before it begins: listings and the clock."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import eq

from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.errors import DeribitBadPayload, DeribitError, UnknownInstrument
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.methods import LimitedMethod, ParsedResponse
from deribit_pipeline.exchange.repeats import until_two_agree, until_valid
from deribit_pipeline.exchange.rpc import Answer
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.exchange.transport import MEBIBYTE
from deribit_pipeline.instruments.history import listed_names
from deribit_pipeline.instruments.history import listings as held_listings
from deribit_pipeline.instruments.wire import (
    ANY_CURRENCY,
    CURRENCIES,
    INSTRUMENTS,
    Listed,
    currencies,
    index_price_names,
    listed,
)
from deribit_pipeline.selection import Selector, nearest
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

Listings = Mapping[str, Instrument]
"""Instruments by name, as the exchange lists them."""

# A separate rate limit: 1 call a second after a burst of 50 (assumption:limits-lists). The listing
# of a currency is 5 MB, and the archive's has every option since 2016.
_LISTS = LimitedMethod(
    INSTRUMENTS,
    "instruments",
    per_second=1.0,
    burst=50,
    times_timeout=4.0,
    most_bytes=256 * MEBIBYTE,
)

CLOCK_TOLERANCE = timedelta(minutes=1)
"""How far this machine's clock may differ from the exchange's without a warning."""


async def get_specifications(
    client: DeribitClient, currency: str, *, is_expired: bool = False, kind: str | None = None
) -> ParsedResponse[Listed]:
    """`public/get_instruments`: current or expired instruments. Has a separate rate limit, of one
    call a second.

    Of expired instruments, www returns the newest only; the archive host returns all
    (assumption:instruments-archived).
    """
    params: dict[str, object] = {"currency": currency, "expired": is_expired} | (
        {"kind": kind} if kind else {}
    )
    return await client.call(listed, _LISTS, **params)


async def listing_as_received(client: DeribitClient, currency: str) -> Answer:
    """`public/get_instruments` for the current instruments of a currency, as it was received."""
    return await client.answer(_LISTS, currency=currency, expired=False)


async def get_currencies(client: DeribitClient) -> ParsedResponse[list[str]]:
    """`public/get_currencies`: every currency that the exchange has at the moment."""
    return await client.call(currencies, CURRENCIES)


async def get_index_price_names(client: DeribitClient) -> ParsedResponse[list[str]]:
    """`public/get_index_price_names`: every index that the exchange has."""
    return await client.call(index_price_names, "public/get_index_price_names")


async def exchange_time(client: DeribitClient) -> datetime:
    """The exchange's clock."""
    return await until_valid(client.get_time)


async def index_names(client: DeribitClient) -> list[str]:
    """Every price index that the exchange has."""
    return (await until_valid(partial(get_index_price_names, client))).value


async def listings(
    exchange: Exchange, warehouse: Warehouse, names: Collection[str]
) -> tuple[dict[str, Instrument], datetime]:
    """When each of these instruments was listed and expires, and the exchange's clock.

    Listings of long expired instruments, which www no longer has, come from the archive host, or
    else from the table `instruments`. Raises UnknownInstrument for one that the exchange does not
    list.
    """
    found = await asyncio.gather(
        *(_listing(exchange, warehouse, name) for name in names), return_exceptions=True
    )
    instruments = {}
    for name, instrument in zip(names, found, strict=True):
        if isinstance(instrument, BaseException):
            raise instrument
        instruments[name] = instrument
    return instruments, exchange.as_of or await exchange_time(exchange.client)


async def near_names(exchange: Exchange, warehouse: Warehouse, name: str) -> list[str]:
    """Currently listed instruments with a similar name, from the exchange, or from the table
    `instruments` if it does not respond."""
    try:
        returned = await get_specifications(exchange.client, ANY_CURRENCY)
    except DeribitError as error:
        logger.info("The instruments with names like %s were not returned: %s", name, error)
        names = await asyncio.to_thread(_listed_names, warehouse)
    else:
        names = [each.instrument_name for each in returned.value.specifications]
    return nearest(name, names)


async def agreed_listing(exchange: Exchange, warehouse: Warehouse, name: str) -> Instrument:
    """As `listings`, for one instrument, requested until two responses agree: for cases in which a
    wrong listing would keep days from being requested."""
    contradiction = DeribitBadPayload(
        "responses contradict each other about the listing",
        method="public/get_instrument",
        params={"instrument_name": name},
    )
    return await until_two_agree(partial(_listing, exchange, warehouse, name), eq, contradiction)


async def _listing(exchange: Exchange, warehouse: Warehouse, name: str) -> Instrument:
    try:
        return await until_valid(partial(exchange.client.get_instrument, name))
    except UnknownInstrument as unknown:
        instrument = await _archived(exchange, name) or await asyncio.to_thread(
            _held, warehouse, name
        )
        # www lists all instruments that have not expired: for these, its response takes precedence.
        if instrument is None or instrument.expires_at is None:
            raise unknown
        if instrument.expires_at > (exchange.as_of or await exchange_time(exchange.client)):
            raise unknown
        return replace(instrument, is_archived=True)


async def _archived(exchange: Exchange, name: str) -> Instrument | None:
    if exchange.history is None:
        return None
    try:
        return await until_valid(partial(exchange.history.get_instrument, name))
    except UnknownInstrument:
        return None
    except DeribitError as error:
        logger.warning("Whether %s expired is unknown, the archive host failed: %s", name, error)
        return None


def _listed_names(warehouse: Warehouse) -> list[str]:
    with warehouse.reading() as connection:
        return listed_names(connection, Selector())


def _held(warehouse: Warehouse, name: str) -> Instrument | None:
    with warehouse.reading() as connection:
        return held_listings(connection, [name]).get(name)


def warn_of_clock(as_of: datetime) -> None:
    """Log a warning if this machine's clock is wrong. Nothing depends on it: whether a row is
    closed is decided by the exchange's clock."""
    difference = datetime.now(UTC) - as_of
    if abs(difference) > CLOCK_TOLERANCE:
        logger.warning(
            "This machine's clock differs from the exchange's by %.0f s; the exchange's is used",
            difference.total_seconds(),
        )
