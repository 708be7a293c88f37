"""Trades are compared with the exchange's hourly candles, and requested again if they differ."""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.trades import hosts as trade_hosts
from deribit_pipeline.datasets.trades.hours import hourly, kind_of
from deribit_pipeline.datasets.trades.source import TradesSource
from deribit_pipeline.domain.proofs import CrossCheck, FetchedDay, Proof
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.source import FailedDays
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.refusals import Refusal
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.fetched_trades import NAME, TODAY, TradesFetched, ms
from deribit_pipeline_tests.helpers.made_up_trades import every_minute

CHART = "public/get_tradingview_chart_data"
BY_NUMBER = "public/get_last_trades_by_instrument"
DAY = date(2024, 3, 2)
HOUR = 3_600_000
IMPOSSIBLE = "impossible values, confirmed by a second response, of 1 trades: first 701"


@pytest.fixture
def source(
    opened: Callable[..., Exchange], warehouse: Warehouse, sandbox: SandboxExchange
) -> TradesFetched:
    return TradesFetched(opened(patience=2.0), warehouse, sandbox)


def fetched(source: TradesFetched, day: date, name: str = NAME) -> FetchedDay:
    piece = source.fetched(day, day, name)[day]
    assert isinstance(piece, FetchedDay), piece
    return piece


def without_candles(sandbox: SandboxExchange) -> None:
    """Both hosts have no candle."""
    for methods in (sandbox._methods, sandbox._history_methods):
        methods[CHART] = lambda params: {"status": "no_data"}


def amend_hours(
    sandbox: SandboxExchange, change: Callable[[dict[str, Any], int], None], times: int = 10**6
) -> None:
    """Change every hourly candle that www returns: its values by name, at a place."""
    left = iter(range(times))

    def amended(chart: dict[str, Any]) -> dict[str, Any]:
        ticks = chart["ticks"]
        if len(ticks) < 2 or ticks[1] - ticks[0] != HOUR or next(left, None) is None:
            return chart
        changed = {name: np.array(values) for name, values in chart.items() if name != "status"}
        for place in range(len(ticks)):
            change(changed, place)
        return chart | changed

    sandbox.amend(CHART, amended)


@pytest.mark.parametrize("name", [NAME, "SOL_USDC-PERPETUAL", "BTC-29MAR24", "TRX_USDC-PERPETUAL"])
def test_trades_agree_with_the_hours_that_the_exchange_makes_of_them(
    source: TradesFetched, name: str
) -> None:
    piece = fetched(source, DAY, name)
    assert (piece.cross_check, piece.verdict) == (CrossCheck.AGREES, "")


def test_a_witness_takes_one_request_for_a_span(source: TradesFetched) -> None:
    days = list(days_between(DAY, DAY + timedelta(days=15)))
    assert {piece.cross_check for piece in fetched_all(source, days)} == {CrossCheck.AGREES}
    assert source.sandbox.requests[CHART] == 1
    assert TradesSource().requests(NAME, days) == 2 + 6 + 1 + len(days)


def fetched_all(source: TradesFetched, days: list[date]) -> list[FetchedDay]:
    pieces = source.fetched(days[0], days[-1]).values()
    assert not [piece for piece in pieces if isinstance(piece, FailedDays)]
    return [piece for piece in pieces if isinstance(piece, FetchedDay)]


def test_a_day_that_is_not_over_is_compared_as_far_as_it_is_over(source: TradesFetched) -> None:
    piece = fetched(source, TODAY)
    assert (piece.cross_check, piece.verdict) == (CrossCheck.NONE, "")


def test_a_day_of_a_gap_is_compared_in_its_other_hours(source: TradesFetched) -> None:
    first = source.numbers(DAY).start + 1_000
    source.sandbox.trades.omit(NAME, first, first + 300)
    piece = fetched(source, DAY)
    assert piece.verdict == ""
    assert piece.cross_check is CrossCheck.NONE


