"""Book summaries of the sandbox: of every listed instrument, of one instant, and recomputable."""

import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import FAULTS
from deribit_pipeline.sandbox.summary_faults import CHANGES
from deribit_pipeline_tests.conftest import Clock

METHOD = "public/get_book_summary_by_currency"
NOW = datetime(2026, 11, 29, 12, 0, 30, tzinfo=UTC)

DAY = 86_400_000

Row = dict[str, Any]


@pytest.fixture(autouse=True)
def _in_november(clock: Clock) -> None:
    clock.now = NOW


def summaries(exchange: SandboxExchange, currency: str, **params: str) -> list[Row]:
    reply = exchange.answer(METHOD, {"currency": currency} | params)
    assert reply.status == 200, reply.body
    rows: list[Row] = reply.body["result"]
    return rows


def instruments(exchange: SandboxExchange, currency: str) -> dict[str, Row]:
    reply = exchange.answer("public/get_instruments", {"currency": currency})
    return {row["instrument_name"]: row for row in reply.body["result"]}


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def black_76(row: Row, of: Row) -> float:
    """An option's price in quote currency, from its summary and its description alone."""
    years = (of["expiration_timestamp"] - row["creation_timestamp"]) / (365 * DAY)
    forward, strike = row["underlying_price"], of["strike"]
    deviation = row["mark_iv"] / 100 * math.sqrt(years)
    first = (math.log(forward / strike) + deviation**2 / 2) / deviation
    sign = 1 if of["option_type"] == "call" else -1
    shares = [0.5 * math.erfc(-sign * at / math.sqrt(2)) for at in (first, first - deviation)]
    return sign * (forward * shares[0] - strike * shares[1])


@pytest.mark.parametrize("currency", ["BTC", "ETH", "USDC", "USDT"])
def test_every_instrument_listed_at_the_instant_has_one_row(
    sandbox: SandboxExchange, currency: str
) -> None:
    names = [row["instrument_name"] for row in summaries(sandbox, currency)]
    assert sorted(names) == sorted(instruments(sandbox, currency))


def test_a_kind_selects_rows_without_changing_them(sandbox: SandboxExchange) -> None:
    everything, kinds = summaries(sandbox, "BTC"), instruments(sandbox, "BTC")
    for kind in ("future", "option", "spot", "future_combo", "option_combo"):
        of_kind = [row for row in everything if kinds[row["instrument_name"]]["kind"] == kind]
        assert summaries(sandbox, "BTC", kind=kind) == of_kind


@pytest.mark.parametrize(
    "params", [{}, {"currency": "any"}, {"currency": "XYZ"}, {"currency": "BTC", "kind": "swap"}]
)
def test_other_currencies_and_kinds_are_refused(
    sandbox: SandboxExchange, params: dict[str, str]
) -> None:
    reply = sandbox.answer(METHOD, params)
    assert (reply.status, reply.body["error"]["code"]) == (400, -32602)


def test_summaries_are_renewed_every_two_seconds(sandbox: SandboxExchange, clock: Clock) -> None:
    instants = []
    for _ in range(20):
        rows = summaries(sandbox, "BTC")
        (instant,) = {row["creation_timestamp"] for row in rows}
        assert ms(clock.now) - 2_000 < instant <= ms(clock.now)
        instants.append(instant)
        clock.forward(timedelta(seconds=0.5))
    assert {later - one for one, later in pairwise(instants)} == {0, 2_000}


def test_two_sandboxes_have_the_same_summaries(sandbox: SandboxExchange, clock: Clock) -> None:
    other = SandboxExchange(clock, per_second=0)
    summaries(other, "ETH", kind="future")
    assert summaries(other, "BTC") == summaries(sandbox, "BTC")


