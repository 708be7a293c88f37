"""The sandbox's WebSocket publishes the trades that REST returns, and states of instruments."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Any

import orjson
import pytest

from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.market import DAY, MINUTE
from deribit_pipeline.sandbox.option_listings import options_of
from deribit_pipeline.sandbox.published_channels import TradeChannel, channel_of
from deribit_pipeline.sandbox.rush import Rush
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.sandbox.sockets import Sockets
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.socket_client import SocketClient, socket_client, trades_in

NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)
BTC = "trades.future.BTC.100ms"
PERPETUAL = "trades.BTC-PERPETUAL.100ms"
NAME = "BTC-PERPETUAL"


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def sandbox(clock: Clock) -> SandboxExchange:
    return SandboxExchange(clock, per_second=0, trades_per_minute=20)


@pytest.fixture
def sockets(sandbox: SandboxExchange) -> Sockets:
    return Sockets(sandbox)


@pytest.fixture
def url(sandbox: SandboxExchange, sockets: Sockets) -> Iterator[str]:
    with serving(sandbox, sockets=sockets) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[SocketClient]:
    with socket_client(url) as client:
        yield client


def after(clock: Clock, sockets: Sockets, client: SocketClient, **by: float) -> list[Any]:
    """The notifications of the time by which the clock is moved."""
    clock.forward(timedelta(**by))
    sockets.publish()
    return client.received()


def test_the_socket_publishes_exactly_the_trades_that_rest_returns(
    client: SocketClient, sandbox: SandboxExchange, sockets: Sockets, clock: Clock
) -> None:
    newest = sandbox.trades.numbers(sandbox.listing({"instrument_name": NAME}), "www")[-1]
    sandbox.trades.move(NAME, newest + 5, 1)
    client.subscribe(BTC)
    messages = [
        message for _ in range(7) for message in after(clock, sockets, client, seconds=61.05)
    ]
    clock.forward(timedelta(milliseconds=-50))  # the running interval is not published yet
    trades = trades_in(messages)
    assert {trade["instrument_name"] for trade in trades} >= {NAME, "BTC-29MAR24"}
    assert {message["params"]["channel"] for message in messages} == {BTC}
    assert all("id" not in message for message in messages)
    for name in (NAME, "BTC-29MAR24"):
        published = [trade for trade in trades if trade["instrument_name"] == name]
        numbers = [trade["trade_seq"] for trade in published]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        returned = sandbox.answer(
            "public/get_last_trades_by_instrument",
            {"instrument_name": name, "start_seq": str(numbers[0]), "count": "1000"},
        ).body["result"]["trades"]
        assert published == returned


@pytest.mark.parametrize(("interval", "milliseconds"), [("raw", 1), ("100ms", 100), ("agg2", 1000)])
def test_a_notification_has_the_trades_of_one_interval(
    interval: str,
    milliseconds: int,
    client: SocketClient,
    sockets: Sockets,
    clock: Clock,
) -> None:
    client.log_in()
    client.subscribe(f"trades.BTC-PERPETUAL.{interval}")
    messages = after(clock, sockets, client, minutes=30)
    intervals = [
        max(trade["timestamp"] for trade in trades_in([message])) // milliseconds
        for message in messages
    ]
    assert all(one < other for one, other in pairwise(intervals))
    assert len(messages) < len(trades_in(messages))


def test_trades_share_a_millisecond(client: SocketClient, sockets: Sockets, clock: Clock) -> None:
    client.subscribe(PERPETUAL)
    trades = trades_in(after(clock, sockets, client, minutes=5))
    shared = [len(list(group)) for _, group in groupby(trades, lambda trade: trade["timestamp"])]
    assert max(shared) > 1


def test_frames_do_not_depend_on_when_the_publisher_is_woken(sandbox: SandboxExchange) -> None:
    at_once, in_steps = (channel_of(BTC, sandbox) for _ in range(2))
    assert at_once
    assert in_steps
    start = sandbox.now_ms()
    stepped = [frame for step in range(0, 120_001, 77) for frame in in_steps.due(start + step)]
    stepped += in_steps.due(start + 120_000)
    assert stepped == at_once.due(start + 120_000)
    assert len(stepped) > 20


def test_sockets_of_one_channel_share_its_frames(
    url: str, client: SocketClient, sockets: Sockets, clock: Clock
) -> None:
    with socket_client(url) as other:
        for each in (client, other):
            each.subscribe(BTC)
        messages = after(clock, sockets, client, minutes=1)
        assert messages == other.received() != []


def test_what_was_missed_is_not_sent_after_a_reconnect(
    url: str, client: SocketClient, sockets: Sockets, clock: Clock
) -> None:
    client.subscribe(PERPETUAL)
    before = trades_in(after(clock, sockets, client, minutes=1))
    sockets.close_all()
    assert client.closed() == (None, "")
    clock.forward(timedelta(minutes=5))
    with socket_client(url) as again:
        resumed = int(clock.now.timestamp() * 1000)
        again.subscribe(PERPETUAL)
        trades = trades_in(after(clock, sockets, again, minutes=1))
        assert min(trade["timestamp"] for trade in trades) >= resumed
        assert trades[0]["trade_seq"] > before[-1]["trade_seq"] + 50
    assert sockets.connected == 2


def test_given_trades_are_published_by_their_time(
    client: SocketClient, sandbox: SandboxExchange, sockets: Sockets, clock: Clock
) -> None:
    client.subscribe(PERPETUAL)
    given = [
        {"trade_seq": number, "timestamp": sandbox.now_ms() + wait, "price": 1.0}
        for number, wait in ((7, -10_000), (8, 30_000), (9, 25_000), (10, 90_000))
    ]
    sandbox.trades.give(NAME, given)
    for seconds, numbers in ((29, []), (2, [8, 9]), (58, []), (2, [10])):
        published = trades_in(after(clock, sockets, client, seconds=seconds))
        assert [trade["trade_seq"] for trade in published] == numbers


def test_trades_continue_across_midnight(
    client: SocketClient, sandbox: SandboxExchange, sockets: Sockets, clock: Clock
) -> None:
    clock.now = datetime(2024, 1, 10, 23, 59, 30, tzinfo=UTC)
    client.subscribe(PERPETUAL)
    numbers = [trade["trade_seq"] for trade in trades_in(after(clock, sockets, client, minutes=3))]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    first_of_day = sandbox.market(sandbox.listing({"instrument_name": NAME})).number_of(
        sandbox.now_ms() // DAY
    )
    assert numbers[0] < first_of_day <= numbers[-1]


FRIDAY = datetime(2026, 11, 27, 7, 59, 30, tzinfo=UTC)
"""Half a minute before options expire and others are listed."""


def test_states_name_the_instruments_that_are_listed_and_that_expire(
    client: SocketClient, sandbox: SandboxExchange, sockets: Sockets, clock: Clock
) -> None:
    clock.now = FRIDAY
    client.subscribe("instrument.state.option.BTC")
    states = [message["params"]["data"] for message in after(clock, sockets, client, minutes=1)]
    assert [each["timestamp"] for each in states] == sorted(each["timestamp"] for each in states)
    start = FRIDAY.timestamp() * 1000
    for first, last, field, is_expired in (
        ("created", "started", "creation_timestamp", "false"),
        ("closed", "terminated", "expiration_timestamp", "true"),
    ):
        params = {"currency": "BTC", "kind": "option", "expired": is_expired}
        listed = sandbox.answer("public/get_instruments", params).body["result"]
        changed = {(each["instrument_name"], each[field]) for each in listed if each[field] > start}
        for state in (first, last):
            named = {
                (each["instrument_name"], each["timestamp"])
                for each in states
                if each["state"] == state
            }
            assert named == changed != set()


def test_a_wide_channel_takes_in_new_instruments_and_drops_expired_ones() -> None:
    start = int(FRIDAY.timestamp() * 1000)
    exchange = SandboxExchange(Clock(FRIDAY), listings=tuple(expiring_and_new(start)))
    channel = channel_of("trades.option.BTC.100ms", exchange)
    assert channel
    trades = trades_in([orjson.loads(frame) for frame in channel.due(start + 60 * MINUTE)])
    of_old, of_new = (
        [trade["timestamp"] - start for trade in trades if trade["instrument_name"] == name]
        for name in ("BTC-27NOV26-30000-C", "BTC-28NOV26-30000-C")
    )
    assert 0 <= min(of_old) <= max(of_old) < MINUTE / 2
    assert MINUTE / 2 + 17_000 <= min(of_new) <= max(of_new) > 50 * MINUTE


def expiring_and_new(start: int) -> Iterator[Listing]:
    """An option that expires after half a minute, and one that is listed 17 seconds later."""
    expiry, created = start + MINUTE // 2, start + MINUTE // 2 + 17_000
    yield from options_of("BTC", expiry, start - 3 * DAY, "day", [(30_000.0, 1.0)])
    yield from options_of("BTC", expiry + DAY, created, "day", [(30_000.0, 1.0)])


def test_a_trade_of_a_combo_is_published_by_the_combo_and_by_each_leg(
    client: SocketClient, sandbox: SandboxExchange, sockets: Sockets, clock: Clock
) -> None:
    clock.now = FRIDAY
    client.subscribe("trades.future.BTC.agg2", "trades.future_combo.BTC.agg2")
    trades = trades_in(after(clock, sockets, client, hours=2))
    of_combo = [trade for trade in trades if "legs" in trade]
    combo = {trade["instrument_name"] for trade in of_combo}
    assert combo == {"BTC-FS-25DEC26_PERP"}
    legs = [trade for trade in trades if "combo_id" in trade]
    named = [leg for trade in of_combo for leg in trade["legs"]]
    assert {leg["combo_id"] for leg in named} == combo
    assert all(len(trade["legs"]) == 2 for trade in of_combo)
    assert {leg["combo_trade_id"] for leg in named} == {trade["trade_id"] for trade in of_combo}
    keys = [(leg["instrument_name"], leg["trade_seq"]) for leg in named]
    assert len(set(keys)) == len(keys) > 4
    assert [leg for leg in legs if leg in named]
    for trade in [*of_combo, *legs]:
        params = {"instrument_name": trade["instrument_name"], "count": "1"}
        numbers = {"start_seq": str(trade["trade_seq"]), "end_seq": str(trade["trade_seq"])}
        returned = sandbox.answer("public/get_last_trades_by_instrument", params | numbers)
        assert returned.body["result"]["trades"] == [trade]


def test_spot_pairs_have_no_public_trades(
    client: SocketClient, sockets: Sockets, clock: Clock
) -> None:
    assert client.subscribe("trades.spot.USDC.100ms") == ["trades.spot.USDC.100ms"]
    assert after(clock, sockets, client, hours=1) == []


def test_a_channel_without_readers_is_given_up(
    client: SocketClient, sockets: Sockets, clock: Clock
) -> None:
    client.subscribe(PERPETUAL)
    client.result("public/unsubscribe_all")
    assert after(clock, sockets, client, hours=1) == []
    client.subscribe(PERPETUAL)
    start = clock.now
    trades = trades_in(after(clock, sockets, client, minutes=5))
    assert min(trade["timestamp"] for trade in trades) >= start.timestamp() * 1000


def test_a_rush_adds_its_trades_to_rest_and_to_the_socket() -> None:
    start = int(NOON.timestamp() * 1000)
    rush = Rush(frozenset({NAME}), start, start + 2 * MINUTE, 300)
    clock = Clock(NOON)
    usual, rushed = SandboxExchange(clock), SandboxExchange(clock, rush=rush)
    channel = channel_of(PERPETUAL, rushed)
    assert isinstance(channel, TradeChannel)
    clock.forward(timedelta(minutes=3))
    listing = usual.listing({"instrument_name": NAME})
    trades = rushed.trades.published(listing, start, start + 3 * MINUTE)
    assert 2 * 60 * 300 <= len(trades) < 2 * 60 * 300 + 100
    frames = channel.due(rushed.now_ms())
    assert sum(frame.count(b'"trade_seq"') for frame in frames) == len(trades)
    day = start // DAY
    added = rushed.market(listing).number_of(day + 1) - usual.market(listing).number_of(day + 1)
    assert added == 2 * 60 * 300
    assert rushed.market(listing).number_of(day) == usual.market(listing).number_of(day)
    candle = rushed.market(listing).minutes(start, start + MINUTE).values[0]
    assert candle[1] == max(trade["price"] for at, trade in trades if at < start + MINUTE)
