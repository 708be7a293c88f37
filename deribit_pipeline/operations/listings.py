"""What the exchange says of itself before a backfill begins: its listings and its clock."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from deribit_pipeline.deribit.client import DeribitClient
from deribit_pipeline.domain import Instrument
from deribit_pipeline.errors import DeribitBadPayload, DeribitError, UnknownInstrument
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.warehouse.file import Warehouse
from deribit_pipeline.warehouse.instruments import listings as held_listings

logger = logging.getLogger(__name__)

CLOCK_TOLERANCE = timedelta(minutes=1)
"""How far this machine's clock may be from the exchange's without a word."""


# How often an odd answer is asked for before it is the exchange's last word.
_TRIES = 3

Told = TypeVar("Told")


async def exchange_time(client: DeribitClient) -> datetime:
    """The exchange's clock."""
    return await _insisted(client.get_time)


async def listings(
    exchange: Exchange, warehouse: Warehouse, names: Collection[str]
) -> tuple[dict[str, Instrument], datetime]:
    """When each of these instruments was listed and expires, and the exchange's clock.

    Of what expired long ago, which www knows no more, the archive host tells, or else the table
    `instruments`. Raises UnknownInstrument for one that the exchange does not list.
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


async def _listing(exchange: Exchange, warehouse: Warehouse, name: str) -> Instrument:
    try:
        return await _insisted(partial(exchange.client.get_instrument, name))
    except UnknownInstrument as unknown:
        instrument = await _archived(exchange, name) or await asyncio.to_thread(
            _held, warehouse, name
        )
        # What trades, www knows: that it does not say so for once is no reason to ask the archive.
        if instrument is None or instrument.expires_at is None:
            raise unknown
        if instrument.expires_at > (exchange.as_of or await exchange_time(exchange.client)):
            raise unknown
        return replace(instrument, is_archived=True)


async def _archived(exchange: Exchange, name: str) -> Instrument | None:
    if exchange.history is None:
        return None
    try:
        return await _insisted(partial(exchange.history.get_instrument, name))
    except UnknownInstrument:
        return None
    except DeribitError as error:
        logger.warning("Whether %s expired long ago, the archive cannot say: %s", name, error)
        return None


def _held(warehouse: Warehouse, name: str) -> Instrument | None:
    with warehouse.reading() as connection:
        return held_listings(connection, [name]).get(name)


async def _insisted(call: Callable[[], Awaitable[Told]]) -> Told:
    for _ in range(_TRIES - 1):
        try:
            return await call()
        except DeribitBadPayload as error:
            logger.info("%s; asking again", error)
    return await call()


def warn_of_clock(as_of: datetime) -> None:
    """Say when this machine's clock is wrong. Nothing depends on it: closed is what the exchange
    calls closed."""
    difference = datetime.now(UTC) - as_of
    if abs(difference) > CLOCK_TOLERANCE:
        logger.warning(
            "This machine's clock differs from the exchange's by %.0f s; the exchange's is used",
            difference.total_seconds(),
        )
