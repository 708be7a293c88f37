"""Recordings in the spool stay until they are proved in the warehouse."""

import logging
from collections.abc import Callable
from datetime import date, timedelta

from deribit_pipeline.domain.windows import day_window
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.spool.folder import Spool

logger = logging.getLogger(__name__)


def opened_spool(exchange: Exchange) -> Spool:
    """The spool of the exchange."""
    assert exchange.spool is not None, "the exchange was opened without a spool"
    return exchange.spool


def remove_proved(exchange: Exchange, stream: str, is_proved: Callable[[date], bool]) -> list[date]:
    """Remove the recordings of a stream's days that are over, not to be kept longer, and proved;
    returns these days."""
    spool, now = opened_spool(exchange), exchange.as_of
    if now is None:
        return []
    kept = timedelta(days=spool.keep_days)
    removed = []
    for day in spool.days(stream):
        if day_window(day).end + kept <= now and is_proved(day):
            spool.remove(stream, day)
            logger.info("Removed the recordings of %s %s: they are proved", stream, day)
            removed.append(day)
    return removed
