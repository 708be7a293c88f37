"""Channels stay subscribed: after each failure the socket is opened again."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from deribit_pipeline.errors import DeribitRateLimited, DeribitUnavailable
from deribit_pipeline.exchange.auth import Credentials
from deribit_pipeline.exchange.rpc import Answer
from deribit_pipeline.exchange.subscription import Pauses, Subscription
from deribit_pipeline.exchange.websocket import Notification
from deribit_pipeline.exchange.websocket_access import Times
from deribit_pipeline_tests.helpers.websocket_servers import (
    SocketServer,
    access_to,
    serving_sockets,
)

CHANNELS = ("trades.future.BTC.100ms", "trades.option.BTC.100ms")
KEY = Credentials("an-id", "a-secret")
AT_ONCE = Pauses(first=0.0, longest=0.0)
USUAL = Times()


@dataclass
class RecordingListener:
    """A listener that keeps its calls, in order."""

    events: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def received(self, notification: Notification) -> None:
        self.bodies.append(notification.body)
        self._note(f"received {notification.channel}")

    def connected(self, channels: Sequence[str]) -> None:
        self._note(f"connected {' '.join(channels)}")

    def alive(self, answer: Answer) -> None:
        self._note("alive")

    def disconnected(self, reason: str) -> None:
        self._note(f"disconnected {reason}")

    def _note(self, event: str) -> None:
        self.events.append(event)
        self.changed.set()

    async def until(self, event: str, times: int = 1) -> None:
        async with asyncio.timeout(20):
            while sum(each.startswith(event) for each in self.events) < times:
                self.changed.clear()
                await self.changed.wait()


Work = Callable[[SocketServer, RecordingListener], Awaitable[None]]


@pytest.fixture
def subscribed(tmp_path: Path) -> Callable[..., RecordingListener]:
    """Runs work while CHANNELS are kept subscribed."""

    def subscribed(
        work: Work,
        server: SocketServer | None = None,
        *,
        times: Times = USUAL,
        pauses: Pauses = AT_ONCE,
        key: Credentials | None = None,
    ) -> RecordingListener:
        async def run() -> RecordingListener:
            listener = RecordingListener()
            async with serving_sockets(server or SocketServer()) as serving:
                access = access_to(serving, tmp_path, key)
                subscription = Subscription(access, CHANNELS, listener, times=times, pauses=pauses)
                running = asyncio.create_task(subscription.run())
                await work(serving, listener)
                running.cancel()
                await asyncio.wait([running])
            return listener

        return asyncio.run(run())

    return subscribed


def test_a_lost_connection_is_reported_and_made_again(
    subscribed: Callable[..., RecordingListener],
) -> None:
    async def work(server: SocketServer, listener: RecordingListener) -> None:
        for n in range(1, 4):
            await listener.until("connected", n)
            await server.publish(CHANNELS[0], [n])
            await listener.until("received", n)
            await server.connections[0].close(1001, "going away")
            await listener.until("disconnected", n)
        await listener.until("connected", 4)

    listener = subscribed(work)
    lost = "disconnected the exchange closed the WebSocket (1001 going away)"
    one = ["alive", f"connected {' '.join(CHANNELS)}", f"received {CHANNELS[0]}", lost]
    assert listener.events[:12] == 3 * one


def test_the_exchange_is_tested_when_it_requests_it_and_when_it_is_quiet(
    subscribed: Callable[..., RecordingListener],
) -> None:
    async def requested(server: SocketServer, listener: RecordingListener) -> None:
        await listener.until("connected")
        content = {"method": "heartbeat", "params": {"type": "test_request"}}
        await server.send(orjson.dumps(content))
        await server.until(lambda: bool(server.named("public/test")))

    subscribed(requested)

    async def quiet(server: SocketServer, listener: RecordingListener) -> None:
        await listener.until("alive", 4)
        assert server.named("public/set_heartbeat")[0]["params"] == {"interval": 10}

    subscribed(quiet, times=Times(heartbeat=0.01))


def test_a_silent_socket_is_replaced(subscribed: Callable[..., RecordingListener]) -> None:
    async def work(server: SocketServer, listener: RecordingListener) -> None:
        await listener.until("connected", 2)

    listener = subscribed(work, times=Times(silence=0.05))
    assert "disconnected no message within 0.05 s, not even a heartbeat" in listener.events


def test_channels_that_the_exchange_leaves_out_are_an_error_and_the_rest_is_subscribed(
    subscribed: Callable[..., RecordingListener], caplog: pytest.LogCaptureFixture
) -> None:
    async def work(server: SocketServer, listener: RecordingListener) -> None:
        await listener.until("connected")
        await server.connections[0].close()
        await listener.until("connected", 2)

    server = SocketServer({"public/subscribe": lambda params: params["channels"][:1]})
    listener = subscribed(work, server)
    assert listener.events.count(f"connected {CHANNELS[0]}") == 2
    errors = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert len(errors) == 1
    assert f"left {CHANNELS[1]} out of the channels" in errors[0]


def test_nothing_subscribed_is_tried_again(subscribed: Callable[..., RecordingListener]) -> None:
    async def work(server: SocketServer, listener: RecordingListener) -> None:
        await server.until(lambda: server.opened == 3)
        assert listener.events == ["alive"] * len(listener.events)

    subscribed(work, SocketServer({"public/subscribe": lambda _: []}))


def test_with_a_key_the_socket_is_logged_in_before_it_subscribes_and_again_before_it_expires(
    subscribed: Callable[..., RecordingListener],
) -> None:
    async def work(server: SocketServer, listener: RecordingListener) -> None:
        await listener.until("connected")
        methods = [each["method"] for each in server.requests]
        assert methods.index("public/auth") < methods.index("public/subscribe")
        await server.until(lambda: len(server.named("public/auth")) == 3)
        assert server.opened == 1

    def grant(_: Any) -> dict[str, Any]:
        return {"access_token": "t0ken", "expires_in": 0.02, "scope": "account:read trade:read"}

    subscribed(work, SocketServer({"public/auth": grant}), key=KEY)


def test_an_answer_whose_time_is_in_doubt_is_no_sign_of_life(
    subscribed: Callable[..., RecordingListener],
) -> None:
    async def work(server: SocketServer, listener: RecordingListener) -> None:
        await listener.until("connected")

    server = SocketServer(
        {"public/get_time": lambda _: 0}, now_us=lambda: time.time_ns() // 1000 + 3_600 * 10**6
    )
    assert subscribed(work, server).events == [f"connected {' '.join(CHANNELS)}"]


def test_pauses_grow_and_are_longest_at_a_rate_limit() -> None:
    pauses = Pauses()
    lost = DeribitUnavailable("lost", method="websocket", params={})
    limited = DeribitRateLimited("429", method="websocket", params={})
    assert [pauses.after(n, lost, 0.0) for n in (1, 2, 3, 7, 8, 10_000)] == [
        0.5, 1.0, 2.0, 30.0, 30.0, 30.0,
    ]  # fmt: skip
    assert pauses.after(3, lost, 1.0) == 1.0
    assert pauses.after(1, limited, 0.0) == 30.0
