"""Calls and subscriptions on one WebSocket: what is matched, what is refused, and the errors."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitError,
    DeribitRateLimited,
    DeribitRejected,
    DeribitUnavailable,
    DeribitUnreachable,
    NotSubscribed,
    WrongCredentials,
    WrongEnvironment,
)
from deribit_pipeline.exchange.auth import Credentials
from deribit_pipeline.exchange.transport import Call
from deribit_pipeline.exchange.websocket import MOST_CHANNELS, Notification, WebSocket
from deribit_pipeline.exchange.websocket_access import Times
from deribit_pipeline.exchange.websocket_opening import opened_websocket
from deribit_pipeline_tests.helpers.websocket_servers import (
    SocketServer,
    access_to,
    serving_sockets,
)

KEY = Credentials("an-id", "a-secret-that-nobody-sees")
USUAL = Times()
ECHO = Call("public/echo", {"word": "one"})

Work = Callable[[WebSocket, SocketServer], Awaitable[Any]]
Use = Callable[..., Any]


@pytest.fixture
def use(tmp_path: Path) -> Use:
    """Runs work with a socket that is read meanwhile; raises the first error of either."""

    def use(
        work: Work,
        server: SocketServer | None = None,
        *,
        times: Times = USUAL,
        received: Callable[[Notification], Awaitable[None]] | None = None,
    ) -> Any:
        async def ignore(_: Notification) -> None:
            pass

        async def run() -> Any:
            async with serving_sockets(server or SocketServer()) as serving:
                access = access_to(serving, tmp_path)
                async with (
                    opened_websocket(access, received or ignore, times) as socket,
                    asyncio.TaskGroup() as group,
                ):
                    reading = group.create_task(socket.read())
                    found = await work(socket, serving)
                    reading.cancel()
                    return found

        try:
            return asyncio.run(run())
        except* DeribitError as group:
            error = group.exceptions[0]
        raise error

    return use


def test_responses_find_their_calls_in_any_order(use: Use) -> None:
    async def work(socket: WebSocket, server: SocketServer) -> list[Any]:
        server.replies["public/echo"] = lambda _: None

        async def both_later() -> None:
            await server.until(lambda: len(server.named("public/echo")) == 2)
            for request in reversed(server.named("public/echo")):
                answer = server.envelope(request["id"], request["params"]["word"])
                await server.send(orjson.dumps(answer))

        calls = [socket.call(Call("public/echo", {"word": word})) for word in ("one", "two")]
        *answers, _ = await asyncio.gather(*calls, both_later())
        return [answer.result for answer in answers]

    assert use(work) == ["one", "two"]


def test_notifications_are_passed_on_as_received_and_in_order(use: Use) -> None:
    received: list[Notification] = []

    async def note(notification: Notification) -> None:
        received.append(notification)

    async def work(socket: WebSocket, server: SocketServer) -> list[bytes]:
        sent = [await server.publish("trades.future.BTC.100ms", [{"n": n}]) for n in range(50)]
        await socket.test()
        return sent

    sent = use(work, received=note)
    assert [each.body for each in received] == sent
    assert [each.data for each in received] == [[{"n": n}] for n in range(50)]


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        ({"code": 10028, "message": "too_many_requests"}, DeribitRateLimited, "10028"),
        ({"code": 13778, "message": "raw_subscriptions_not_available"}, DeribitRejected, "13778"),
        ({"code": 11051, "message": "system_maintenance"}, DeribitUnavailable, "11051"),
        ({"code": 13004, "message": "invalid_credentials"}, WrongCredentials, "DERIBIT_CLIENT_ID"),
    ],
)
def test_errors_of_a_socket_are_typed_as_those_of_http(
    use: Use, error: dict[str, Any], kind: type[DeribitError], sentence: str
) -> None:
    server = SocketServer({"public/echo": lambda _: {"error": error}})
    with pytest.raises(kind, match=f"public/echo.word=one.*{sentence}"):
        use(lambda socket, _: socket.call(ECHO), server)


def test_a_socket_of_another_environment_is_refused(use: Use) -> None:
    with pytest.raises(WrongEnvironment, match="DERIBIT_ENV and DERIBIT_WEBSOCKET_URL agree"):
        use(lambda socket, _: socket.test(), SocketServer(is_testnet=True))


def test_a_channel_that_the_exchange_leaves_out_is_named_in_one_sentence(use: Use) -> None:
    known = ["trades.future.BTC.100ms", "trades.option.BTC.100ms"]
    server = SocketServer({"public/subscribe": lambda _: known[::-1]})
    with pytest.raises(NotSubscribed) as caught:
        use(lambda socket, _: socket.subscribe([*known, "trades.futre.BTC.100ms"]), server)
    assert caught.value.channels == ("trades.futre.BTC.100ms",)
    assert "left trades.futre.BTC.100ms out of the channels" in str(caught.value)


def test_many_channels_are_subscribed_in_several_messages(use: Use) -> None:
    server = SocketServer()
    channels = [f"ticker.{n}.100ms" for n in range(2 * MOST_CHANNELS + 1)]
    use(lambda socket, _: socket.subscribe(channels), server)
    sent = [each["params"]["channels"] for each in server.named("public/subscribe")]
    assert [len(each) for each in sent] == [MOST_CHANNELS, MOST_CHANNELS, 1]
    assert [name for each in sent for name in each] == channels


def test_an_error_without_an_id_ends_the_calls_that_wait(use: Use) -> None:
    async def work(socket: WebSocket, server: SocketServer) -> None:
        async def later() -> None:
            await server.until(lambda: bool(server.named("public/subscribe")))
            error = {"code": -32600, "message": "request entity too large"}
            await server.send(orjson.dumps({"jsonrpc": "2.0", "id": None, "error": error}))

        await asyncio.gather(socket.subscribe(["trades.future.BTC.100ms"]), later())

    with pytest.raises(DeribitRejected, match="request entity too large .-32600"):
        use(work, SocketServer({"public/subscribe": lambda _: None}))


@pytest.mark.parametrize("number", [[1], {"of": 1}, "1", 1.5, 99])
def test_a_response_to_no_call_is_ignored(use: Use, number: Any) -> None:
    async def work(socket: WebSocket, server: SocketServer) -> str:
        await server.send(orjson.dumps({"jsonrpc": "2.0", "id": number, "result": "another"}))
        return str((await socket.call(ECHO)).result)

    assert use(work, SocketServer({"public/echo": lambda _: "mine"})) == "mine"


def test_a_test_request_is_noted(use: Use) -> None:
    async def work(socket: WebSocket, server: SocketServer) -> bool:
        content = {"method": "heartbeat", "params": {"type": "test_request"}}
        await server.send(orjson.dumps(content))
        await socket.test()
        return socket.test_requested.is_set()

    assert use(work)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"method": "subscription", "params": {}}'])
def test_a_message_that_is_none_of_the_exchanges_ends_the_socket(use: Use, content: bytes) -> None:
    async def work(_: WebSocket, server: SocketServer) -> None:
        await server.send(content)
        await asyncio.Event().wait()

    with pytest.raises(DeribitBadPayload, match="a message was not|does not name its channel"):
        use(work)


def test_a_socket_that_is_closed_says_by_whom_and_why(use: Use) -> None:
    async def work(_: WebSocket, server: SocketServer) -> None:
        await server.connections[0].close(4000, "test_request not answered")
        await asyncio.Event().wait()

    with pytest.raises(
        DeribitUnavailable, match=r"the exchange closed the WebSocket \(4000 test_request not"
    ):
        use(work)


def test_a_connection_that_is_lost_is_an_error(use: Use) -> None:
    async def work(_: WebSocket, server: SocketServer) -> None:
        server.connections[0].transport.abort()
        await asyncio.Event().wait()

    with pytest.raises(DeribitUnavailable, match="the connection was lost"):
        use(work)


def test_a_silent_socket_is_dead(use: Use) -> None:
    async def work(*_: object) -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeribitUnavailable, match="no message within 0.05 s, not even a heartbeat"):
        use(work, times=Times(silence=0.05))


def test_a_call_without_a_response_is_given_up(use: Use) -> None:
    server = SocketServer({"public/echo": lambda _: None})
    with pytest.raises(DeribitUnavailable, match="no response on the WebSocket within 0.05 s"):
        use(lambda socket, _: socket.call(ECHO), server, times=Times(response=0.05))


def test_an_address_where_nothing_listens_is_unreachable(tmp_path: Path) -> None:
    access = access_to(SocketServer(url="ws://127.0.0.1:9/ws/api/v2"), tmp_path)

    async def run() -> None:
        async with opened_websocket(access, never, Times()):
            pass

    with pytest.raises(DeribitUnreachable, match="ws://127.0.0.1:9/ws/api/v2 cannot be reached"):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, DeribitRateLimited), (503, DeribitUnavailable), (404, DeribitRejected)],
)
def test_a_refused_connection_is_typed_by_its_status(
    tmp_path: Path, status: int, kind: type[DeribitError]
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            address = SocketServer(url=f"ws://127.0.0.1:{port}/ws/api/v2")
            async with opened_websocket(access_to(address, tmp_path), never, Times()):
                pass

    with pytest.raises(kind, match=f"HTTP {status}, and no WebSocket was opened"):
        asyncio.run(run())


def test_the_secret_is_sent_and_shown_nowhere(use: Use, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = {"code": 13004, "message": f"invalid_credentials {KEY.client_secret}"}
    server = SocketServer({"public/auth": lambda _: {"error": echo}})
    with pytest.raises(WrongCredentials) as caught:
        use(lambda socket, _: socket.login(KEY), server)
    assert server.named("public/auth")[0]["params"]["client_secret"] == KEY.client_secret
    assert KEY.client_secret not in f"{caught.value} {caught.value!r} {caplog.text}"


async def never(_: Notification) -> None:
    raise AssertionError("nothing was subscribed")
