"""Channels that stay subscribed: after each failure of the socket it is opened again, after pauses
that grow.

What the exchange publishes meanwhile is not sent again: the listener is notified of each
interruption.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from deribit_pipeline.errors import DeribitError, DeribitRateLimited, NotSubscribed, first_of
from deribit_pipeline.exchange.auth import RENEW_AFTER, Token
from deribit_pipeline.exchange.exchange_clock import ExchangeClock, Fit, Reading, Witness
from deribit_pipeline.exchange.rpc import TIME, Answer
from deribit_pipeline.exchange.transport import Call
from deribit_pipeline.exchange.websocket import Notification, WebSocket
from deribit_pipeline.exchange.websocket_access import Times, WebSocketAccess
from deribit_pipeline.exchange.websocket_opening import opened_websocket

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Is notified of a subscription's messages and connections."""

    async def received(self, notification: Notification) -> None:
        """A notification came. While this waits, nothing more is read from the socket."""

    def connected(self, channels: Sequence[str]) -> None:
        """These channels are subscribed from now on."""

    def alive(self, answer: Answer) -> None:
        """The exchange answered on the socket, with a time that fits its earlier ones; about every
        30 s, also of quiet channels."""

    def disconnected(self, reason: str) -> None:
        """The channels are not subscribed any more."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Pauses before connecting again, in seconds: the first, and the longest, to which it doubles.
    Each is shortened at random by up to a half. A connection that lasted for `steady` seconds
    begins with the first one again."""

    first: float = 0.5
    longest: float = 30.0
    steady: float = 2.0

    def after(self, failures: int, error: DeribitError, luck: float) -> float:
        """The pause after so many failures in a row, the longest one at a rate limit; `luck` is
        from 0 to 1."""
        is_full = isinstance(error, DeribitRateLimited)
        doubled = self.longest if is_full else self.first * 2 ** min(failures - 1, 30)
        return min(self.longest, doubled) * (1 - luck / 2)


class Subscription:
    """Keeps channels subscribed on one socket, which is logged in if there is an API key."""

    def __init__(
        self,
        access: WebSocketAccess,
        channels: Sequence[str],
        listener: Listener,
        *,
        times: Times | None = None,
        pauses: Pauses | None = None,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._access = access
        self._channels = tuple(channels)
        self._listener = listener
        self._times = times or Times()
        self._pauses = pauses or Pauses()
        self._luck = luck
        self._clock = ExchangeClock()
        self._is_connected = False
        self._left_out: tuple[str, ...] = ()

    async def run(self) -> NoReturn:
        """Keep the channels subscribed until cancelled, whatever the exchange does. Raises
        SettingsError if the proxy or the certificates cannot be used."""
        failures = 0
        while True:
            began_at, error = time.monotonic(), None
            try:
                await self._connection()
            except* DeribitError as failed:
                error = first_of(failed)
            assert error is not None
            is_steady = time.monotonic() - began_at >= self._pauses.steady
            failures = 1 if is_steady and self._is_connected else failures + 1
            pause = self._pauses.after(failures, error, self._luck())
            level = logging.WARNING if self._is_connected or failures == 1 else logging.INFO
            logger.log(level, "%s; connecting again in %.1f s", error, pause)
            if self._is_connected:
                self._is_connected = False
                self._listener.disconnected(error.reason)
            await asyncio.sleep(pause)

    async def _connection(self) -> None:
        """Open a socket, subscribe, and keep it alive. Raises a group with the DeribitError with
        which it ends."""
        opened = opened_websocket(self._access, self._listener.received, self._times)
        async with opened as socket, asyncio.TaskGroup() as group:
            group.create_task(socket.read())
            await self._note(socket, await socket.keep_alive())
            if key := self._access.credentials:
                token = await socket.login(key)
                group.create_task(self._renew(socket, token))
            await self._subscribe(socket)
            while True:
                try:
                    async with asyncio.timeout(self._times.heartbeat):
                        await socket.test_requested.wait()
                except TimeoutError:
                    pass
                socket.test_requested.clear()
                await self._note(socket, await socket.test())

    async def _subscribe(self, socket: WebSocket) -> None:
        """Subscribe to all channels that the exchange has. Others are an error of this package or
        of its settings, which is logged: one wrong name must not cost the rest."""
        left_out: tuple[str, ...] = ()
        try:
            await socket.subscribe(self._channels)
        except NotSubscribed as error:
            left_out = error.channels
            if len(left_out) == len(self._channels):
                raise
            if left_out != self._left_out:
                logger.error("%s", error)
        self._left_out = left_out
        self._is_connected = True
        self._listener.connected([name for name in self._channels if name not in left_out])

    async def _renew(self, socket: WebSocket, token: Token) -> NoReturn:
        """Log in again before the token expires."""
        assert self._access.credentials is not None
        while True:
            await asyncio.sleep(token.expires_in * RENEW_AFTER)
            token = await socket.login(self._access.credentials)

    async def _note(self, socket: WebSocket, answer: Answer) -> None:
        """Notify the listener of a response, unless its time does not fit the earlier ones."""

        async def witness() -> Witness | None:
            try:
                other = await socket.call(Call(TIME, {}))
            except DeribitError as error:
                logger.info("The exchange's time could not be confirmed: %s", error)
                return None
            now_ms = other.result if type(other.result) is int else None
            return Witness(_reading(other), now_ms)

        if await self._clock.settled(_reading(answer), witness) is Fit.WELL:
            self._listener.alive(answer)


def _reading(answer: Answer) -> Reading:
    came_at = time.monotonic()
    return Reading(answer.stamp[0], came_at - answer.latency, came_at)
