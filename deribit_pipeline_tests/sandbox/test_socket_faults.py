"""The faults of the sandbox's WebSockets, on demand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import FAULTS, rates_from
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.sandbox.socket_faults import SOCKET_FAULTS, SocketFaults
from deribit_pipeline.sandbox.socket_limits import SocketLimits
from deribit_pipeline.sandbox.sockets import Sockets
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.socket_client import SocketClient, socket_client, trades_in

NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)
CHANNEL = "trades.BTC-PERPETUAL.100ms"
Messages = list[dict[str, Any]]


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def faults() -> SocketFaults:
    return SocketFaults()


@pytest.fixture
def sockets(clock: Clock, faults: SocketFaults) -> Sockets:
    exchange = SandboxExchange(clock, per_second=0, trades_per_minute=20)
    return Sockets(
        exchange, SocketLimits(time_scale=0.001, answer_within=1e6, idle_for=1e6), faults
    )


@pytest.fixture
def client(sockets: Sockets) -> Iterator[SocketClient]:
    with serving(sockets.exchange, sockets=sockets) as url, socket_client(url) as client:
        yield client


@pytest.fixture
def right(clock: Clock) -> Messages:
    """The first notifications of the channel without a fault."""
    exchange = SandboxExchange(clock, per_second=0, trades_per_minute=20)
    sockets = Sockets(exchange)
    with serving(exchange, sockets=sockets) as url, socket_client(url) as client:
        client.subscribe(CHANNEL)
        found = after_a_minute(clock, sockets, client)
    clock.now = NOON
    return found


def after_a_minute(clock: Clock, sockets: Sockets, client: SocketClient) -> Messages:
    clock.forward(timedelta(minutes=1))
    sockets.publish()
    return client.received()


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["socket_skips"], [1, 2, 3]),
        (["socket_repeats"], [0, 0, 1, 2, 3]),
        (["socket_swaps"], [1, 0, 2, 3]),
        (["socket_skips", "socket_repeats", "socket_swaps"], [1, 1, 3, 2]),
    ],
)
def test_notifications_are_skipped_repeated_or_out_of_order(
    names: list[str], order: list[int], right: Messages, client: SocketClient,
    sockets: Sockets, faults: SocketFaults, clock: Clock,
) -> None:  # fmt: skip
    client.subscribe(CHANNEL)
    faults.corrupt_next(names)
    received = after_a_minute(clock, sockets, client)
    assert received == [*(right[place] for place in order), *right[4:]]


@pytest.mark.parametrize(
    ("name", "field"), [("socket_malformed_trade", None), ("socket_wrong_price", 2)]
)
def test_one_trade_of_a_notification_differs_from_rest(
    name: str, field: int | None, right: Messages, client: SocketClient,
    sockets: Sockets, faults: SocketFaults, clock: Clock,
) -> None:  # fmt: skip
    client.subscribe(CHANNEL)
    faults.corrupt_next([name])
    received = after_a_minute(clock, sockets, client)
    assert received[1:] == right[1:]
    differing = [
        (got, trade)
        for got, trade in zip(trades_in(received), trades_in(right), strict=True)
        if got != trade
    ]
    ((got, trade),) = differing
    assert got == trade | {"price": field and trade["price"] * field}


def test_a_silent_socket_stays_open_and_sends_nothing(
    client: SocketClient, sockets: Sockets, faults: SocketFaults, clock: Clock
) -> None:
    client.subscribe(CHANNEL)
    client.result("public/set_heartbeat", interval=10)
    faults.is_silent = True
    clock.forward(timedelta(minutes=1))
    sockets.publish()
    client.send({"id": 1, "method": "public/test"})
    early = client.until_quiet(0.1)
    assert {message["method"] for message in early} <= {"heartbeat"}  # sent before the silence
    assert sockets.subscriptions() == [frozenset({CHANNEL})]
    faults.is_silent = False
    assert client.call("public/hello")["result"]


def test_a_socket_falls_silent_from_one_notification_on(
    client: SocketClient, sockets: Sockets, faults: SocketFaults, clock: Clock
) -> None:
    client.subscribe(CHANNEL)
    faults.corrupt_next(["socket_silence"])
    clock.forward(timedelta(minutes=1))
    sockets.publish()
    assert client.until_quiet(0.1) == []
    assert len(sockets.subscriptions()) == 1


def test_all_sockets_are_cut_again_and_again(clock: Clock) -> None:
    exchange = SandboxExchange(clock)
    sockets = Sockets(exchange, faults=SocketFaults(close_every=0.05))
    with serving(exchange, sockets=sockets) as url:
        for count in (1, 2, 3):
            with socket_client(url) as client:
                assert client.closed() == (None, "")
            assert sockets.connected == count


def test_a_slow_reader_is_closed(clock: Clock) -> None:
    exchange = SandboxExchange(clock, per_second=0, trades_per_minute=200)
    sockets = Sockets(exchange, SocketLimits(backlog=200_000))
    with (
        serving(exchange, sockets=sockets) as url,
        socket_client(url, compression=None, max_queue=1, max_size=None) as client,
        socket_client(url, compression=None, max_size=None) as reader,
    ):
        for each in (client, reader):
            each.subscribe("trades.future.BTC.agg2")
        while len(sockets.subscriptions()) == 2:
            clock.forward(timedelta(minutes=5))
            sockets.publish()
            reader.received()
        assert client.closed() in ((1008, "connection_too_slow"), (None, ""))
        assert reader.result("public/hello")


def test_shares_of_socket_faults_are_named_on_the_command_line() -> None:
    texts = ["socket_skips=0.1", "socket_repeats"]
    assert rates_from(texts[:1], SOCKET_FAULTS) == {"socket_skips": 0.1}
    with pytest.raises(ValueError, match="the shares add up"):
        rates_from(texts, SOCKET_FAULTS)
    with pytest.raises(ValueError, match="socket_skips, socket_repeats"):
        rates_from(["socket_skip=0.1"], SOCKET_FAULTS)
    assert not FAULTS.keys() & SOCKET_FAULTS.keys()


def test_about_the_given_share_of_notifications_is_corrupted() -> None:
    faults = SocketFaults({"socket_skips": 0.1, "socket_repeats": 0.2})
    chosen = [faults.chosen() for _ in range(10_000)]
    assert 900 < chosen.count("socket_skips") < 1_100
    assert 1_850 < chosen.count("socket_repeats") < 2_150
    faults.mend()
    assert {faults.chosen() for _ in range(100)} == {None}
