"""Responses with trades: recorded ones are parsed, malformed ones are errors, and the sandbox's
behave as both hosts are known to."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets.trades.wire import trades
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline_tests.conftest import recorded
from deribit_pipeline_tests.sandbox.test_sandbox import MINUTE, NEW_YEAR, chart, shape

NAME = "BTC-PERPETUAL"
BY_NUMBER = "public/get_last_trades_by_instrument"
BY_TIME = BY_NUMBER + "_and_time"


def test_recorded_trades_are_read_to_the_last_digit() -> None:
    returned = recorded("trades_instrument")["trades"][::-1]
    columns = trades(recorded("trades_instrument"), NAME, 10)
    for name in ("trade_seq", "trade_id", "direction", "tick_direction", "price", "mark_price"):
        assert columns[name].tolist() == [trade[name] for trade in returned]
    for name in ("index_price", "amount", "contracts"):
        assert columns[name].tolist() == [trade[name] for trade in returned]
    stamps = [trade["timestamp"] for trade in returned]
    assert columns["traded_at"].astype(np.int64).tolist() == stamps
    assert columns["iv"].dtype == np.float64
    assert np.isnan(columns["iv"]).all()
    assert columns["block_trade_id"].tolist() == [None] * 5


def test_recorded_trades_of_options_have_a_volatility() -> None:
    returned = [
        trade for trade in recorded("trades_currency")["trades"] if "88000-C" in
        trade["instrument_name"]
    ]  # fmt: skip
    columns = trades({"trades": returned}, "BTC-9OCT26-88000-C", 10)
    assert columns["trade_seq"].tolist() == [102, 103]
    assert columns["iv"].tolist() == [34.72, 34.72]


def test_no_trades_are_columns_without_rows() -> None:
    assert {len(values) for values in trades({"trades": []}, NAME, 10).values()} == {0}


def changed(**change: object) -> dict[str, Any]:
    """The recorded trades, the second of them changed; None leaves a field out."""
    rows = [dict(trade) for trade in recorded("trades_instrument")["trades"]]
    rows[1] |= change
    rows[1] = {name: value for name, value in rows[1].items() if value is not None}
    return {"trades": rows}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (None, "the result must be an object"),
        ({}, "the result must be an array"),
        ({"trades": [1]}, "`trades` must be objects"),
        (changed(instrument_name="ETH-PERPETUAL"), "not of BTC-PERPETUAL, but of 'ETH-PERPETUAL'"),
        (changed(instrument_name=["x"]), "`instrument_name` must be a text"),
        (changed(instrument_name=None), "every trade must have `instrument_name`"),
        (changed(price=None), "every trade must have `price`"),
        (changed(price="80832.5"), "`price` must be an array of numbers"),
        (changed(price=True), "`price` must be an array of numbers"),
        (changed(price=1e999), "`price` must be finite"),
        (changed(direction="up"), "`direction` must be buy or sell"),
        (changed(direction=["buy"]), "`direction` must be buy or sell"),
        (changed(tick_direction=4), "`tick_direction` must be integers from 0 to 3"),
        (changed(trade_seq=0), "`trade_seq` must be integers from 1"),
        (changed(trade_seq=1.5), "`trade_seq` must be integers from 1"),
        (changed(trade_seq=299983429), "different trades have the same `trade_seq`"),
        (changed(timestamp=-1), "`timestamp` must be integers"),
        (changed(timestamp=1e18), "`timestamp` must be integers"),
        (changed(trade_id=445682209), "`trade_id` must be texts"),
        (changed(trade_id=""), "`trade_id` must be texts"),
        (changed(mark_price="1"), "`mark_price` must be an array of numbers"),
        (changed(iv=False), "`iv` must be an array of numbers"),
        (changed(liquidation=1), "`liquidation` must be texts or absent"),
    ],
)
def test_malformed_trades_are_an_error(answer: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        trades(answer, NAME, 10)


def test_more_trades_than_were_requested_are_an_error() -> None:
    with pytest.raises(ValueError, match="at most 4 trades were requested, but 5 were returned"):
        trades(recorded("trades_instrument"), NAME, 4)


def returned(
    sandbox: SandboxExchange, method: str = BY_NUMBER, *, of_history: bool = False, **params: Any
) -> dict[str, Any]:
    requested = {name: str(value) for name, value in ({"instrument_name": NAME} | params).items()}
    reply = sandbox.answer(method, requested, of_history=of_history)
    assert reply.status == 200, reply.body
    result: dict[str, Any] = reply.body["result"]
    return result


def numbers(answer: dict[str, Any]) -> list[int]:
    return [trade["trade_seq"] for trade in answer["trades"]]


def test_the_sandboxs_trades_have_the_recorded_ones_keys_and_types(
    sandbox: SandboxExchange,
) -> None:
    ours = {name: type(value) for name, value in returned(sandbox)["trades"][0].items()}
    theirs = recorded("trades_instrument")["trades"][0].items()
    assert ours == {name: type(value) for name, value in theirs if "starbase" not in name}


def test_www_returns_ten_trades_without_a_count_newest_first(
    sandbox: SandboxExchange,
) -> None:
    newest = numbers(returned(sandbox))
    assert newest == list(range(newest[0], newest[0] - 10, -1))
    assert (
        numbers(returned(sandbox, count=3, sorting="asc", start_seq=newest[-1])) == newest[-1:-4:-1]
    )


@pytest.mark.parametrize(("of_history", "most"), [(False, 1_000), (True, 10_000)])
def test_more_than_the_most_is_refused(
    sandbox: SandboxExchange, of_history: bool, most: int
) -> None:
    assert len(returned(sandbox, of_history=of_history, count=most)["trades"]) <= most
    requested = {"instrument_name": NAME, "count": str(most + 1)}
    reply = sandbox.answer(BY_NUMBER, requested, of_history=of_history)
    assert reply.body["error"]["data"]["param"] == "count"


def test_www_keeps_a_day_and_the_archive_lags(sandbox: SandboxExchange) -> None:
    now = sandbox.now_ms()
    params = {"start_timestamp": 0, "end_timestamp": now, "count": 10}
    oldest = returned(sandbox, BY_TIME, sorting="asc", **params)["trades"][0]
    assert 0 <= oldest["timestamp"] - (now - 1_440 * MINUTE) < 10 * MINUTE
    archived = returned(sandbox, BY_TIME, of_history=True, sorting="desc", **params)["trades"]
    assert max(trade["timestamp"] for trade in archived) <= now - 10 * MINUTE


def test_the_archives_rows_are_unordered_leak_and_prove_nothing(sandbox: SandboxExchange) -> None:
    unordered = leaking = 0
    has_more = set()
    for first in range(1_000, 11_000, 500):
        answer = returned(
            sandbox, of_history=True, start_seq=first, end_seq=first + 399, count=500, sorting="asc"
        )
        found = numbers(answer)
        unordered += found != sorted(found)
        leaking += not (min(found) == first and max(found) == first + 399)
        has_more.add(answer["has_more"])
        assert set(found) >= set(range(first, first + 400))
    assert unordered == 20
    assert leaking > 10
    assert has_more == {True, False}


@pytest.mark.parametrize("name", [NAME, "ETH-PERPETUAL", "SOL_USDC-PERPETUAL"])
def test_the_trades_of_a_minute_make_its_candle(sandbox: SandboxExchange, name: str) -> None:
    candles = chart(sandbox, NEW_YEAR, NEW_YEAR + 60 * MINUTE - 1, name=name)
    answer = returned(
        sandbox, BY_TIME, of_history=True, instrument_name=name, sorting="asc", count=1_000,
        start_timestamp=NEW_YEAR, end_timestamp=NEW_YEAR + 60 * MINUTE - 1,
    )  # fmt: skip
    rows = sorted(answer["trades"], key=lambda trade: trade["trade_seq"])
    for number, tick in enumerate(candles["ticks"].tolist()):
        those = [trade for trade in rows if tick <= trade["timestamp"] < tick + MINUTE]
        if not those:
            assert candles["volume"][number] == candles["cost"][number] == 0
            continue
        prices = [trade["price"] for trade in those]
        amounts = [trade["amount"] for trade in those]
        if "_" in name:
            volume = sum(amounts)
            cost = sum(a * p for a, p in zip(amounts, prices, strict=True))
        else:
            cost = sum(amounts)
            volume = sum(a / p for a, p in zip(amounts, prices, strict=True))
        returned_of_it = [candles[key][number] for key in ("open", "high", "low", "close")]
        assert returned_of_it == [prices[0], max(prices), min(prices), prices[-1]]
        assert candles["volume"][number] == pytest.approx(volume, abs=1e-8)
        assert candles["cost"][number] == pytest.approx(cost, abs=1e-6)


def test_a_dense_sandbox_has_a_million_trades_a_day() -> None:
    now = datetime(2024, 1, 2, 12, tzinfo=UTC).timestamp()
    dense = SandboxExchange(lambda: now, per_second=0, trades_per_minute=700)
    midnights = [
        returned(
            dense, BY_TIME, of_history=True, start_timestamp=moment, end_timestamp=moment + MINUTE,
            sorting="asc", count=10,
        )
        for moment in (NEW_YEAR, NEW_YEAR + 1_440 * MINUTE)
    ]  # fmt: skip
    first, second = (min(numbers(answer)) for answer in midnights)
    assert 900_000 < second - first < 1_100_000


def test_the_shape_of_both_hosts_answers_is_the_recorded_one(sandbox: SandboxExchange) -> None:
    for of_history in (False, True):
        assert (
            shape(returned(sandbox, of_history=of_history)).keys()
            == recorded("trades_instrument").keys()
        )
