"""A malformed trade of a response costs only itself; a repeated one counts once."""

from typing import Any

import pytest

from deribit_pipeline.datasets.trades.wire import MalformedTrade, trades_page
from deribit_pipeline_tests.conftest import recorded

NAME = "BTC-PERPETUAL"


def recorded_trades() -> list[dict[str, Any]]:
    return [dict(trade) for trade in recorded("trades_instrument")["trades"]]


@pytest.mark.parametrize("name", ["price", "amount", "timestamp", "direction", "liquidation"])
@pytest.mark.parametrize("value", [True, 10**400, [], {}, float("inf")])
def test_a_malformed_trade_is_named_and_the_others_are_read(name: str, value: object) -> None:
    rows = recorded_trades()
    corrupted = rows[2]
    number, time = corrupted["trade_seq"], corrupted["timestamp"]
    corrupted[name] = value
    page = trades_page({"trades": rows}, NAME, 10)
    assert len(page.rows["trade_seq"]) == 4
    [malformed] = page.malformed
    assert malformed.number == number
    assert malformed.traded_ms == (None if name == "timestamp" else time)
    assert f"`{name}`" in malformed.reason
    assert len(malformed.reason) < 200


@pytest.mark.parametrize("value", [None, "7", 0, -1, 1.5, 2**60, float("nan")])
def test_a_trade_without_a_number_is_malformed_alone(value: object) -> None:
    rows = recorded_trades()
    rows[0]["trade_seq"] = value
    page = trades_page({"trades": rows}, NAME, 10)
    assert len(page.rows["trade_seq"]) == 4
    assert page.malformed[0].number is None
    assert "`trade_seq`" in page.malformed[0].reason


@pytest.mark.parametrize("row", [None, 1, [], "x", {}])
def test_what_is_no_trade_at_all_costs_the_others_nothing(row: object) -> None:
    page = trades_page({"trades": [*recorded_trades(), row]}, NAME, 10)
    assert len(page.rows["trade_seq"]) == 5
    assert (page.malformed[0].number, page.malformed[0].traded_ms) == (None, None)


def test_trades_equal_in_every_field_are_one() -> None:
    rows = recorded_trades()
    page = trades_page({"trades": [*rows, rows[0], rows[3]]}, NAME, 10)
    assert len(page.rows["trade_seq"]) == 5
    assert (page.malformed, page.repeated) == ((), 2)


@pytest.mark.parametrize("place", [0, 1, 5])
def test_different_trades_with_one_number_are_both_malformed(place: int) -> None:
    rows = recorded_trades()
    other = rows[0] | {"price": rows[0]["price"] + 0.5}
    page = trades_page({"trades": [*rows[:place], other, *rows[place:], rows[0]]}, NAME, 10)
    assert len(page.rows["trade_seq"]) == 4
    assert page.malformed == (
        MalformedTrade(
            rows[0]["trade_seq"],
            rows[0]["timestamp"],
            "different trades have the same `trade_seq`",
        ),
    )


def test_a_response_of_malformed_trades_alone_is_refused() -> None:
    rows = [row | {"price": None} for row in recorded_trades()]
    assert len(trades_page({"trades": rows}, NAME, 10).malformed) == 5
    with pytest.raises(ValueError, match="`price` must be an array of numbers"):
        trades_page({"trades": 3 * rows}, NAME, 20)
