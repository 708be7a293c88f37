"""What the exchange says of itself before a backfill begins: its listings and its clock."""

import asyncio
import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from deribit_pipeline.deribit.client import DeribitClient
from deribit_pipeline.domain import Instrument

logger = logging.getLogger(__name__)

CLOCK_TOLERANCE = timedelta(minutes=1)
"""How far this machine's clock may be from the exchange's without a word."""


async def listings(
    client: DeribitClient, names: Collection[str]
) -> tuple[dict[str, Instrument], datetime]:
    """When each of these instruments was listed and expires, and the exchange's clock.

    Raises UnknownInstrument for one that the exchange does not list.
    """
    found = await asyncio.gather(
        *(client.get_instrument(name) for name in names), return_exceptions=True
    )
    instruments = {}
    for name, instrument in zip(names, found, strict=True):
        if isinstance(instrument, BaseException):
            raise instrument
        instruments[name] = instrument
    as_of = client.rpc.as_of
    assert as_of is not None, "an answer sets the clock"
    return instruments, as_of


def warn_of_clock(as_of: datetime) -> None:
    """Say when this machine's clock is wrong. Nothing depends on it: closed is what the exchange
    calls closed."""
    difference = datetime.now(UTC) - as_of
    if abs(difference) > CLOCK_TOLERANCE:
        logger.warning(
            "This machine's clock differs from the exchange's by %.0f s; the exchange's is used",
            difference.total_seconds(),
        )
