"""Private responses are parsed to the last field, or are errors."""

import json
from datetime import date, datetime
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets.account import wire as methods
from deribit_pipeline.datasets.account.proof import Bounds, balance_verdict
from deribit_pipeline.datasets.settlements.wire import settlements
from deribit_pipeline.datasets.volatility_index.wire import index_page

Result = dict[str, Any]

ENTRY: Result = {
    "id": 61_312, "user_seq": 6_009, "user_id": 7, "currency": "BTC", "type": "transfer",
    "timestamp": 1_613_659_830_333, "side": "-", "change": -2.5, "cashflow": -2.5,
    "balance": 3_001.22270418, "commission": None, "trade_id": None, "unheard_of": {"b": [1]},
    "info": {"transfer_type": "subaccount"},
}  # fmt: skip
TRADE: Result = {
    "trade_id": "48078936", "order_id": "4008699030", "timestamp": 1_590_480_620_145,
    "instrument_name": "BTC-27MAY20-8750-C", "trade_seq": 1, "direction": "sell", "price": 0.028,
    "amount": 1, "fee": 0.0004, "fee_currency": "BTC", "liquidity": "M", "iv": 38.51,
}  # fmt: skip
SETTLEMENT: Result = {
    "type": "settlement", "timestamp": 1_550_475_692_526, "session_profit_loss": 0.038358299,
    "position": -66, "mark_price": 121.67, "instrument_name": "BTC-22FEB19", "index_price": 119.8,
}  # fmt: skip
PAGES = {
    "logs": (methods.log_page, ENTRY),
    "trades": (methods.trades_page, TRADE),
    "settlements": (methods.settlements_page, SETTLEMENT),
}


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("logs", {"currency": "ETH"}, "the currency of an entry is not BTC"),
        ("logs", {"id": True}, "`id` must be a whole number"),
        ("logs", {"id": 2**64}, "`id` must be a whole number"),
        ("logs", {"timestamp": "soon"}, "`timestamp` must be a number"),
        ("logs", {"change": "1.0"}, "`change` must be an array of numbers"),
        ("logs", {"type": None}, "`type` must be a text"),
        ("logs", {"trade_id": 7}, "`trade_id` must be a text or null"),
        ("trades", {"price": None}, "`price` must be an array of numbers"),
        ("trades", {"trade_id": ""}, "`trade_id` must be a text"),
        ("trades", {"instrument_name": "BTC_USDC-PERPETUAL"}, "PERPETUAL does not settle in BTC"),
        ("settlements", {"instrument_name": None}, "`instrument_name` must be a text"),
        ("settlements", {"instrument_name": "ETH-PERPETUAL"}, "does not settle in BTC"),
    ],
)
def test_a_malformed_row_is_an_error(name: str, change: Result, sentence: str) -> None:
    read, row = PAGES[name]
    with pytest.raises(ValueError, match=sentence):
        read("BTC", {name: [row | change], "has_more": False})
    assert len(read("BTC", {name: [row], "has_more": False}).rows["told"]) == 1


