"""How well trades were recorded is stored by session and day, and recordings go once proved."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.trades.recorder_sessions import Session, instruments_of
from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.exchange.session import Exchange, spool_of
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import FRAME, Entry
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock, every_store
from deribit_pipeline_tests.helpers.recorded_trades import (
    DAY,
    HOUR_MS,
    LATENCY_MS,
    NAME,
    NOW_MS,
    START_MS,
    STREAM,
    TODAY,
    Trade,
    TradeRecording,
    body_of,
    frames_of,
    published_on,
)

OTHER = "ETH-PERPETUAL"


@pytest.fixture
def exchange(opened: Callable[..., Exchange]) -> Exchange:
    return opened()


@pytest.fixture
def take_in(exchange: Exchange, warehouse: Warehouse) -> Callable[..., Outcome]:
    def take_in(*days: date, names: tuple[str, ...] = (NAME,)) -> Outcome:
        job = Job("a run", {name: list(days) for name in names})
        return ForegroundBackfill(exchange, warehouse).backfill(TRADES, job)

    return take_in


@pytest.fixture
def day(sandbox: SandboxExchange) -> list[Trade]:
    return published_on(sandbox, DAY)


def sessions(warehouse: Warehouse) -> list[dict[str, Any]]:
    with warehouse.reading() as connection:
        found = connection.execute(
            "select * from recorder_sessions order by stream, day, started_at"
        )
        names = [each[0] for each in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@every_store
def test_each_session_of_a_day_is_accounted_for(
    spool: Spool, day: list[Trade], take_in: Callable[..., Outcome], warehouse: Warehouse
) -> None:
    first, second = day[:1_000], day[1_100:]
    recording = TradeRecording(spool, STREAM, START_MS)
    recording.frames(frames_of(first[:500]))
    recording.disconnect(first[500]["timestamp"])
    recording.connect(first[510]["timestamp"])
    recording.frames(frames_of(first[510:]))
    recording.close()  # killed
    again = TradeRecording(spool, STREAM, second[0]["timestamp"] - 5)
    again.frames(frames_of([*second, *second[-3:]]))
    again.stop(START_MS + 24 * HOUR_MS - 1)
    outcome = take_in(DAY)
    one, other = sessions(warehouse)
    assert (one["stream"], one["day"], one["run_id"]) == ("future.BTC", DAY, "a run")
    assert one["started_at"] == from_ms(START_MS)
    assert other["started_at"] == from_ms(second[0]["timestamp"] - 5)
    assert [each["is_ended"] for each in (one, other)] == [False, True]
    assert [each["connections"] for each in (one, other)] == [2, 1]
    assert [each["disconnections"] for each in (one, other)] == [1, 0]
    assert [each["trades"] for each in (one, other)] == [990, len(second) + 3]
    assert one["frames"] == len(frames_of(first[:500])) + len(frames_of(first[510:]))
    assert LATENCY_MS <= one["latency_median"] <= one["latency_p99"] < LATENCY_MS + 100
    assert [each["holes"] for each in (one, other)] == [1, 1]
    assert [each["missing"] for each in (one, other)] == [10, 100]
    assert [each["fetched"] for each in (one, other)] == [10, 100]
    assert [each["unfilled"] for each in (one, other)] == [0, 0]
    assert outcome.recorded == len(first) - 10 + len(second)
    assert outcome.figures == {
        "disconnections": 1, "recorded_holes": 2, "missing_in_holes": 110,
        "fetched_for_holes": 110, "latency_median_ms": pytest.approx(one["latency_median"], abs=2),
        "latency_p99_ms": pytest.approx(one["latency_p99"], abs=20),
    }  # fmt: skip


def test_trades_that_neither_the_spool_nor_the_exchange_has_stay_unfilled(
    spool: Spool,
    day: list[Trade],
    sandbox: SandboxExchange,
    take_in: Callable[..., Outcome],
    warehouse: Warehouse,
) -> None:
    sandbox.trades.omit(NAME, day[50]["trade_seq"], day[52]["trade_seq"])
    recording = TradeRecording(spool, STREAM, START_MS)
    recording.frames(frames_of([*day[:40], *day[60:]]))
    take_in(DAY)
    [session] = sessions(warehouse)
    assert (session["missing"], session["fetched"], session["unfilled"]) == (20, 17, 3)


def test_a_session_goes_on_after_midnight_and_stays_when_its_files_are_gone(
    spool: Spool,
    day: list[Trade],
    sandbox: SandboxExchange,
    take_in: Callable[..., Outcome],
    warehouse: Warehouse,
    clock: Clock,
) -> None:
    recording = TradeRecording(spool, STREAM, START_MS + HOUR_MS)
    today = published_on(sandbox, TODAY, until_ms=NOW_MS)
    recording.frames(frames_of([*day[100:], *today]))
    take_in(DAY, TODAY)
    assert spool.days(STREAM) == [TODAY]
    clock.forward(timedelta(minutes=5))
    take_in(TODAY)
    found = sessions(warehouse)
    assert [each["day"] for each in found] == [DAY, TODAY]
    assert {each["started_at"] for each in found} == {from_ms(START_MS + HOUR_MS)}
    assert found[1]["trades"] == len(today)


def test_a_proved_day_is_removed_with_its_instrument_states(
    spool: Spool, day: list[Trade], take_in: Callable[..., Outcome]
) -> None:
    states = TradeRecording(spool, "instrument_state/future.BTC", START_MS)
    states.close()
    recording = TradeRecording(spool, STREAM, START_MS)
    recording.frames(frames_of(day))
    take_in(DAY)
    assert spool.days(STREAM) == spool.days("instrument_state/future.BTC") == []


def test_a_day_stays_until_each_configured_instrument_is_proved(
    spool: Spool,
    day: list[Trade],
    sandbox: SandboxExchange,
    take_in: Callable[..., Outcome],
    exchange: Exchange,
) -> None:
    others = published_on(sandbox, DAY, "SOL_USDC-PERPETUAL")
    recording = TradeRecording(spool, "trades/future.USDC", START_MS)
    btc = published_on(sandbox, DAY, "BTC_USDC-PERPETUAL")
    recording.frames(frames_of(sorted([*btc, *others], key=lambda each: each["timestamp"])))
    assert exchange.spool is not None
    exchange.spool.instruments = ("BTC_USDC-PERPETUAL", "SOL_USDC-PERPETUAL")
    take_in(DAY, names=("BTC_USDC-PERPETUAL",))
    assert spool.days("trades/future.USDC") == [DAY]
    take_in(DAY, names=("SOL_USDC-PERPETUAL",))
    assert spool.days("trades/future.USDC") == []


def test_a_day_stays_if_an_instrument_that_was_requested_fails(
    spool: Spool,
    day: list[Trade],
    sandbox: SandboxExchange,
    take_in: Callable[..., Outcome],
) -> None:
    """Also one that a selector added, and of which nothing is stored yet."""
    stream, name, other = "trades/future.USDC", "BTC_USDC-PERPETUAL", "SOL_USDC-PERPETUAL"
    trades = published_on(sandbox, DAY, other)
    malformed = trades[100] | {"price": "none"}
    sandbox.trades.give(other, [*trades[:100], malformed, *trades[101:]])
    recorded = [*published_on(sandbox, DAY, name), *trades[:100], *trades[101:]]
    recorded.sort(key=lambda each: each["timestamp"])
    TradeRecording(spool, stream, START_MS).frames(frames_of(recorded))
    assert list(take_in(DAY, names=(name, other)).failures) == [(other, DAY)]
    assert spool.days(stream) == [DAY]


def test_a_day_that_only_has_trades_from_before_midnight_does_not_stay(
    spool: Spool,
    sandbox: SandboxExchange,
    take_in: Callable[..., Outcome],
    exchange: Exchange,
) -> None:
    """They came after it: the day itself may have none, and would never be proved to have them."""
    name = "BTC_USDC-PERPETUAL"
    stream = "trades/future.USDC"
    last = published_on(sandbox, DAY - timedelta(days=1), name)[-1]
    TradeRecording(spool, stream, START_MS).bodies([body_of([last])], START_MS + 50)
    of_day = published_on(sandbox, DAY, name)
    sandbox.trades.omit(name, of_day[0]["trade_seq"], of_day[-1]["trade_seq"])
    outcome = take_in(DAY, names=(name,))
    assert outcome.failures == {}
    assert outcome.proofs[name, DAY].received == 0
    assert spool.days(stream) == []


@pytest.mark.parametrize(
    ("number", "is_counted"), [("5e0", True), (2**63, False), (-1, False), ("5.5", False)]
)
def test_numbers_of_recorded_trades_are_read_as_those_of_responses(
    number: int | str, is_counted: bool
) -> None:
    """Of whatever form and size: none ends the backfill, and none that is one is overlooked."""
    trade = f'{{"instrument_name": "{NAME}", "trade_seq": {number}, "timestamp": {START_MS}}}'
    body = f'{{"params": {{"data": [{trade}]}}}}'.encode()
    session = Session(DAY, from_ms(START_MS), from_ms(START_MS))
    session.add(Entry(FRAME, from_ms(START_MS), None, {"received_us": START_MS * 1_000}, body))
    assert instruments_of([session]) == ([NAME] if is_counted else [])


def test_a_running_day_and_days_to_be_kept_stay(
    spool: Spool,
    day: list[Trade],
    sandbox: SandboxExchange,
    take_in: Callable[..., Outcome],
    exchange: Exchange,
) -> None:
    recording = TradeRecording(spool, STREAM, START_MS)
    recording.frames(frames_of([*day, *published_on(sandbox, TODAY, until_ms=NOW_MS)]))
    assert exchange.spool is not None
    exchange.spool.keep_days = 1
    take_in(DAY, TODAY)
    assert spool.days(STREAM) == [DAY, TODAY]
    exchange.spool.keep_days = 0
    take_in(TODAY)
    assert spool.days(STREAM) == [TODAY]


def test_settings_name_the_instruments_whose_recordings_are_kept(settings: Settings) -> None:
    some = replace(settings, instruments=("BTC-PERPETUAL", "ETH-PERPETUAL"))
    assert spool_of(some).instruments == some.instruments