def test_listings_change_at_eight(sandbox: SandboxExchange, clock: Clock) -> None:
    eight = datetime(2026, 12, 1, 8, tzinfo=UTC)

    def expiries(moment: datetime) -> Counter[str]:
        clock.now = moment
        rows = summaries(sandbox, "BTC", kind="option")
        return Counter(row["instrument_name"].split("-")[1] for row in rows)

    before = expiries(eight - timedelta(seconds=1))
    after = expiries(eight + timedelta(seconds=40))
    assert (before - after, after - before) == ({"1DEC26": 24}, {"5DEC26": 24})
    assert set(before.values()) == {24}
    assert len(before) >= 8


@pytest.mark.parametrize("currency", ["BTC", "ETH", "USDC"])
def test_marks_follow_from_the_published_volatility_and_forward(
    sandbox: SandboxExchange, currency: str
) -> None:
    listed = instruments(sandbox, currency)
    options = summaries(sandbox, currency, kind="option")
    for row in options:
        of = listed[row["instrument_name"]]
        price = black_76(row, of)
        if of["instrument_type"] == "reversed":
            price /= row["underlying_price"]
        assert row["mark_price"] == pytest.approx(price, abs=5.1e-9), row
    assert len(options) > 150


@pytest.mark.parametrize("currency", ["BTC", "ETH", "USDC"])
def test_no_portfolio_of_options_is_an_arbitrage(sandbox: SandboxExchange, currency: str) -> None:
    listed = instruments(sandbox, currency)
    calls: dict[str, list[tuple[float, float]]] = {}
    variance: dict[int, float] = {}
    for row in summaries(sandbox, currency, kind="option"):
        of = listed[row["instrument_name"]]
        if of["option_type"] != "call":
            continue
        expires = of["expiration_timestamp"]
        key = row["underlying_index"]
        calls.setdefault(key, []).append((of["strike"], black_76(row, of)))
        near = abs(of["strike"] / row["underlying_price"] - 1)
        if near < 0.04:
            years = (expires - row["creation_timestamp"]) / (365 * DAY)
            variance[expires] = row["mark_iv"] ** 2 * years
    for strikes in calls.values():
        (k, c) = zip(*sorted(strikes), strict=True)
        slopes = [(c[n + 1] - c[n]) / (k[n + 1] - k[n]) for n in range(len(k) - 1)]
        assert all(-1 <= slope <= 1e-9 for slope in slopes)
        assert all(later >= one - 1e-6 for one, later in pairwise(slopes))
    totals = [variance[expires] for expires in sorted(variance)]
    assert len(totals) > 4
    assert totals == sorted(totals)


def test_quotes_are_about_the_mark_on_ticks_or_absent(sandbox: SandboxExchange) -> None:
    absent = Counter[str]()
    for currency in ("BTC", "ETH", "USDC"):
        listed = instruments(sandbox, currency)
        for row in summaries(sandbox, currency):
            of = listed[row["instrument_name"]]
            absent.update(name for name, value in row.items() if value is None)
            for name in ("bid_price", "ask_price"):
                if row[name] is not None:
                    steps = [
                        step for step in of["tick_size_steps"] if row[name] > step["above_price"]
                    ]
                    tick = steps[-1]["tick_size"] if steps else of["tick_size"]
                    assert math.isclose(row[name] / tick, round(row[name] / tick), abs_tol=1e-6)
            if row["bid_price"] is not None and row["ask_price"] is not None:
                assert row["bid_price"] <= row["mark_price"] <= row["ask_price"]
                middle = (row["bid_price"] + row["ask_price"]) / 2
                assert row["mid_price"] == pytest.approx(middle)
            else:
                assert row["mid_price"] is None
    assert set(absent) == {
        "bid_price", "ask_price", "mid_price", "last", "high", "low", "price_change",
    }  # fmt: skip
    assert absent["bid_price"] > absent["ask_price"] > 0


