"""One WebSocket of the exchange: calls whose responses may arrive in any order, and notifications.

Follows https://docs.deribit.com/articles/json-rpc-overview and the articles on subscriptions.
`subscription` connects again.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitUnavailable,
    NotSubscribed,
    RateLimiterUnavailable,
)
from deribit_pipeline.exchange import envelope, responses, shapes
from deribit_pipeline.exchange.auth import SCOPE, Credentials, Token, warn_of_writes
from deribit_pipeline.exchange.envelope import Body
from deribit_pipeline.exchange.methods import parsed
from deribit_pipeline.exchange.rate_limiter import RateLimitUnreachable
from deribit_pipeline.exchange.rpc import AUTH, Answer
from deribit_pipeline.exchange.transport import Call, Root
from deribit_pipeline.exchange.websocket_access import Times, WebSocketAccess

MOST_CHANNELS = 500
"""Channels in one message of `public/subscribe` (assumption:socket-limits)."""

SUBSCRIBE = "public/subscribe"


@dataclass(frozen=True, slots=True)
class Notification:
    """A message about a channel: its `data`, and the whole message as received."""

    channel: str
    data: Any
    body: bytes = field(repr=False)


OnNotification = Callable[[Notification], Awaitable[None]]
"""Takes a notification; while it waits, nothing more is read from the socket."""


class WebSocket:
    """An open socket. Calls get their responses while `read` runs in another task.

    `test_requested` is set whenever the exchange requests a `public/test`: without one it closes
    the socket.
    """

    def __init__(
        self,
        connection: ClientConnection,
        access: WebSocketAccess,
        received: OnNotification,
        times: Times,
    ) -> None:
        self._connection = connection
        self._access = access
        self._received = received
        self._times = times
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[tuple[Body, bytes, float]]] = {}
        self.test_requested = asyncio.Event()

    async def read(self) -> NoReturn:
        """Read messages until the socket fails. Raises a DeribitError."""
        while True:
            await self._dispatch(await self._message())

    async def call(self, call: Call, secret: Mapping[str, str] | None = None) -> Answer:
        """Call a method; `secret` are parameters that never appear in errors. Raises a
        DeribitError."""
        number = next(self._ids)
        params = {**call.params, **(secret or {})}
        content = {"jsonrpc": "2.0", "id": number, "method": call.method, "params": params}
        response = self._pending[number] = asyncio.get_running_loop().create_future()
        sent_at = time.monotonic()
        try:
            async with asyncio.timeout(self._times.response):
                await self._connection.send(orjson.dumps(content), text=True)
                body, received, came_at = await response
        except TimeoutError as error:
            raise self._failed(
                call, f"no response on the WebSocket within {self._times.response:g} s"
            ) from error
        except ConnectionClosed as error:
            raise self._failed(call, _closed(error, call)) from error
        finally:
            del self._pending[number]
        root, is_testnet = self._access.root, self._access.is_testnet
        result, stamp = envelope.result_of(body, _STATUS, call, root, is_testnet=is_testnet)
        return Answer(
            result, envelope.arrived_at(stamp[0], call), came_at - sent_at, _STATUS, stamp, received
        )

    async def test(self) -> Answer:
        """`public/test`."""
        return await self.call(Call("public/test", {}))

    async def keep_alive(self) -> Answer:
        """Let the exchange send heartbeats, and close the socket if they are not answered."""
        interval = max(10, round(self._times.heartbeat))
        return await self.call(Call("public/set_heartbeat", {"interval": interval}))

    async def login(self, key: Credentials) -> Token:
        """Log the socket in; again before the token expires. Raises a DeribitError."""
        params = {"grant_type": "client_credentials", "scope": SCOPE}
        secret = {"client_id": key.client_id, "client_secret": key.client_secret}
        answer = await self.call(Call(AUTH, params, (key.client_secret,)), secret)
        token = parsed(answer.result, responses.grant, AUTH, **params)
        warn_of_writes(token)
        return token

    async def subscribe(self, channels: Sequence[str]) -> None:
        """Subscribe to channels. Raises NotSubscribed if the exchange leaves some out, when it has
        subscribed the others (assumption:socket-acknowledged); and other DeribitErrors."""
        acknowledged: set[str] = set()
        for first in range(0, len(channels), MOST_CHANNELS):
            some = list(channels[first : first + MOST_CHANNELS])
            call = Call(SUBSCRIBE, {"channels": some})
            await self._acquire(call)
            result = (await self.call(call)).result
            names = parsed(result, _channels, SUBSCRIBE, channels=f"{len(some)} of them")
            acknowledged.update(names)
        left_out = [channel for channel in channels if channel not in acknowledged]
        if left_out:
            raise NotSubscribed(left_out, method=SUBSCRIBE, of=len(channels))

    async def _acquire(self, call: Call) -> None:
        try:
            await asyncio.sleep(await self._access.limiter.acquire())
        except RateLimitUnreachable as error:
            raise RateLimiterUnavailable(
                f"nothing was sent: {error}", method=call.method, params=call.params
            ) from error

    async def _message(self) -> bytes:
        call = reading(self._access.root)
        try:
            async with asyncio.timeout(self._times.silence):
                return await self._connection.recv(decode=False)
        except TimeoutError as error:
            reason = f"no message within {self._times.silence:g} s, not even a heartbeat"
            raise self._failed(call, reason) from error
        except ConnectionClosed as error:
            raise self._failed(call, _closed(error, call)) from error

    async def _dispatch(self, content: bytes) -> None:
        try:
            message = orjson.loads(content)
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict):
            raise self._malformed("a message was not a JSON object")
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        match message.get("method"):
            case "subscription":
                channel = params.get("channel")
                if not isinstance(channel, str):
                    raise self._malformed("a notification does not name its channel")
                await self._received(Notification(channel, params.get("data"), content))
            case "heartbeat":
                if params.get("type") == "test_request":
                    self.test_requested.set()
            case _:
                self._answered(message, content)

    def _answered(self, body: Body, content: bytes) -> None:
        """Pass a response to its call; an error without an `id`, as of a malformed subscription, to
        all calls."""
        number = body.get("id")
        if number is None and body.get("error") is not None:
            waiting = list(self._pending.values())
        else:
            pending = self._pending.get(number) if isinstance(number, int) else None
            waiting = [] if pending is None else [pending]
        for each in waiting:
            if not each.done():
                each.set_result((body, content, time.monotonic()))

    def _failed(self, call: Call, reason: str) -> DeribitUnavailable:
        return DeribitUnavailable(reason, method=call.method, params=call.params)

    def _malformed(self, reason: str) -> DeribitBadPayload:
        call = reading(self._access.root)
        return DeribitBadPayload(reason, method=call.method, params=call.params)


# Responses on a WebSocket have no HTTP status, which decides about errors too: that of a success.
_STATUS = 200


def _channels(result: object) -> list[str]:
    return [shapes.text("channel", name) for name in shapes.array(result)]


def reading(root: Root) -> Call:
    """What is attempted when no method is called, as errors quote it."""
    return Call("websocket", {"url": root.url})


def _closed(error: ConnectionClosed, call: Call) -> str:
    frame = error.rcvd or error.sent
    if frame is None:
        return "the connection was lost"
    by = "the exchange" if error.rcvd else "this client"
    reason = f" {call.quoted(frame.reason)}" if frame.reason else ""
    return f"{by} closed the WebSocket ({frame.code}{reason})"
