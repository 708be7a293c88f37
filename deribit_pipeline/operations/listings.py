"""What the exchange says of itself before a backfill begins: its listings and its clock."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from deribit_pipeline.deribit.client import DeribitClient
from deribit_pipeline.domain import Instrument
from deribit_pipeline.errors import DeribitBadPayload

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
    client: DeribitClient, names: Collection[str]
) -> tuple[dict[str, Instrument], datetime]:
    """When each of these instruments was listed and expires, and the exchange's clock.

    Raises UnknownInstrument for one that the exchange does not list.
    """
    found = await asyncio.gather(
        *(_insisted(partial(client.get_instrument, name)) for name in names),
        return_exceptions=True,
    )
    instruments = {}
    for name, instrument in zip(names, found, strict=True):
        if isinstance(instrument, BaseException):
            raise instrument
        instruments[name] = instrument
    as_of = client.rpc.as_of
    assert as_of is not None, "an answer sets the clock"
    return instruments, as_of


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
