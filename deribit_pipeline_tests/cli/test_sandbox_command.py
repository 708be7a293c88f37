"""The command `sandbox` passes its options to the exchange that it serves."""

from collections.abc import Callable
from typing import Any

import pytest

from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.market import MINUTE
from deribit_pipeline.sandbox.sockets import Sockets
from deribit_pipeline_tests.helpers.command_line import Command, commands

AT_NOON = ("sandbox", "--port", "0", "--now", "2024-01-10T12:00:00")
Served = list[tuple[SandboxExchange, Faults, Sockets]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return commands(capsys)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """What would have been served."""
    found: Served = []

    def serve(
        port: int,
        exchange: SandboxExchange,
        faults: Faults,
        latency: float,
        announce: Callable[[int], None],
        sockets: Sockets,
    ) -> None:
        found.append((exchange, faults, sockets))

    monkeypatch.setattr("deribit_pipeline.cli.sandbox.serve", serve)
    return found


def faults_of(faults: Faults, sockets: Sockets) -> tuple[set[Any], set[Any]]:
    """The faults of 500 responses and of 500 notifications."""
    reply = sockets.exchange.answer("public/test", {})
    wires = {faults.on("public/test", reply).status for _ in range(500)}
    return wires, {sockets.faults.chosen() for _ in range(500)}


def test_shares_of_responses_and_of_notifications_are_apart(
    command: Command, served: Served
) -> None:
    shares = ("--fault", "502=0.5", "--fault", "socket_skips=0.4", "--fault", "socket_repeats=0.6")
    assert command(*AT_NOON, *shares, "--close-sockets-every", "9")[0] == 0
    ((_, faults, sockets),) = served
    assert faults_of(faults, sockets) == ({200, 502}, {"socket_skips", "socket_repeats"})
    assert sockets.faults.close_every == 9


def test_without_options_nothing_is_corrupted_and_no_socket_is_cut(
    command: Command, served: Served
) -> None:
    assert command(*AT_NOON)[0] == 0
    ((_, faults, sockets),) = served
    assert faults_of(faults, sockets) == ({200}, {None})
    assert sockets.faults.close_every == 0


def test_a_rush_begins_at_the_next_minute(command: Command, served: Served) -> None:
    assert command(*AT_NOON, "--rush", "20")[0] == 0
    ((exchange, _, _),) = served
    start = exchange.now_ms() // MINUTE * MINUTE + MINUTE
    for name in ("BTC-PERPETUAL", "ETH-PERPETUAL"):
        listing = exchange.listing({"instrument_name": name})
        before = exchange.trades.published(listing, start - 20 * MINUTE, start)
        rush = exchange.trades.published(listing, start, start + 20 * MINUTE)
        assert 15 * 60 * 10 < len(rush) <= 20 * 60 * 10 + 100  # a quiet minute stays quiet
        assert len(before) < 100


@pytest.mark.parametrize("fault", ["socket_skip=0.1", "socket_skips=2", "nothing=0.1"])
def test_a_fault_that_does_not_exist_is_one_sentence(
    fault: str, command: Command, served: Served
) -> None:
    code, _, error = command(*AT_NOON, "--fault", fault)
    assert (code, error.startswith("Error: --fault is invalid: a fault is NAME=SHARE")) == (2, True)
    assert not served


def test_more_perpetuals_are_listed_settled_in_usdc_and_have_candles(
    command: Command, served: Served
) -> None:
    assert command(*AT_NOON, "--perpetuals", "130")[0] == 0
    ((exchange, _, _),) = served
    in_usdc = {"currency": "USDC", "kind": "future"}
    listed = exchange.answer("public/get_instruments", in_usdc).body["result"]
    names = [one["instrument_name"] for one in listed if one["settlement_period"] == "perpetual"]
    assert len({*names, "BTC-PERPETUAL", "ETH-PERPETUAL"}) == 127  # three are listed after 2024
    closes = {closes_of(exchange, name) for name in names[-2:]}
    assert [len(each) for each in closes] == [5, 5]  # two different paths


def closes_of(exchange: SandboxExchange, name: str) -> tuple[float, ...]:
    """The closes of the first five minutes of 2024."""
    window = {"start_timestamp": "1704067200000", "end_timestamp": "1704067440000"}
    params = {"instrument_name": name, "resolution": "1", **window}
    reply = exchange.answer("public/get_tradingview_chart_data", params)
    return tuple(reply.body["result"]["close"].tolist())
