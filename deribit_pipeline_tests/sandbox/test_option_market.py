"""Prices of the sandbox: options follow from one surface, and currencies move together."""

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.sandbox import option_prices, surface
from deribit_pipeline.sandbox.drivers import driver_of
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline_tests.conftest import Clock

DAY = 86_400_000
NEW_YEAR = 1_704_067_200_000  # 2024-01-01 00:00 UTC
EXPIRY = 1_711_699_200_000  # 2024-03-29 08:00 UTC

NAMES = ("BTC-29MAR24-42000-C", "BTC-29MAR24-34000-P", "ETH-29MAR24-2800-C", "ETH-29MAR24-3500-P")


@pytest.fixture(autouse=True)
def _in_january(clock: Clock) -> None:
    clock.now = datetime(2024, 1, 12, tzinfo=UTC)


def trades_of(exchange: SandboxExchange, name: str, count: int = 1_000) -> list[dict[str, Any]]:
    params = {"instrument_name": name, "count": str(count), "sorting": "desc"}
    reply = exchange.answer("public/get_last_trades_by_instrument", params)
    assert reply.status == 200, reply.body
    trades: list[dict[str, Any]] = reply.body["result"]["trades"]
    return trades


def closes(exchange: SandboxExchange, name: str, resolution: str, days: int) -> Any:
    params = {
        "instrument_name": name, "resolution": resolution,
        "start_timestamp": str(NEW_YEAR - days * DAY), "end_timestamp": str(NEW_YEAR),
    }  # fmt: skip
    return exchange.answer("public/get_tradingview_chart_data", params).body["result"]["close"]


@pytest.mark.parametrize("name", NAMES)
def test_the_price_of_a_trade_is_the_formula_s_at_its_volatility(
    sandbox: SandboxExchange, name: str
) -> None:
    strike, sign = float(name.split("-")[2]), 1 if name.endswith("C") else -1
    for trade in trades_of(sandbox, name):
        years = (EXPIRY - trade["timestamp"]) / (365 * DAY)
        forward = trade["index_price"] * math.exp(0.05 * years)
        deviation = trade["iv"] / 100 * math.sqrt(years)
        first = math.log(forward / strike) / deviation + deviation / 2
        shares = [0.5 * math.erfc(-sign * at / math.sqrt(2)) for at in (first, first - deviation)]
        paid = sign * (forward * shares[0] - strike * shares[1]) / forward
        density = math.exp(-(first**2) / 2) / math.sqrt(2 * math.pi)
        # The last digits of the volatility, and of the index and the forward.
        least = 0.005 / 100 * density * math.sqrt(years) + 0.01 * strike / forward**2
        assert trade["price"] == pytest.approx(paid, abs=1.1 * least)


@pytest.mark.parametrize("name", NAMES)
def test_options_trade_about_their_marks_and_on_ticks(sandbox: SandboxExchange, name: str) -> None:
    for trade in trades_of(sandbox, name):
        tick = 0.0005 if trade["price"] > 0.005 else 0.0001
        assert math.isclose(trade["price"] / tick, round(trade["price"] / tick), abs_tol=1e-6)
        assert trade["price"] == pytest.approx(trade["mark_price"], rel=0.05, abs=3 * tick)


def test_a_trade_states_the_index_of_its_moment(sandbox: SandboxExchange) -> None:
    for name in ("BTC-PERPETUAL", "BTC-29MAR24", *NAMES):
        trades = trades_of(sandbox, name, 50)
        moments = np.array([trade["timestamp"] for trade in trades])
        index = driver_of(name.split("-")[0]).prices(moments)
        assert np.allclose([trade["index_price"] for trade in trades], index, atol=0.006)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("BTC-PERPETUAL", 10.0), ("ETH-PERPETUAL", 1.0), ("SOL_USDC-PERPETUAL", 0.1),
        ("BTC-29MAR24-42000-C", 1.0), ("ETH-29MAR24-2800-C", 1.0),
    ],
)  # fmt: skip
def test_contracts_are_amounts_in_contracts(
    sandbox: SandboxExchange, name: str, size: float
) -> None:
    for trade in trades_of(sandbox, name, 100):
        assert trade["contracts"] * size == pytest.approx(trade["amount"])


