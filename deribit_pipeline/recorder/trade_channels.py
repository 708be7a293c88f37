"""Which channels have the trades of the configured instruments, and which streams these become."""

import logging
from collections.abc import Iterator

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.specification import (
    CURRENCIES,
    KINDS,
    kind_and_currency,
    kind_of,
)
from deribit_pipeline.errors import InputError
from deribit_pipeline.selection import Selector
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import INSTRUMENT_STATE, stream_of

logger = logging.getLogger(__name__)

# Deribit's spot pairs trade on another venue (assumption:candles-spot).
_KINDS = tuple(kind for kind in KINDS if kind != "spot")


def trade_channels(settings: Settings) -> dict[str, str]:
    """Channels and their streams: for each kind and settlement currency of the settings'
    instruments, one of trades and one of instrument states.

    They have all instruments of a kind and currency (assumption:socket-channels), also those that
    are listed later. A selector counts for every kind and currency that it does not exclude. Raises
    InputError if there is none.
    """
    names = [name for name in settings.instruments if kind_of(name) in _KINDS]
    found = [kind_and_currency(name) for name in names]
    found += [series for each in settings.selectors for series in _series(each)]
    spot = [name for name in settings.instruments if name not in names]
    why = "the exchange publishes no trades of spot pairs"
    if not found:
        raise InputError(
            "DERIBIT_INSTRUMENTS and DERIBIT_GROUPS name nothing whose trades can be recorded "
            f"({why}): name futures or options, or record without the dataset trades."
        )
    if spot:
        logger.warning("Trades of %s are not recorded: %s", ", ".join(spot), why)
    interval = "raw" if settings.client_id else "100ms"
    channels = {}
    for series in dict.fromkeys(found):
        channels[f"trades.{series}.{interval}"] = stream_of(TRADES.name, series)
        channels[f"instrument.state.{series}"] = stream_of(INSTRUMENT_STATE, series)
    return channels


def _series(selector: Selector) -> Iterator[str]:
    """The kinds and currencies that a selector does not exclude."""
    kinds = ("future",) if selector.is_perpetual else _KINDS
    for kind in kinds:
        if selector.kind in (None, kind):
            currencies = (selector.currency,) if selector.currency else CURRENCIES
            yield from (f"{kind}.{currency}" for currency in currencies)
