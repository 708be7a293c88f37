"""Faults of WebSockets on demand: what becomes of a notification on its way to one socket."""

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

Frames = list[bytes]


def _of_middle_trade(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., Frames]:
    """A fault of the trade in the middle of a notification; others are unchanged."""

    def fault(frame: bytes, held: Frames) -> Frames:
        message = orjson.loads(frame)
        trades = message["params"]["data"]
        if isinstance(trades, list):
            middle = len(trades) // 2
            trades[middle] |= change(trades[middle])
        return [orjson.dumps(message)]

    return fault


def _held(frame: bytes, held: Frames) -> Frames:
    """Nothing now: the notification is sent after the next one."""
    held.append(frame)
    return []


SILENCE = "socket_silence"
"""From this notification on, the socket stays open and nothing is sent, not even heartbeats."""

SOCKET_FAULTS: dict[str, Callable[[bytes, Frames], Frames]] = {
    "socket_skips": lambda frame, held: [],
    "socket_repeats": lambda frame, held: [frame, frame],
    "socket_swaps": _held,
    "socket_malformed_trade": _of_middle_trade(lambda trade: {"price": None}),
    "socket_wrong_price": _of_middle_trade(lambda trade: {"price": round(trade["price"] * 2, 8)}),
    SILENCE: lambda frame, held: [],
}
"""The faults by name: the frames to send instead of one notification, given those held back."""


class SocketFaults:
    """Which notifications are corrupted: a random share of all, or the next ones in order.

    `close_every` closes all sockets after so many seconds, again and again; 0 never does.
    While `is_silent`, all sockets stay open and nothing is sent or answered, not even heartbeats.
    """

    def __init__(self, rates: Mapping[str, float] | None = None, close_every: float = 0.0) -> None:
        self._rates = dict(rates or {})
        self.close_every = close_every
        self.is_silent = False
        self._rng = random.Random(0)  # apart from that of the faults of HTTP
        self._next: list[str] = []

    def corrupt_next(self, names: Iterable[str]) -> None:
        """Corrupt the next notifications, one fault each in this order."""
        self._next.extend(names)

    def mend(self) -> None:
        """Stop corrupting notifications."""
        self._rates, self._next = {}, []

    def chosen(self) -> str | None:
        """The fault of the next notification."""
        if self._next:
            return self._next.pop(0)
        rng = self._rng.random() if self._rates else 1.0
        for name, rate in self._rates.items():
            rng -= rate
            if rng < 0:
                return name
        return None