def test_contracts_of_linear_perpetuals_follow_the_change_of_their_size(
    sandbox: SandboxExchange, clock: Clock
) -> None:
    clock.now = datetime(2026, 8, 18, 12, tzinfo=UTC)
    changed = clock.now.timestamp() * 1000 - 4 * 3_600_000
    params = {
        "instrument_name": "SOL_USDC-PERPETUAL", "count": "1000", "sorting": "asc",
        "start_timestamp": str(int(changed) - 7_200_000),
        "end_timestamp": str(int(changed) + 7_200_000),
    }  # fmt: skip
    reply = sandbox.answer("public/get_last_trades_by_instrument_and_time", params)
    sizes = {
        (trade["timestamp"] >= changed, round(trade["amount"] / trade["contracts"], 9))
        for trade in reply.body["result"]["trades"]
    }
    assert sizes == {(False, 0.1), (True, 0.01)}


@pytest.mark.parametrize("step", [DAY, DAY // 24])
def test_returns_of_bitcoin_and_ether_are_correlated(step: int) -> None:
    moments = np.arange(NEW_YEAR - 365 * DAY, NEW_YEAR, step)
    returns = [np.diff(np.log(driver_of(base).prices(moments))) for base in ("BTC", "ETH")]
    assert 0.7 < np.corrcoef(*returns)[0, 1] < 0.8


def test_candles_are_as_correlated_as_what_moves_them(sandbox: SandboxExchange) -> None:
    names = ("BTC-PERPETUAL", "ETH-PERPETUAL")
    returns = [np.diff(np.log(closes(sandbox, name, "60", 20))) for name in names]
    assert 0.65 < np.corrcoef(*returns)[0, 1] < 0.85


def test_instruments_of_one_currency_have_one_price(sandbox: SandboxExchange) -> None:
    perpetual = closes(sandbox, "BTC-PERPETUAL", "60", 30)
    assert np.allclose(closes(sandbox, "BTC_USDC-PERPETUAL", "60", 30), perpetual, rtol=1e-2)
    future = closes(sandbox, "BTC-29MAR24", "60", 30)
    assert np.all((future / perpetual > 1.005) & (future / perpetual < 1.025))


def test_candles_of_an_option_stay_about_the_surface(sandbox: SandboxExchange) -> None:
    lower, higher = (
        closes(sandbox, f"BTC-29MAR24-{strike}-C", "1D", 20) for strike in (40_000, 45_000)
    )
    assert np.all(lower > higher)


@pytest.mark.parametrize("currency", ["BTC", "ETH"])
def test_a_strip_of_options_of_thirty_days_costs_the_volatility_index(
    sandbox: SandboxExchange, currency: str
) -> None:
    params = {"currency": currency, "resolution": "60", "start_timestamp": str(NEW_YEAR),
              "end_timestamp": str(NEW_YEAR)}  # fmt: skip
    reply = sandbox.answer("public/get_volatility_index_data", params)
    years, strikes = 30 / 365, np.exp(np.linspace(-1.5, 1.5, 1_001))
    of_all = np.ones(len(strikes))
    volatilities = surface.volatility(
        currency, np.full(len(strikes), NEW_YEAR), of_all * years, np.log(strikes)
    )
    given = (strikes > 1, of_all, strikes, of_all * years)
    worth = option_prices.price(*given, volatilities)
    strip = 100 * math.sqrt(2 / years * np.trapezoid(worth / strikes**2, strikes))
    assert strip == pytest.approx(reply.body["result"]["data"][0][1], rel=0.01)


def test_the_implied_volatility_of_a_price_is_the_one_it_is_made_of() -> None:
    volatility = np.array([0.05, 0.3, 0.6, 1.5, 4.0, 0.6, 0.6])
    strike = np.array([100.0, 90.0, 130.0, 60.0, 180.0, 400.0, 25.0])
    years = np.array([0.5, 0.01, 0.2, 1.0, 0.02, 1.0, 1.0])
    forward, is_call = np.full(7, 100.0), np.array([True, False, True, False, True, True, False])
    given = (is_call, forward, strike, years)
    paid = option_prices.price(*given, volatility)
    found = option_prices.implied(*given, paid, near=np.full(7, 0.7))
    assert found == pytest.approx(volatility, rel=1e-6)
    below = option_prices.intrinsic(is_call, forward, strike)
    assert not option_prices.implied(*given, below, near=np.full(7, 0.7)).any()