def change_five(chart: dict[str, Any], place: int) -> None:
    if chart["ticks"][place] % (24 * HOUR) == 5 * HOUR:
        chart["high"][place] += 100


def test_a_disagreement_that_two_responses_confirm_is_named_and_the_day_complete(
    source: TradesFetched, opened: Callable[..., Exchange], warehouse: Warehouse
) -> None:
    amend_hours(source.sandbox, change_five)
    here = ForegroundBackfill(opened(), warehouse)
    assert not here.backfill(TRADES, Job("a run", {NAME: [DAY]})).failures
    proof = proof_of(warehouse, DAY)
    assert (str(proof.state), proof.cross_check) == ("complete", CrossCheck.DISAGREES)
    assert proof.verdict.startswith(
        "differs from the exchange's candles in 1 of 24 hours, of which 1 are confirmed by a "
        "second response: first 05:00, high "
    )
    assert proof.received == len(source.numbers(DAY))


def proof_of(warehouse: Warehouse, day: date) -> Proof:
    with warehouse.reading() as connection:
        [proof] = proofs_of(connection, TRADES, [NAME], day, day)
    return proof


def test_candles_that_are_wrong_once_cost_one_request(source: TradesFetched) -> None:
    amend_hours(source.sandbox, change_five, times=1)
    before = source.sandbox.requests[BY_NUMBER]
    fetched(source, DAY - timedelta(days=30))  # the requests needed without a difference
    usual = source.sandbox.requests[BY_NUMBER] - before
    amend_hours(source.sandbox, change_five, times=1)
    piece = fetched(source, DAY)
    assert (piece.cross_check, piece.verdict) == (CrossCheck.AGREES, "")
    assert source.sandbox.requests[BY_NUMBER] - before - usual <= usual + 1


def test_an_exchange_whose_hours_are_no_sums_is_warned_of_once_and_no_longer_compared(
    source: TradesFetched, caplog: pytest.LogCaptureFixture
) -> None:
    def change(chart: dict[str, Any], place: int) -> None:
        chart["volume"][place] *= 1.5

    amend_hours(source.sandbox, change)
    days = list(days_between(DAY, DAY + timedelta(days=9)))
    with caplog.at_level(logging.WARNING):
        pieces = sorted(fetched_all(source, days), key=lambda piece: piece.day)
    assert [piece.cross_check for piece in pieces] == [
        CrossCheck.DISAGREES, *[CrossCheck.NONE] * 9
    ]  # fmt: skip
    output = [line.getMessage() for line in caplog.records if "hourly candles" in line.getMessage()]
    assert len(output) == 1
    assert source.sandbox.requests[CHART] == 2
    assert source.sandbox.requests[BY_NUMBER] < 30


def test_trades_that_differ_in_each_response_are_not_proved(source: TradesFetched) -> None:
    number = source.numbers(DAY).start + 1_000
    earlier: list[int] = []

    def change(params: Mapping[str, str], result: Any) -> Any:
        for each in result["trades"]:
            if each["trade_seq"] == number:
                earlier.append(number)
                each["price"] += len(earlier)
        return result

    former = source.sandbox._history_methods[BY_NUMBER]
    source.sandbox._history_methods[BY_NUMBER] = lambda params: change(params, former(params))
    first, last = DAY - timedelta(days=1), DAY + timedelta(days=1)
    pieces = source.fetched(first, last)
    failed = pieces.pop(DAY)
    assert isinstance(failed, FailedDays)
    assert failed.error.reason == f"trade {number}: no two responses agree on it"
    assert all(isinstance(piece, FetchedDay) for piece in pieces.values())


@pytest.mark.parametrize("refusal", [(11060, "not_supported_for_coinbase_routed_spot"), (None, "")])
def test_days_without_candles_are_not_compared_and_complete(
    source: TradesFetched, refusal: tuple[int | None, str]
) -> None:
    code, message = refusal

    def refuse(params: Mapping[str, str]) -> Any:
        if code is not None:
            raise Refusal(code, message)
        return {"status": "no_data"}

    source.sandbox._methods[CHART] = refuse
    pieces = fetched_all(source, list(days_between(DAY, DAY + timedelta(days=3))))
    assert {piece.cross_check for piece in pieces} == {CrossCheck.NONE}
    assert {piece.verdict for piece in pieces} == {""}