@pytest.mark.parametrize(
    ("name", "answer", "sentence"),
    [
        ("logs", {"logs": None}, "must be an array"),
        ("logs", {"logs": [7]}, "must be an object"),
        ("logs", {"logs": [ENTRY] * 251}, "at most 250 were requested, but 251 were returned"),
        ("logs", {"logs": [ENTRY], "continuation": 1.5}, "`continuation` must be"),
        ("trades", {"trades": [], "has_more": None}, "`has_more` must be true or false"),
        ("trades", {"trades": [TRADE] * 1_001, "has_more": False}, "but 1001 were returned"),
        (
            "settlements",
            {"settlements": [SETTLEMENT, SETTLEMENT | {"timestamp": 1_560_000_000_000}]},
            "must be sorted newest first",
        ),
    ],
)
def test_a_malformed_page_is_an_error(name: str, answer: Result, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        PAGES[name][0]("BTC", answer)


def test_an_entry_without_an_instrument_is_read() -> None:
    rows = methods.log_page("BTC", {"logs": [ENTRY], "continuation": 61_282}).rows
    assert rows["logged_at"].tolist() == [datetime(2021, 2, 18, 14, 50, 30, 333_000)]
    assert (rows["trade_id"].tolist(), rows["instrument_name"].tolist()) == ([None], [None])
    assert np.isnan(rows["commission"]).all()
    assert rows["change"].tolist() == [-2.5]
    (returned,) = rows["told"]
    assert json.loads(returned) == ENTRY
    assert list(json.loads(returned)) == sorted(ENTRY)


def test_a_bankruptcy_of_the_account_is_named_by_its_own_values() -> None:
    entry = {"type": "bankruptcy", "timestamp": 1_613_659_830_333, "session_profit_loss": -1.0}
    entries = [entry, entry | {"funded": 1.0}, entry | {"position": 0}]
    names = methods.settlements_page("BTC", {"settlements": entries}).rows["instrument_name"]
    assert len(set(names)) == 3
    assert all(name.startswith("#") for name in names)


@pytest.mark.parametrize(
    ("name", "currency", "is_of"),
    [
        ("BTC-PERPETUAL", "BTC", True),
        ("BTC-PERPETUAL", "ETH", False),
        ("SOL_USDC-PERPETUAL", "USDC", True),
        ("BTC_USDC-PERPETUAL", "BTC", False),
        ("BTC_USDC", "BTC", True),
        ("BTC_USDC", "USDC", True),
        ("BTC-FS-25DEC26_PERP", "BTC", True),
        ("XRP_USDC-30JUN23-0d625-C", "USDC", True),
    ],
)
def test_a_name_tells_the_currency(name: str, currency: str, *, is_of: bool) -> None:
    rows = {"instrument_name": np.array([name], object)}
    try:
        methods._require_currency(currency, rows)
    except ValueError:
        assert not is_of
    else:
        assert is_of


@pytest.mark.parametrize("end", [{}, {"continuation": None}, {"continuation": "none"}])
def test_a_continuation_ends_in_three_ways(end: Result) -> None:
    assert methods.settlements_page("BTC", {"settlements": []} | end).continuation is None


@pytest.mark.parametrize("end", [None, "none", ""])
def test_every_page_ends_alike(end: str | None) -> None:
    pages = (
        methods.log_page("BTC", {"logs": [], "continuation": end}),
        methods.settlements_page("BTC", {"settlements": [], "continuation": end}),
        settlements({"settlements": [], "continuation": end}),
        index_page({"data": [], "continuation": end}),
    )
    assert [page.continuation for page in pages] == [None] * 4


@pytest.mark.parametrize("length", [4, 5, 6, 7, 1_000, 1_001])
def test_halves_are_less_and_share_two_milliseconds(length: int) -> None:
    halves = Bounds(10, 10 + length).halves()
    assert halves is not None
    assert (halves[0].first, halves[1].last) == (10, 10 + length)
    assert halves[0].last - halves[1].first == 1
    assert max(half.last - half.first for half in halves) < length


def log_of(*entries: tuple[int, float, float]) -> dict[str, Any]:
    """Entries of 2024-03-05: number, change, balance."""
    numbers, changes, balances = (np.array(values) for values in zip(*entries, strict=True))
    at = np.datetime64("2024-03-05T01:00", "ms") + numbers.astype("timedelta64[m]")
    named = {"id": numbers * 10, "user_seq": numbers, "change": changes, "balance": balances}
    return {**named, "logged_at": at}


@pytest.mark.parametrize(
    ("entries", "verdict"),
    [
        ([(1, 5.0, 5.0), (2, -0.1, 4.9)], "each balance follows from the one before"),
        (
            [(1, 5.0, 5.0), (4, -0.1, 4.9)],
            "each balance follows from the one before; user_seq skips 2, which other currencies "
            "than BTC may have",
        ),
        (
            [(1, 5.0, 5.0), (2, -0.1, 4.7), (3, 0.0, 4.6)],
            "balances that do not follow from the one before: 2, from id 20",
        ),
        # An absent value is not a violation.
        (
            [(1, 5.0, 5.0), (2, np.nan, 5.0), (3, 1.0, np.nan), (4, 1.0, 7.0), (5, 1.0, 8.0)],
            "each balance follows from the one before",
        ),
        # Two entries with one number are not a missing number, and do not hide one.
        ([(1, 5.0, 5.0), (1, 1.0, 6.0)], "each balance follows from the one before"),
        (
            [(1, 5.0, 5.0), (1, 1.0, 6.0), (4, 1.0, 7.0)],
            "each balance follows from the one before; user_seq skips 2, which other currencies "
            "than BTC may have",
        ),
    ],
)
def test_a_log_says_whether_its_balances_follow(
    entries: list[tuple[int, float, float]], verdict: str
) -> None:
    assert balance_verdict(log_of(*entries), "BTC", date(2024, 3, 5)) == verdict
    assert balance_verdict(log_of(*entries), "BTC", date(2024, 3, 6)) == ""
