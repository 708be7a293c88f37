"""A recorded day is the day that requests alone give, and no recorded trade is requested."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from deribit_pipeline.datasets.trades import TRADES, plan
from deribit_pipeline.datasets.trades.recorded import RecordedTrades
from deribit_pipeline.domain.proofs import CrossCheck, DayState
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.recorded_trades import (
    DAY,
    HOUR_MS,
    NAME,
    NOW_MS,
    START_MS,
    STREAM,
    TODAY,
    Frame,
    Trade,
    TradeRecording,
    body_of,
    frames_of,
    hash_of,
    published_on,
)
from deribit_pipeline_tests.helpers.requested_trades import RequestedTrades

Rng = np.random.Generator


@pytest.fixture
def recording(spool: Spool) -> TradeRecording:
    return TradeRecording(spool, STREAM, START_MS)


def skip(frames: list[Frame], rng: Rng, share: float = 0.1) -> list[Frame]:
    return [frame for frame in frames if rng.random() >= share]


def skipped(frames: list[Frame], rng: Rng, spool: Spool) -> None:
    TradeRecording(spool, STREAM, START_MS).frames(skip(frames, rng))


def repeated_and_reordered(frames: list[Frame], rng: Rng, spool: Spool) -> None:
    many = skip(frames, rng) + skip(frames, rng, 0.8)
    many.sort(key=lambda frame: frame[0]["timestamp"] + rng.integers(0, 5_000))
    TradeRecording(spool, STREAM, START_MS).frames(many)


def two_recorders(frames: list[Frame], rng: Rng, spool: Spool) -> None:
    half = len(frames) // 2
    for some in (frames[: half + 300], frames[half - 300 :]):
        TradeRecording(spool, STREAM, some[0][0]["timestamp"]).frames(skip(some, rng))


def switched_off(frames: list[Frame], rng: Rng, spool: Spool) -> None:
    off = sorted(rng.integers(0, len(frames), 2).tolist())
    first, second = frames[: off[0]], frames[off[1] :]
    for some in filter(None, (first, second)):
        TradeRecording(spool, STREAM, some[0][0]["timestamp"]).frames(some)


def torn_files(frames: list[Frame], rng: Rng, spool: Spool) -> None:
    TradeRecording(spool, STREAM, START_MS).frames(frames)
    for day in spool.days(STREAM):
        for file in spool.files(STREAM, day):
            if rng.random() < 0.2:
                content = bytearray(file.read_bytes())
                content[rng.integers(0, len(content))] ^= 0x55
                file.chmod(0o644)
                file.write_bytes(content[: rng.integers(1, 2 * len(content))])


def wrong_copies(frames: list[Frame], rng: Rng, spool: Spool) -> None:
    recording = TradeRecording(spool, STREAM, START_MS)
    recording.frames(skip(frames, rng))
    for frame in (frames[place] for place in rng.integers(0, len(frames), 20)):
        trade = frame[0]
        for change in ({"price": -1.0}, {"price": trade["price"] + 0.5}, {"direction": "up"}):
            recording.bodies([body_of([trade | change])], trade["timestamp"])
    recording.bodies([b"BTC-PERPETUAL", b'{"of": "BTC-PERPETUAL"}'], START_MS + HOUR_MS)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(1, 4))]
)
@pytest.mark.parametrize(
    "record",
    [skipped, repeated_and_reordered, two_recorders, switched_off, torn_files, wrong_copies],
)
def test_a_recorded_day_is_as_if_it_were_requested_and_no_recorded_trade_is_requested(
    record: Callable[[list[Frame], Rng, Spool], None],
    seed: int,
    spool: Spool,
    around: list[Trade],
    sandbox: SandboxExchange,
    requested: RequestedTrades,
    take_in: Callable[..., Outcome],
    warehouse: Warehouse,
) -> None:
    record(frames_of(around), np.random.default_rng(seed), spool)
    days = [DAY, TODAY]
    recorded = RecordedTrades(spool, NAME, days)
    assert len(recorded.numbers) > 1_000
    outcome = take_in(*days)
    proofs = [outcome.proofs[NAME, day] for day in days]
    assert [proof.state for proof in proofs] == [DayState.COMPLETE, DayState.OPEN]
    assert proofs[0].content_hash == hash_of(published_on(sandbox, DAY))
    assert proofs[1].received == len(published_on(sandbox, TODAY, until_ms=NOW_MS))
    assert [proof.verdict for proof in proofs] == ["", ""]
    assert proofs[0].cross_check is CrossCheck.AGREES
    assert requested.numbers & set(recorded.numbers.tolist()) == set()
    assert verify(warehouse).findings == []


def test_what_a_repeated_backfill_of_the_running_day_stored_is_not_requested_again(
    spool: Spool,
    around: list[Trade],
    requested: RequestedTrades,
    take_in: Callable[..., Outcome],
    clock: Clock,
) -> None:
    recording = TradeRecording(spool, STREAM, START_MS)
    frames = frames_of(around)
    recording.frames(skip(frames, np.random.default_rng(1)))
    take_in(DAY, TODAY)
    assert len(requested.numbers) > 100
    spool.remove(STREAM, DAY)
    requested.clear()
    again = take_in(TODAY)
    assert requested.numbers == set()
    assert again.requests <= 6  # the clock, the listing, the newest trade, the candles
    assert again.proofs[NAME, TODAY].received == 1_183
    clock.forward(timedelta(hours=1))
    later = take_in(TODAY)
    assert requested.numbers == set(range(around[-1]["trade_seq"] + 1, max(requested.numbers) + 1))
    assert later.proofs[NAME, TODAY].received == 1_183 + len(requested.numbers)


@pytest.mark.parametrize("record", [skipped, switched_off])
def test_a_plan_of_many_requests_is_confirmed_without_requesting_recorded_trades(
    record: Callable[[list[Frame], Rng, Spool], None],
    monkeypatch: pytest.MonkeyPatch,
    spool: Spool,
    around: list[Trade],
    sandbox: SandboxExchange,
    requested: RequestedTrades,
    take_in: Callable[..., Outcome],
) -> None:
    monkeypatch.setattr(plan, "_MUCH", 0)
    record(frames_of(around), np.random.default_rng(5), spool)
    recorded = set(RecordedTrades(spool, NAME, [DAY]).numbers.tolist())
    outcome = take_in(DAY)
    assert outcome.proofs[NAME, DAY].content_hash == hash_of(published_on(sandbox, DAY))
    assert requested.numbers & recorded == set()


def test_a_day_that_was_not_recorded_is_requested_as_ever(
    spool: Spool, around: list[Trade], take_in: Callable[..., Outcome]
) -> None:
    take_in(DAY - timedelta(days=20))  # the listing is requested once
    before = take_in(DAY - timedelta(days=21)).requests
    TradeRecording(spool, STREAM, START_MS).frames(frames_of(around))
    assert take_in(DAY - timedelta(days=22)).requests == before


def test_frames_that_cross_midnight_and_come_after_it_belong_to_the_day_of_each_trade(
    spool: Spool,
    around: list[Trade],
    sandbox: SandboxExchange,
    requested: RequestedTrades,
    take_in: Callable[..., Outcome],
) -> None:
    midnight_ms = START_MS + 24 * HOUR_MS
    first = next(n for n, trade in enumerate(around) if trade["timestamp"] >= midnight_ms)
    recording = TradeRecording(spool, STREAM, START_MS)
    recording.frames(frames_of(around[: first - 5]))
    recording.bodies([body_of(around[first - 5 : first + 5])], midnight_ms + 1)
    recording.frames(frames_of(around[first + 5 :]))
    outcome = take_in(DAY)
    assert outcome.proofs[NAME, DAY].content_hash == hash_of(published_on(sandbox, DAY))
    assert requested.numbers == set()


@pytest.mark.parametrize("number", [10**12, 1])
def test_a_wrong_number_in_a_frame_costs_nothing_but_requests(
    number: int,
    spool: Spool,
    around: list[Trade],
    sandbox: SandboxExchange,
    take_in: Callable[..., Outcome],
) -> None:
    wrong = around[-1] | {"trade_seq": number}
    TradeRecording(spool, STREAM, START_MS).frames(frames_of([*around[:-1], wrong]))
    outcome = take_in(DAY, TODAY)
    assert outcome.failures == {}
    assert outcome.proofs[NAME, DAY].content_hash == hash_of(published_on(sandbox, DAY))
    assert outcome.proofs[NAME, TODAY].received == 1_183


@pytest.mark.parametrize("beyond", [5, 50, 50_000])
def test_a_wrong_number_of_the_newest_trade_is_not_stored(
    beyond: int,
    spool: Spool,
    around: list[Trade],
    sandbox: SandboxExchange,
    take_in: Callable[..., Outcome],
    clock: Clock,
) -> None:
    """If it were, its day would fail when it is over: no response ever has such a trade."""
    recording = TradeRecording(spool, STREAM, START_MS)
    wrong = around[-1] | {"trade_seq": around[-1]["trade_seq"] + beyond}
    recording.frames(frames_of([*around[:-1], wrong]))
    running = take_in(TODAY)
    assert running.proofs[NAME, TODAY].content_hash == hash_of(
        published_on(sandbox, TODAY, until_ms=NOW_MS)
    )
    clock.forward(timedelta(days=1))
    outcome = take_in(TODAY)
    assert outcome.failures == {}
    assert outcome.proofs[NAME, TODAY].content_hash == hash_of(published_on(sandbox, TODAY))


def test_a_file_that_cannot_be_read_fails_the_day_in_one_sentence(
    spool: Spool, around: list[Trade], take_in: Callable[..., Outcome]
) -> None:
    TradeRecording(spool, STREAM, START_MS).frames(frames_of(around))
    (spool.folder(STREAM, DAY) / "07-2.gz").mkdir()
    outcome = take_in(DAY)
    [reason] = outcome.failures.values()
    assert reason.endswith("07-2.gz cannot be read (Is a directory).")


def test_two_responses_must_agree_where_that_is_required_and_a_frame_is_one_of_them(
    spool: Spool,
    around: list[Trade],
    sandbox: SandboxExchange,
    opened: Callable[..., Exchange],
    warehouse: Warehouse,
    requested: RequestedTrades,
) -> None:
    TradeRecording(spool, STREAM, START_MS).frames(frames_of(around))
    exchange = opened()
    exchange.each_twice = True
    backfill = ForegroundBackfill(exchange, warehouse)
    outcome = backfill.backfill(TRADES, Job("a run", {NAME: [DAY]}))
    day = published_on(sandbox, DAY)
    assert outcome.proofs[NAME, DAY].content_hash == hash_of(day)
    assert requested.numbers >= {trade["trade_seq"] for trade in day}
