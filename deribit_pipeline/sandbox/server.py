"""The sandbox over HTTP and WebSocket, on the loopback interface only."""

import asyncio
import gzip
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from deribit_pipeline.sandbox.cache import Cache
from deribit_pipeline.sandbox.corruptions import Wire
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.refusals import texts_of
from deribit_pipeline.sandbox.sockets import Sockets

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
ROOT = "/api/v2"
SOCKET_PATH = "/ws/api/v2"
HISTORY_ROOT = "/history" + ROOT
"""The archive is a separate host of the real exchange; here it is another path."""


class _CutShort(Response):
    """Half of a body, with the content length of the whole."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def application(
    exchange: SandboxExchange,
    faults: Faults | None = None,
    latency: float = 0.0,
    cache: Cache | None = None,
    sockets: Sockets | None = None,
) -> Starlette:
    """The exchange as a web application; every response over HTTP takes
    `latency` seconds.

    The response to a POST has the `id` of its request, null on the archive host; the response to a
    GET has none. `cache` is an optional cache in between. `sockets` are those of the exchange, by
    default without faults.
    """
    faults, sockets = faults or Faults(), sockets or Sockets(exchange)

    async def called(request: Request) -> Response:
        if cache is None or request.method != "GET":
            return await answered(request, *await _call_of(request))
        url = request.url.path + "?" + request.url.query
        kept = cache.kept(url, request.headers)
        if kept is not None:
            return kept
        method, params, number = await _call_of(request)
        return cache.keep(url, await answered(request, method, cache.mixed_up(params), number))

    async def answered(
        request: Request, method: str, params: dict[str, str], number: object
    ) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if latency:
            await asyncio.sleep(latency)
        of_history = request.url.path.startswith(HISTORY_ROOT)
        reply = exchange.answer(
            method,
            params,
            token if scheme.lower() == "bearer" else None,
            of_history=of_history,
        )
        if request.method == "POST":
            reply.body["id"] = None if of_history else number
        return await _response(faults.on(method, reply))

    return Starlette(
        routes=[
            Route(ROOT, called, methods=["POST"]),
            Route(HISTORY_ROOT, called, methods=["POST"]),
            Route(HISTORY_ROOT + "/{method:path}", called, methods=["GET", "POST"]),
            Route(ROOT + "/{method:path}", called, methods=["GET", "POST"]),
            WebSocketRoute(SOCKET_PATH, sockets.serve),
        ]
    )


async def _call_of(request: Request) -> tuple[str, dict[str, str], object]:
    """Method, parameters and id of a GET's query string or a POST's JSON-RPC body."""
    method: str = request.path_params.get("method", "")
    if request.method == "GET":
        return method, dict(request.query_params), None
    try:
        body = orjson.loads(await request.body())
        params = texts_of(body.get("params", {}))
        return method or str(body.get("method", "")), params, body.get("id")
    except (orjson.JSONDecodeError, AttributeError):
        return "", {}, None  # not a method: it is refused


async def _response(wire: Wire) -> Response:
    if wire.stall:
        await asyncio.sleep(wire.stall)
    if wire.is_endless:
        return StreamingResponse(_endless(), media_type="application/json")
    if wire.packed:
        return _packed(wire.packed)
    if wire.reply is None:
        kind = "text/html" if wire.text.startswith("<") else "text/plain"
        return Response(wire.text, wire.status, media_type=kind)
    content = orjson.dumps(wire.reply.body, option=orjson.OPT_SERIALIZE_NUMPY)
    if wire.pause:
        return StreamingResponse(_slowly(content, wire.pause), media_type="application/json")
    if wire.is_gzip:
        return _packed(gzip.compress(content), wire.reply.status)
    whole_or_half = _CutShort if wire.is_cut else Response
    return whole_or_half(content, wire.reply.status, media_type="application/json")


def _packed(content: bytes, status: int = 200) -> Response:
    headers = {"content-encoding": "gzip"}
    return Response(content, status, headers, media_type="application/json")


async def _slowly(content: bytes, pause: float) -> AsyncIterator[bytes]:
    for octet in content:
        await asyncio.sleep(pause)
        yield bytes([octet])


async def _endless() -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(0)  # so that a disconnect of the client ends it
        yield b" " * 65_536


@contextmanager
def serving(
    exchange: SandboxExchange | None = None,
    faults: Faults | None = None,
    latency: float = 0.0,
    port: int = 0,
    cache: Cache | None = None,
    sockets: Sockets | None = None,
) -> Iterator[str]:
    """Serve from a thread inside the block; yields the API root, by default on a free port."""
    listener = socket.create_server((HOST, port))
    app = application(exchange or SandboxExchange(), faults, latency, cache, sockets)
    server = _PromptServer(_config(app))
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True
    )
    thread.start()
    try:
        yield f"http://{HOST}:{listener.getsockname()[1]}{ROOT}"
    finally:
        server.end()
        thread.join()
        listener.close()


def serve(
    port: int,
    exchange: SandboxExchange,
    faults: Faults,
    latency: float,
    announce: Callable[[int], None],
    sockets: Sockets | None = None,
) -> None:
    """Serve until interrupted; calls `announce` with the port. Raises OSError if it is in use."""
    with socket.create_server((HOST, port)) as listener:
        announce(listener.getsockname()[1])
        app = application(exchange, faults, latency, sockets=sockets)
        uvicorn.Server(_config(app)).run(sockets=[listener])


class _PromptServer(uvicorn.Server):
    """A server that stops at once: uvicorn's takes a fifth of a second, too long for thousands of
    tests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._has_started = threading.Event()

    async def main_loop(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._has_started.set()
        await self.on_tick(0)  # the headers of every response
        await self._end.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()

    def end(self) -> None:
        """Stop, from another thread."""
        self._has_started.wait()
        self._loop.call_soon_threadsafe(self._end.set)


def _config(app: Starlette) -> uvicorn.Config:
    # Deliberate faults do not belong in the server's log.
    return uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws=cast(type[asyncio.Protocol], _socket),
        ws_ping_interval=None,  # heartbeats are part of the exchange's own protocol
    )


def _socket(**state: Any) -> asyncio.Protocol:
    from deribit_pipeline.sandbox.socket_protocol import SocketProtocol  # a third of a second

    return SocketProtocol(**state)