def test_each_kind_has_the_fields_of_the_exchange(sandbox: SandboxExchange) -> None:
    common = {
        "instrument_name", "creation_timestamp", "base_currency", "quote_currency", "mark_price",
        "estimated_delivery_price", "last", "high", "low", "price_change", "volume", "volume_usd",
        "bid_price", "ask_price", "mid_price",
    }  # fmt: skip
    future = common | {"volume_notional", "open_interest"}
    option = {"mark_iv", "underlying_price", "underlying_index", "interest_rate", "open_interest"}
    rows = {row["instrument_name"]: row for row in summaries(sandbox, "BTC")}
    assert rows["BTC-25DEC26"].keys() == future
    assert rows["BTC-PERPETUAL"].keys() == future | {"current_funding", "funding_8h"}
    options = [row for name, row in rows.items() if name.endswith(("-C", "-P"))]
    assert all(row.keys() == common | option for row in options)
    assert {row["underlying_index"] for row in options} >= {"BTC-25DEC26", "SYN.BTC-1DEC26"}


def test_strikes_below_a_dollar_have_a_d(sandbox: SandboxExchange) -> None:
    rows = summaries(sandbox, "USDC", kind="option")
    assert rows
    assert all("-0d" in row["instrument_name"] for row in rows)
    assert {row["quote_currency"] for row in rows} == {"USDC"}


def test_open_interest_at_eight_is_the_position_that_settles(
    sandbox: SandboxExchange, clock: Clock
) -> None:
    clock.now = NOW.replace(hour=8, minute=0, second=3)
    reply = sandbox.answer(
        "public/get_last_settlements_by_currency", {"currency": "BTC", "count": "1000"}
    )
    held = {
        row["instrument_name"]: row["open_interest"]
        for row in summaries(sandbox, "BTC", kind="option")
    }
    compared = 0
    for row in reply.body["result"]["settlements"]:
        if row["instrument_name"] in held and row["timestamp"] > ms(clock.now) - 60_000:
            assert held[row["instrument_name"]] == pytest.approx(row["position"], rel=1e-3, abs=0.2)
            compared += 1
    assert compared > 100


@pytest.mark.parametrize("kind", ["future", "option"])
def test_statistics_are_those_of_the_trades_of_a_day(sandbox: SandboxExchange, kind: str) -> None:
    sandbox.trades.lag = 0
    row = next(row for row in summaries(sandbox, "BTC", kind=kind) if row["last"] is not None)
    until = row["creation_timestamp"]
    trades = sandbox.answer(
        "public/get_last_trades_by_instrument_and_time",
        {"instrument_name": row["instrument_name"], "start_timestamp": str(until - DAY + 1),
         "end_timestamp": str(until), "count": "10000", "sorting": "asc"},
        of_history=True,
    ).body["result"]["trades"]  # fmt: skip
    trades = [trade for trade in trades if until - DAY < trade["timestamp"] <= until]
    assert row["last"] == max(trades, key=lambda trade: trade["trade_seq"])["price"]
    assert row["high"] == max(trade["price"] for trade in trades)
    assert row["low"] == min(trade["price"] for trade in trades)
    amounts = sum(trade["amount"] for trade in trades)
    assert row["volume" if kind == "option" else "volume_usd"] == pytest.approx(amounts, rel=1e-2)


@pytest.mark.parametrize("fault", CHANGES)
def test_a_fault_of_summaries_changes_only_them(sandbox: SandboxExchange, fault: str) -> None:
    rows = summaries(sandbox, "ETH", kind="option")
    wire = FAULTS[fault](Reply(200, {"result": rows}))
    assert wire.reply is not None
    assert wire.reply.body["result"] != rows
    other = Reply(200, {"result": list(instruments(sandbox, "ETH").values())})
    assert FAULTS[fault](other).reply == other


def test_the_swapped_currency_has_the_names_of_the_other(sandbox: SandboxExchange) -> None:
    for currency, other in (("ETH", "BTC"), ("BTC", "ETH"), ("USDC", "BTC")):
        rows = CHANGES["summaries_of_another"](summaries(sandbox, currency, kind="option"))
        assert {row["instrument_name"].split("-")[0] for row in rows} == {other}
