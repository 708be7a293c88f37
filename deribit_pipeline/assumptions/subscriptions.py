"""Assumptions about the WebSocket and its channels."""

from deribit_pipeline.assumptions.assumption import (
    Assumption,
    Comparison,
    Known,
    Responses,
    compared,
)
from deribit_pipeline.domain.first_names import first_names
from deribit_pipeline.domain.specification import CURRENCIES, KINDS
from deribit_pipeline.exchange.shapes import array
from deribit_pipeline.exchange.websocket import MOST_CHANNELS
from deribit_pipeline.exchange.websocket_access import (
    SUBSCRIBES_AT_ONCE,
    SUBSCRIBES_PER_SECOND,
    Times,
)

UNKNOWN = "trades.no_such_kind.BTC.100ms"
"""A channel that the exchange does not have."""

CHANNELS = tuple(
    f"{channel}.{kind}.{currency}{interval}"
    for channel, interval in (("trades", ".100ms"), ("instrument.state", ""))
    for kind in KINDS
    if kind != "spot"
    for currency in CURRENCIES
)
"""The channels that may be recorded without an account."""

_TIMES = Times()


def _acknowledged(responses: Responses) -> Comparison:
    names = responses.read("subscription", array)
    found = f"{len(names)} acknowledged, {'with' if UNKNOWN in names else 'without'} it"
    assumed = "an unknown channel is left out of the acknowledgement"
    return compared(assumed, found, holds=bool(names) and UNKNOWN not in names)


def _channels(responses: Responses) -> Comparison:
    names = responses.read("subscription", array)
    missing = [channel for channel in CHANNELS if channel not in names]
    found = f"{first_names(missing, 3)} left out" if missing else "all of them"
    return compared(f"{len(CHANNELS)} channels are acknowledged", found, holds=not missing)


SUBSCRIPTIONS = (
    Assumption(
        "socket-acknowledged",
        "The acknowledgement of `public/subscribe` has the subscribed channels in any order; an "
        "unknown one is left out of it without an error.",
        Known.SEEN,
        "the order also in a recorded acknowledgement",
        "A wrong channel costs the whole subscription: nothing is recorded, and the log says why.",
        _acknowledged,
    ),
    Assumption(
        "socket-channels",
        "`trades.{kind}.{currency}.100ms` and `instrument.state.{kind}.{currency}` exist for "
        "futures, options and their combos, in each currency in which instruments settle.",
        Known.DOCUMENTED,
        "not for every kind and currency",
        "Channels that are left out are named in the log; their trades are fetched, not recorded.",
        _channels,
    ),
    Assumption(
        "socket-trades",
        "Trades are published with the numbers and values that requests return later; of a "
        "combo, also by the instruments of its legs.",
        Known.GUESS,
        "of combos, read off recorded notifications",
        "Trades are fetched where the values differ: see the revisions.",
        untested="it would have to wait for trades",
    ),
    Assumption(
        "socket-heartbeat",
        f"With a heartbeat of {_TIMES.heartbeat:g} s, an open socket is never silent for "
        f"{_TIMES.silence:g} s, and one that does not answer a `test_request` with `public/test` "
        "is closed.",
        Known.SEEN,
        "also documented",
        "Connections are opened again too often or too late; what is missed is fetched.",
        untested="it would take minutes",
    ),
    Assumption(
        "socket-limits",
        f"`public/subscribe` takes {MOST_CHANNELS} channels, {SUBSCRIBES_PER_SECOND:g} times a "
        f"second after a burst of {SUBSCRIBES_AT_ONCE}; an address may have 32 connections, HTTP "
        "and WebSocket together.",
        Known.DOCUMENTED,
        "",
        "Subscriptions are refused, and made again after a pause.",
        untested="it would need more requests than the exchange allows",
    ),
)
