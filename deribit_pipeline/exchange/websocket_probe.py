"""A WebSocket for a single use: whether it works, and what the exchange answers on it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from deribit_pipeline.errors import DeribitError, first_of
from deribit_pipeline.exchange.websocket import Notification, WebSocket
from deribit_pipeline.exchange.websocket_access import Times, WebSocketAccess
from deribit_pipeline.exchange.websocket_opening import opened_websocket

Result = TypeVar("Result")

# A channel that the exchange always has.
_CHANNEL = "trades.future.BTC.100ms"


async def probe_websocket(access: WebSocketAccess, seconds: float) -> float:
    """Open a WebSocket, test it and subscribe to one channel; returns the seconds of the test.

    Each response must come within `seconds`. Raises a DeribitError.
    """

    async def use(socket: WebSocket) -> float:
        answer = await socket.test()
        await socket.subscribe([_CHANNEL])
        return answer.latency

    return await used_websocket(access, seconds, use)


async def used_websocket(
    access: WebSocketAccess, seconds: float, use: Callable[[WebSocket], Awaitable[Result]]
) -> Result:
    """The result of `use` with an open socket, whose notifications are ignored. Raises a
    DeribitError."""

    async def ignore(_: Notification) -> None:
        pass

    times, error = Times(silence=seconds, response=seconds), None
    try:
        async with (
            opened_websocket(access, ignore, times) as socket,
            asyncio.TaskGroup() as group,
        ):
            reading = group.create_task(socket.read())
            result = await use(socket)
            reading.cancel()
    except* DeribitError as failed:
        error = first_of(failed)
    if error is not None:
        raise error
    return result
