"""A WebSocket server that answers as a test says, in the event loop of the test."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from deribit_pipeline.exchange.auth import Credentials
from deribit_pipeline.exchange.rate_limiter import FileBucket, RateLimiter
from deribit_pipeline.exchange.transport import Root
from deribit_pipeline.exchange.websocket_access import WebSocketAccess

Reply = Callable[[Mapping[str, Any]], object]
"""The `result` for the parameters of a call; a dict with `error` is the error, None no response."""


@dataclass
class SocketServer:
    """Answers the methods in `replies`, and notes what it receives.

    `connections` are those that are open, `requests` all calls as received, and `changed` is
    notified of each. `now_us` is its clock, in microseconds since 1970.
    """

    replies: dict[str, Reply] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    is_testnet: bool = False
    now_us: Callable[[], int] = lambda: time.time_ns() // 1000
    url: str = ""
    opened: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        always: dict[str, Reply] = {
            "public/test": lambda _: {"version": "1.2.26"},
            "public/set_heartbeat": lambda _: "ok",
            "public/get_time": lambda _: self.now_us() // 1000,
            "public/subscribe": lambda params: params["channels"][::-1],
        }
        self.replies = always | self.replies

    async def handle(self, connection: ServerConnection) -> None:
        """One connection, until it is closed."""
        self.connections.append(connection)
        self.opened += 1
        await self._notify()
        try:
            with suppress(ConnectionClosed):
                async for message in connection:
                    request = orjson.loads(message)
                    self.requests.append(request)
                    await self._notify()
                    reply = self.replies[request["method"]](request["params"])
                    if reply is not None:
                        await connection.send(orjson.dumps(self.envelope(request["id"], reply)))
        finally:
            self.connections.remove(connection)

    def envelope(self, number: int, reply: object) -> dict[str, Any]:
        now = self.now_us()
        times = {"usIn": now, "usOut": now, "usDiff": 0, "testnet": self.is_testnet}
        envelope: dict[str, Any] = {"jsonrpc": "2.0", "id": number, **times}
        is_error = isinstance(reply, dict) and "error" in reply
        envelope.update(reply if is_error else {"result": reply})  # type: ignore[call-overload]
        return envelope

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so after a connection or a request."""
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(is_so), 20)

    async def publish(self, channel: str, data: object) -> bytes:
        """Send a notification on every connection; returns the message."""
        params = {"channel": channel, "data": data}
        content = orjson.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params})
        await self.send(content)
        return content

    async def send(self, content: bytes) -> None:
        """Send a text message on every connection."""
        for each in list(self.connections):
            await each.send(content, text=True)

    def named(self, method: str) -> list[dict[str, Any]]:
        """The requests of a method."""
        return [each for each in self.requests if each["method"] == method]


@asynccontextmanager
async def serving_sockets(server: SocketServer) -> AsyncIterator[SocketServer]:
    """The server on a free port, as long as the block lasts."""
    async with serve(server.handle, "127.0.0.1", 0, close_timeout=0.1) as serving:
        port = next(iter(serving.sockets)).getsockname()[1]
        server.url = f"ws://127.0.0.1:{port}/ws/api/v2"
        yield server


def access_to(
    server: SocketServer, folder: Path, credentials: Credentials | None = None
) -> WebSocketAccess:
    """Access to a server; the state of its rate limit is in a folder."""
    limiter = RateLimiter(FileBucket(folder / "subscribe"), per_second=1e6, burst=100)
    return WebSocketAccess(Root(server.url, is_websocket=True), False, credentials, limiter)