def test_neighbouring_responses_share_a_trade_and_both_are_requested_again_where_they_differ(
    source: TradesFetched,
) -> None:
    without_candles(source.sandbox)
    first, last = DAY, DAY + timedelta(days=15)
    truth = fetched_all(source, list(days_between(first, last)))
    border = source.numbers(DAY).start - 200 + 9_900 - 1  # about the last number of a chunk
    former, corrupted = source.sandbox._history_methods[BY_NUMBER], []

    def change(params: Mapping[str, str]) -> Any:
        result = former(params)
        if (
            not corrupted
            and len(result["trades"]) > 5_000
            and int(params["end_seq"]) < border + 200
        ):
            corrupted.append(params)
            for each in result["trades"]:
                each["price"] *= (
                    2  # a completely wrong response, such as that of another instrument
                )
        return result

    source.sandbox._history_methods[BY_NUMBER] = change
    found = fetched_all(source, list(days_between(first, last)))
    assert corrupted
    for ours, true in zip(found, truth, strict=True):
        assert ours.rows["price"].tolist() == true.rows["price"].tolist()


@pytest.mark.parametrize(
    ("name", "values", "output"),
    [
        (NAME, {"price": 0.0}, IMPOSSIBLE),
        (NAME, {"price": -5.0}, IMPOSSIBLE),
        (NAME, {"amount": -10.0}, IMPOSSIBLE),
        (NAME, {"index_price": -1.0}, IMPOSSIBLE),
        (NAME, {"mark_price": 1e308}, IMPOSSIBLE),
        (NAME, {"iv": -3.0}, IMPOSSIBLE),
        ("BTC-FS-29MAR24_PERP", {"price": -5.0, "mark_price": -4.0}, ""),
        ("BTC-FS-29MAR24_PERP", {"price": 0.0}, ""),
        ("BTC-FS-29MAR24_PERP", {"price": 1e308}, IMPOSSIBLE),
    ],
)
def test_what_is_impossible_and_published_again_is_kept_with_a_verdict(
    source: TradesFetched, name: str, values: dict[str, float], output: str
) -> None:
    without_candles(source.sandbox)
    given = list(every_minute(1, "2024-03-01T20:00", 2_500, name))
    number = given[700]["trade_seq"]
    given[700] |= values
    source.sandbox.trades.give(name, given)
    piece = fetched(source, DAY, name)
    [at] = np.flatnonzero(piece.rows["trade_seq"] == number)
    assert {column: piece.rows[column][at] for column in values} == values
    assert piece.verdict == output
    assert len(piece.rows["price"]) == 1_440


@pytest.mark.parametrize("value", [None, "60000", True])
def test_a_trade_that_stays_malformed_costs_its_own_day_and_is_named(
    source: TradesFetched, value: object
) -> None:
    given = list(every_minute(1, "2024-02-28T20:00", 6 * 1_440))
    first = next(n for n, each in enumerate(given) if each["timestamp"] == ms(DAY))
    given[first] |= {"price": value}
    source.sandbox.trades.give(NAME, given)
    pieces = source.fetched(DAY - timedelta(days=2), DAY + timedelta(days=1))
    failed = pieces.pop(DAY)
    assert isinstance(failed, FailedDays)
    assert failed.error.reason == (
        f"trade {given[first]['trade_seq']} of 2024-03-02T00:00:00.000Z: `price` must be an array "
        "of numbers"
    )
    assert all(isinstance(piece, FetchedDay) for piece in pieces.values())


def test_trades_that_come_twice_in_a_response_are_one_with_a_warning(
    source: TradesFetched, caplog: pytest.LogCaptureFixture
) -> None:
    given = list(every_minute(1, "2024-03-01T20:00", 2_500))
    source.sandbox.trades.give(NAME, [*given, given[900], given[901]])
    piece = fetched(source, DAY)
    assert len(piece.rows["price"]) == 1_440
    assert "2 trades of BTC-PERPETUAL were returned twice in one response" in caplog.text


