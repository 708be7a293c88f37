"""Whether the exchange's WebSocket can be used."""

import asyncio
from typing import NoReturn

from deribit_pipeline.errors import DeribitError
from deribit_pipeline.exchange.subscription import first_of
from deribit_pipeline.exchange.websocket import Notification, WebSocket
from deribit_pipeline.exchange.websocket_access import Times, WebSocketAccess
from deribit_pipeline.exchange.websocket_opening import opened_websocket

# A channel that the exchange always has.
_CHANNEL = "trades.future.BTC.100ms"


async def probe_websocket(access: WebSocketAccess, seconds: float) -> float:
    """Open a WebSocket, test it and subscribe to one channel; returns the seconds of the test.

    Each response must come within `seconds`. Raises a DeribitError.
    """

    async def ignore(_: Notification) -> None:
        pass

    times = Times(silence=seconds, response=seconds)
    try:
        async with (
            opened_websocket(access, ignore, times) as socket,
            asyncio.TaskGroup() as group,
        ):
            reading: asyncio.Task[NoReturn] = group.create_task(socket.read())
            latency = await _used(socket)
            reading.cancel()
    except* DeribitError as failed:
        raise first_of(failed) from failed
    return latency


async def _used(socket: WebSocket) -> float:
    answer = await socket.test()
    await socket.subscribe([_CHANNEL])
    return answer.latency
