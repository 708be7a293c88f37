"""A response with trades is read to the same values, typed or as JSON of any shape."""

import json
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets.trades.typed_trades import Trades, decode_trades
from deribit_pipeline.datasets.trades.wire import TradesPage, trades_page
from deribit_pipeline.domain.rows import Columns, differences
from deribit_pipeline_tests.conftest import recorded
from deribit_pipeline_tests.helpers.mutations import corrupted, damaged, examples, hold, written

NAME = "BTC-PERPETUAL"
TIMES = {"testnet": False, "usIn": 1_704_067_200_000_007, "usOut": 1_704_067_200_000_912}


def envelope(result: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": result, **TIMES}


def changed(**change: object) -> bytes:
    """The recorded response, one field of its second trade changed or, if None, left out."""
    rows = [dict(trade) for trade in recorded("trades_instrument")["trades"]]
    rows[1] |= change
    rows[1] = {name: value for name, value in rows[1].items() if value is not None}
    return written(envelope({"trades": rows, "has_more": True})).encode()


def read(result: object) -> TradesPage | str:
    """The trades, or why they are refused."""
    try:
        return trades_page(result, NAME, 10)
    except ValueError as error:
        return str(error)


def assert_same_trades(one: Columns, other: Columns) -> None:
    assert {name: values.dtype for name, values in one.items()} == {
        name: values.dtype for name, values in other.items()
    }
    assert not np.any(differences(one, other))
    for name, values in one.items():
        if values.dtype.kind == "f":
            assert not np.any(np.signbit(values) & (values == 0)), name


def assert_same(body: bytes) -> None:
    """Both ways give the same envelope and trades."""
    typed, whole = decode_trades(body), json.loads(body)
    assert typed is not None
    assert {key: value for key, value in typed.items() if key != "result"} == {
        key: whole.get(key) for key in typed if key != "result"
    }
    one, other = read(typed["result"]), read(whole["result"])
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
        return
    assert (one.malformed, one.repeated) == (other.malformed, other.repeated)
    assert_same_trades(one.rows, other.rows)


@pytest.mark.parametrize("name", ["trades_instrument", "trades_currency"])
def test_recorded_trades_are_typed(name: str) -> None:
    for trade in recorded(name)["trades"]:
        body = json.dumps(envelope({"trades": [trade]})).encode()
        typed = decode_trades(body)
        assert typed is not None
        one, other = (
            trades_page(result, trade["instrument_name"], 10)
            for result in (typed["result"], {"trades": [trade]})
        )
        assert not one.malformed
        assert_same_trades(one.rows, other.rows)


def test_a_response_without_trades_is_typed() -> None:
    assert_same(written(envelope({"trades": [], "has_more": False})).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"price": "@raw:8.08325e4@"},
        {"price": 80832},
        {"timestamp": "@raw:1.7900067e12@"},
        {"timestamp": -1},
        {"timestamp": 1e18},
        {"trade_seq": 0},
        {"trade_seq": 1.5},
        {"trade_seq": "@raw:9007199254740993@"},
        {"trade_seq": 299_983_429},
        {"tick_direction": 4},
        {"trade_id": ""},
        {"instrument_name": "ETH-PERPETUAL"},
        {"amount": "@raw:-0.0@"},
        {"contracts": "@raw:-0@"},
        {"iv": "@raw:-0.0@", "liquidation": "MT", "block_trade_id": "", "combo_id": "é"},
        {"mark_price": "@raw:null@", "index_price": "@raw:null@", "liquidation": "@raw:null@"},
        {"contracts": None, "mark_price": None},
        {"unknown": {"deep": [1, "x"]}},
    ],
)
def test_a_changed_trade_is_read_the_same_both_ways(change: dict[str, object]) -> None:
    assert_same(changed(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"price": None},
        {"price": "80832.5"},
        {"price": True},
        {"price": "@raw:null@"},
        {"price": "@raw:NaN@"},
        {"price": "@raw:1" + 400 * "0" + "@"},
        {"direction": "up"},
        {"direction": ["buy"]},
        {"trade_id": 445_682_209},
        {"iv": False},
        {"liquidation": 1},
        {"instrument_name": ["x"]},
    ],
)
def test_a_malformed_trade_is_left_to_the_parser_of_any_json(change: dict[str, object]) -> None:
    assert decode_trades(changed(**change)) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"result": []}',
        b'{"result": null}',
        b'{"error": {"code": 10028, "message": "too_many_requests"}, "testnet": false}',
        b'{"result": {"trades": []}',
        b'{"result": {"trades": []}} x',
    ],
)
def test_another_response_is_not_typed(body: bytes) -> None:
    assert decode_trades(body) is None


@examples(quick=150, tortured=8_000)
def test_any_body_that_is_typed_is_read_the_same_both_ways(count: int) -> None:
    whole = {**envelope(recorded("trades_instrument")), "usDiff": 905}
    whole["result"]["trades"] = whole["result"]["trades"][:2]

    def law(body: bytes) -> None:
        typed = decode_trades(body)
        if typed is not None:
            assert isinstance(typed["result"], Trades)
            assert_same(body)

    hold(law, count, damaged(corrupted(whole)))
