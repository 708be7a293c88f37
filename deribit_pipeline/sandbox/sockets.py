"""The open WebSockets of the sandbox, and what tests do to them."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket

from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.limits import CreditPool
from deribit_pipeline.sandbox.published_channels import Channel, channel_of
from deribit_pipeline.sandbox.socket_faults import SocketFaults
from deribit_pipeline.sandbox.socket_limits import SocketLimits
from deribit_pipeline.sandbox.socket_session import Shared, SocketSession

if TYPE_CHECKING:
    from deribit_pipeline.sandbox.socket_protocol import SocketProtocol

_PUBLISHED_EVERY = 0.02
"""Seconds between two looks at what is due."""


class Sockets:
    """The WebSockets of one exchange. Sockets that subscribe to the same channel share it.

    Public methods and properties may be used from any thread.
    """

    def __init__(
        self,
        exchange: SandboxExchange,
        limits: SocketLimits | None = None,
        faults: SocketFaults | None = None,
    ) -> None:
        limits = limits or SocketLimits()
        self.exchange = exchange
        self.faults = faults or SocketFaults()
        self.connected = 0
        """The number of sockets that were accepted so far."""
        pool = CreditPool(limits.subscribes_per_second, limits.subscribes_in_a_burst)
        self._shared = Shared(exchange, limits, self.faults, pool, self._open)
        self._sessions: set[SocketSession] = set()
        self._channels: dict[str, Channel] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def subscriptions(self) -> list[frozenset[str]]:
        """The channels of each open socket."""
        return [frozenset(session.channels) for session in list(self._sessions)]

    def publish(self) -> None:
        """Send what is due at the exchange's time, and return when it is written."""
        self._in_loop(self._publish)

    def close_all(self) -> None:
        """Close all sockets, without a word."""
        self._in_loop(self._cut_all)

    def _in_loop(self, action: Callable[[], None]) -> None:
        async def run() -> None:
            action()

        if self._loop is not None and self._sessions:
            asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one socket until it is closed."""
        protocol: SocketProtocol = websocket.scope["state"]["socket"]
        if protocol.open_connections > self._shared.limits.connections:
            await websocket.send_denial_response(PlainTextResponse("Too Many Requests", 429))
            return
        await websocket.accept()
        self._loop, session = asyncio.get_running_loop(), SocketSession(protocol, self._shared)
        self._sessions.add(session)
        self.connected += 1
        self._keep_running()
        try:
            while (message := await websocket.receive())["type"] == "websocket.receive":
                session.received(message.get("text") or message.get("bytes", b""))
        finally:
            session.end()
            self._sessions.discard(session)

    def _open(self, names: set[str]) -> set[str]:
        """Publish these channels from now on; returns those that exist."""
        self._publish()  # what is due by now is not for a new reader
        for name in names - self._channels.keys():
            channel = channel_of(name, self.exchange)
            if channel is not None:
                self._channels[name] = channel
        return names & self._channels.keys()

    def _publish(self) -> None:
        now = self.exchange.now_ms()
        for name, channel in list(self._channels.items()):
            readers = [session for session in self._sessions if name in session.channels]
            if not readers:
                # What was missed is not sent later: a new subscription begins anew.
                del self._channels[name]
                continue
            for frame in channel.due(now):
                for session in readers:
                    session.notify(frame)

    def _cut_all(self) -> None:
        for session in list(self._sessions):
            session.cut()

    def _keep_running(self) -> None:
        """Publish, and close sockets as configured, as long as there are any."""
        self._run("publishing", _PUBLISHED_EVERY, self._publish)
        if self.faults.close_every:
            self._run("closing", self.faults.close_every, self._cut_all)

    def _run(self, name: str, every: float, action: Callable[[], None]) -> None:
        async def repeat() -> None:
            while self._sessions:
                await asyncio.sleep(every)
                action()

        if name not in self._tasks or self._tasks[name].done():
            self._tasks[name] = asyncio.get_running_loop().create_task(repeat())
