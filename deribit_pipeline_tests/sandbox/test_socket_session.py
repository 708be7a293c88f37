"""The sandbox's WebSocket answers, limits and closes as Deribit's is known to."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.sandbox.socket_limits import SocketLimits
from deribit_pipeline.sandbox.sockets import Sockets
from deribit_pipeline_tests.helpers.socket_client import SocketClient, socket_client

BTC = "trades.future.BTC.100ms"
Open = Callable[..., SocketClient]


@pytest.fixture
def connected(sandbox: SandboxExchange) -> Iterator[Open]:
    """Connects clients to the sandbox, whose limits the first one sets."""
    with ExitStack() as stack:
        urls: list[str] = []

        def connect(limits: SocketLimits | None = None, **options: Any) -> SocketClient:
            if not urls:
                sockets = Sockets(sandbox, limits)
                urls.append(stack.enter_context(serving(sandbox, sockets=sockets)))
            return stack.enter_context(socket_client(urls[0], **options))

        yield connect


def test_methods_answer_over_the_socket_as_over_http(
    connected: Open, sandbox: SandboxExchange
) -> None:
    params = {"instrument_name": "BTC-PERPETUAL", "count": 3}
    response = connected().call("public/get_last_trades_by_instrument", **params)
    of_http = sandbox.answer(
        "public/get_last_trades_by_instrument", {"instrument_name": "BTC-PERPETUAL", "count": "3"}
    )
    assert response["result"] == of_http.body["result"]
    assert response["usDiff"] == response["usOut"] - response["usIn"]
    assert response["testnet"] is False


def test_errors_of_methods_have_the_id_of_their_call(connected: Open) -> None:
    client = connected()
    for method, code in (("public/nothing", -32601), ("private/get_positions", 13009)):
        response = client.call(method)
        assert (response["error"]["code"], "id" in response) == (code, True)


def test_private_methods_answer_after_a_login_of_the_socket(connected: Open) -> None:
    client = connected()
    client.log_in()
    assert client.result("private/get_account_summary", currency="BTC")["currency"] == "BTC"
    assert client.result("private/subscribe", channels=[BTC]) == [BTC]
    stranger = connected()
    assert stranger.call("private/subscribe", channels=[BTC])["error"]["code"] == 13009


def test_unknown_channels_are_left_out_without_an_error(connected: Open) -> None:
    client = connected()
    known = {BTC, "trades.BTC-PERPETUAL.agg2", "instrument.state.option.any"}
    unknown = {
        "trades.BTC-PERPETUAl.100ms", "trades.future.BTC.10ms", "trades.futures.BTC.100ms",
        "trades.future.btc.100ms", "ticks.future.BTC.100ms", "instrument.state.option",
    }  # fmt: skip
    requested = sorted(known | unknown)
    acknowledged = client.subscribe(*requested)
    assert set(acknowledged) == known
    assert acknowledged != [name for name in requested if name in known]
    assert client.subscribe(*unknown) == []


def test_bad_channels_are_refused_without_an_id(connected: Open) -> None:
    client = connected()
    for channels in ([BTC] * 501, "trades", [1], None):
        response = client.call("public/subscribe", channels=channels)
        assert (response["error"]["code"], "id" in response) == (-32600, False)
    assert client.subscribe(*[BTC] * 500) == [BTC]


def test_what_is_no_call_is_refused_without_an_id(connected: Open) -> None:
    client = connected()
    for message in ([], 7, {"id": 1}, {"id": 1, "method": 5}):
        client.send(message)
        response = client.receive()
        assert (response["error"]["code"], "id" in response) == (-32600, False)


def test_raw_needs_a_login(connected: Open) -> None:
    client = connected()
    raw = "trades.BTC-PERPETUAL.raw"
    assert client.call("public/subscribe", channels=[raw])["error"]["code"] == 13778
    client.log_in()
    assert client.subscribe(raw) == [raw]


def test_too_many_subscribes_end_the_session(connected: Open, sandbox: SandboxExchange) -> None:
    client = connected(SocketLimits(subscribes_per_second=1e-6, subscribes_in_a_burst=2))
    for _ in range(2):
        client.subscribe(BTC)
    assert client.call("public/subscribe", channels=[BTC])["error"]["code"] == 10028
    assert client.closed()[0] == 1008
    assert sandbox.refused == 1


def test_unsubscribing_names_what_was_subscribed(connected: Open) -> None:
    client = connected()
    client.subscribe(BTC)
    assert client.result("public/unsubscribe", channels=[BTC, "nothing"]) == [BTC]
    assert client.result("public/unsubscribe", channels=[BTC]) == []
    assert client.result("public/unsubscribe_all") == "ok"


def test_a_test_request_that_is_answered_keeps_the_socket_open(connected: Open) -> None:
    client = connected(SocketLimits(time_scale=0.01, answer_within=100, idle_for=1e6))
    assert client.call("public/set_heartbeat", interval=9)["error"]["code"] == -32602
    assert client.result("public/set_heartbeat", interval=10) == "ok"
    client.subscribe(BTC)
    for _ in range(12):  # longer than a socket lives that does not answer
        while client.receive().get("params") != {"type": "test_request"}:
            pass
        client.result("public/test")
    assert client.result("public/disable_heartbeat") == "ok"
    assert client.result("public/hello")["version"]


def test_a_test_request_that_is_not_answered_closes_the_socket(connected: Open) -> None:
    client = connected(SocketLimits(time_scale=0.001, idle_for=1e6))
    client.result("public/set_heartbeat", interval=10)
    assert client.closed() == (4000, "heartbeat_not_answered")


def test_a_socket_without_subscriptions_is_closed(connected: Open) -> None:
    client = connected(SocketLimits(idle_for=0.05))
    assert client.closed() == (1008, "no_subscriptions")


def test_the_33rd_connection_is_refused(connected: Open) -> None:
    clients = [connected(compression=None) for _ in range(32)]
    with pytest.raises(InvalidStatus) as refused:
        connected()
    assert refused.value.response.status_code == 429
    assert clients[0].result("public/hello")


def test_connections_of_http_count_too(sandbox: SandboxExchange) -> None:
    sockets = Sockets(sandbox, SocketLimits(connections=1))
    with serving(sandbox, sockets=sockets) as url, httpx.Client() as kept_alive:
        assert kept_alive.get(f"{url}/public/test").status_code == 200
        with pytest.raises(InvalidStatus), socket_client(url):
            pass
        assert kept_alive.get(f"{url}/public/test").status_code == 200


def test_a_compressed_socket_is_negotiated(connected: Open) -> None:
    headers = connected().connection.response
    assert headers is not None
    assert "permessage-deflate" in headers.headers["Sec-WebSocket-Extensions"]


def test_the_server_stops_with_open_sockets(sandbox: SandboxExchange) -> None:
    sockets = Sockets(sandbox)
    with ExitStack() as stack:
        with serving(sandbox, sockets=sockets) as url:
            client = stack.enter_context(socket_client(url))
            client.subscribe(BTC)
            assert sockets.subscriptions() == [frozenset({BTC})]
        assert client.closed()[0] in (1012, None)
        assert sockets.subscriptions() == []
    sockets.close_all()
    sockets.publish()


def test_nothing_but_json_is_sent(connected: Open) -> None:
    client = connected()
    client.connection.send("{")
    assert client.receive()["error"]["code"] == -32600
    client.connection.send(json.dumps({"method": "public/test", "id": "text"}).encode())
    assert client.receive()["id"] == "text"


def test_a_server_without_sockets_imports_nothing_for_them() -> None:
    """The library takes a third of a second to import, and most users and tests need none of it."""
    code = (
        "import sys, urllib.request\n"
        "from deribit_pipeline.sandbox.server import serving\n"
        "with serving() as url:\n"
        "    urllib.request.urlopen(url + '/public/test').read()\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not [name for name in loaded.stdout.split() if name.split(".")[0] == "websockets"]