def test_different_trades_with_one_number_fail_their_day(source: TradesFetched) -> None:
    given = list(every_minute(1, "2024-03-01T20:00", 2_500))
    source.sandbox.trades.give(NAME, [*given, given[900] | {"price": 1.0}])
    failed = source.fetched(DAY, DAY)[DAY]
    assert isinstance(failed, FailedDays)
    assert "different trades have the same `trade_seq`" in failed.error.reason


def test_numbers_that_run_against_time_throughout_are_not_requested_again_for_ever(
    source: TradesFetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trade_hosts, "LEAKS", 9_600)  # chunks of 400, so that there are many
    days = list(days_between(DAY, DAY + timedelta(days=9)))
    fetched_all(source, days)
    usual = source.sandbox.requests[BY_NUMBER]
    for number in range(source.numbers(days[0]).start, source.numbers(days[-1]).stop, 400):
        [late] = source.returned("history", start_seq=number + 150, end_seq=number + 150, count=1)
        source.sandbox.trades.move(NAME, number, late["timestamp"])
    before = source.sandbox.requests[BY_NUMBER]
    pieces = fetched_all(source, days)
    assert any("times earlier than those of far lower numbers" in piece.verdict for piece in pieces)
    assert source.sandbox.requests[BY_NUMBER] - before < usual + 60


def blocks() -> Iterable[dict[str, Any]]:
    """A trade a minute, and in some hours a block trade far from the market."""
    for each in every_minute(1, "2024-03-01T20:00", 2_500):
        is_block = each["trade_seq"] % 200 == 0
        yield each | ({"block_trade_id": "B", "price": 50_000.0} if is_block else {})


def test_how_the_exchange_counts_block_trades_is_learned_of_a_confirmed_hour(
    source: TradesFetched,
) -> None:
    source.sandbox.trades.give(NAME, list(blocks()))
    without_candles(source.sandbox)
    rows = fetched(source, DAY).rows
    made = hourly(rows, kind_of(NAME, "future"), (False, True)).candles

    def chart(params: Mapping[str, str]) -> dict[str, Any]:
        start, end = int(params["start_timestamp"]), int(params["end_timestamp"])
        ticks = made.opened_at.astype(np.int64)
        inside = (ticks >= start) & (ticks <= end)
        names = ("open", "high", "low", "close", "volume", "cost")
        values = {name: made.values[inside, n] for n, name in enumerate(names)}
        return {"status": "ok", "ticks": ticks[inside], **values}

    source.sandbox._methods[CHART] = chart
    piece = fetched(source, DAY)
    assert (piece.cross_check, piece.verdict) == (CrossCheck.AGREES, "")
    assert piece.rows["trade_seq"].tolist() == rows["trade_seq"].tolist()


def test_an_hour_without_a_trade_and_with_a_volume_is_looked_for_by_time(
    source: TradesFetched,
) -> None:
    number, moved = source.numbers(DAY).start, []
    former = source.sandbox._history_methods[BY_NUMBER]
    hour = [
        each["trade_seq"]
        for each in source.returned("history", start_seq=number, count=4_000)
        if each["timestamp"] // HOUR == ms(DAY) // HOUR + 23
    ]

    def change(params: Mapping[str, str]) -> Any:
        result = former(params)
        if "start_seq" in params and len(result["trades"]) > 1_000 and not moved:
            moved.append(params)
            for each in result["trades"]:
                if each["trade_seq"] in hour:  # the last hour of the day, on the next one
                    each["timestamp"] += HOUR
        return result

    source.sandbox._history_methods[BY_NUMBER] = change
    piece = fetched(source, DAY)
    assert moved
    assert piece.rows["trade_seq"].tolist() == list(source.numbers(DAY))
    assert piece.cross_check is CrossCheck.AGREES
