"""What the spool holds of an instrument's trades is read to the last digit, and nothing else."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import numpy as np
import pytest

from deribit_pipeline.datasets.trades import recorded
from deribit_pipeline.datasets.trades.recorded import BESIDE, RecordedTrades, trade_stream
from deribit_pipeline.datasets.trades.wire import trades
from deribit_pipeline.domain.rows import Columns, rows_hash, some_of
from deribit_pipeline.domain.windows import days_between, from_ms
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline_tests.helpers.recorded_trades import (
    DAY,
    HOUR_MS,
    NAME,
    START_MS,
    STREAM,
    Frame,
    Trade,
    TradeRecording,
    body_of,
    frames_of,
    published_on,
)


@pytest.fixture
def day(sandbox: SandboxExchange) -> list[Trade]:
    return published_on(sandbox, DAY)


@pytest.fixture
def record(spool: Spool) -> Callable[[Sequence[Frame]], None]:
    def record(frames: Sequence[Frame]) -> None:
        recording = TradeRecording(spool, STREAM, START_MS)
        recording.frames(frames)
        recording.close()

    return record


def parsed(some: Sequence[Trade]) -> Columns:
    return trades({"trades": list(some)}, NAME, len(some))


def hash_of(read: RecordedTrades) -> str:
    return rows_hash(read.rows(range(1, 2**53)))


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        (NAME, STREAM),
        ("BTC_USDC-PERPETUAL", "trades/future.USDC"),
        ("ETH-29MAR24-3000-C", "trades/option.ETH"),
        ("BTC-FS-29MAR24_PERP", "trades/future_combo.BTC"),
        ("BTC-CS-29MAR24-50000_60000", "trades/option_combo.BTC"),
    ],
)
def test_an_instruments_trades_are_in_the_stream_of_its_kind_and_currency(
    name: str, stream: str
) -> None:
    assert trade_stream(name) == stream


def test_recorded_frames_are_read_to_the_last_digit_and_other_instruments_left_out(
    spool: Spool, day: list[Trade], sandbox: SandboxExchange
) -> None:
    others = published_on(sandbox, DAY, "ETH-PERPETUAL")
    both = sorted(day + others, key=lambda trade: trade["timestamp"])
    recording = TradeRecording(spool, STREAM, START_MS)
    recording.frames(frames_of(both))
    read = RecordedTrades(spool, NAME, [DAY])
    assert hash_of(read) == rows_hash(parsed(day))
    assert read.numbers.tolist() == [trade["trade_seq"] for trade in day]
    assert read.times.tolist() == parsed(day)["traded_at"].tolist()
    first = day[100]["trade_seq"]
    some = read.rows(range(first, first + 50))
    assert rows_hash(some) == rows_hash(parsed(day[100:150]))


def test_repeated_and_reordered_frames_are_each_trade_once(
    record: Callable[..., None], spool: Spool, day: list[Trade]
) -> None:
    frames = frames_of(day)
    rng = np.random.default_rng(7)
    record(frames[::3] + [frames[place] for place in rng.permutation(len(frames))])
    record(frames[100:300])
    assert hash_of(RecordedTrades(spool, NAME, [DAY])) == rows_hash(parsed(day))


@pytest.mark.parametrize("hours_later", [0, 1, 5])
def test_copies_that_differ_do_not_count_as_recorded_and_are_kept(
    hours_later: int, record: Callable[..., None], spool: Spool, day: list[Trade]
) -> None:
    record(frames_of(day))
    wrong = day[700] | {"price": 1.5}
    recording = TradeRecording(spool, STREAM, START_MS)
    recording.bodies([body_of([wrong])], wrong["timestamp"] + hours_later * HOUR_MS)
    read = RecordedTrades(spool, NAME, [DAY])
    assert day[700]["trade_seq"] not in read.numbers
    assert sorted(read.rejected["price"].tolist()) == sorted([1.5, day[700]["price"]])
    assert hash_of(read) == rows_hash(parsed(day[:700] + day[701:]))


@pytest.mark.parametrize("change", [{"price": -1.0}, {"amount": 0}, {"index_price": 1e12}])
def test_impossible_values_do_not_count_as_recorded_and_are_kept(
    change: dict[str, float], record: Callable[..., None], spool: Spool, day: list[Trade]
) -> None:
    record(frames_of([*day[:50], day[50] | change, *day[51:]]))
    read = RecordedTrades(spool, NAME, [DAY])
    assert read.rejected["trade_seq"].tolist() == [day[50]["trade_seq"]]
    assert hash_of(read) == rows_hash(parsed(day[:50] + day[51:]))


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"params": {"data": 1, "of": "BTC-PERPETUAL"}}',
        b'["BTC-PERPETUAL"]',
        body_of([{"instrument_name": NAME, "trade_seq": "x"}]),
    ],
)
def test_a_malformed_frame_is_logged_and_skipped(
    body: bytes,
    record: Callable[..., None],
    spool: Spool,
    day: list[Trade],
    caplog: pytest.LogCaptureFixture,
) -> None:
    record(frames_of(day[:100]))
    recording = TradeRecording(spool, STREAM, START_MS)
    recording.bodies([body, body_of(day[100:110])], START_MS)
    assert hash_of(RecordedTrades(spool, NAME, [DAY])) == rows_hash(parsed(day[:110]))
    assert ("cannot be read" in caplog.text) == (NAME.encode() in body)


def test_damaged_members_are_skipped_and_logged(
    record: Callable[..., None], spool: Spool, day: list[Trade], caplog: pytest.LogCaptureFixture
) -> None:
    record(frames_of(day))
    file = spool.hours(STREAM, DAY)[7][0]
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-20])
    read = RecordedTrades(spool, NAME, [DAY])
    hours = parsed(day)["traded_at"].astype("datetime64[h]").astype(int) % 24
    left = some_of(parsed(day), hours != 7)
    assert set(read.numbers.tolist()) == set(left["trade_seq"].tolist())
    assert "1 damaged places" in caplog.text


def test_enough_trades_beside_the_days_are_read_and_no_more_files(
    record: Callable[..., None], spool: Spool, sandbox: SandboxExchange
) -> None:
    days = list(days_between(DAY - timedelta(days=2), DAY))
    for each in days:
        record(frames_of(published_on(sandbox, each)))
    read = RecordedTrades(spool, NAME, [days[1]])
    start, end = np.datetime64(days[1], "ms"), np.datetime64(days[2], "ms")
    before, after = read.times < start, read.times >= end
    assert BESIDE <= before.sum() < 2 * BESIDE
    assert BESIDE <= after.sum() < 2 * BESIDE
    in_day = [trade["trade_seq"] for trade in published_on(sandbox, days[1])]
    assert read.numbers[~before & ~after].tolist() == in_day


def test_a_trade_from_before_midnight_that_is_received_after_it_is_found(
    spool: Spool, day: list[Trade]
) -> None:
    recording = TradeRecording(spool, STREAM, START_MS)
    recording.frames(frames_of(day[:-3]))
    recording.bodies([body_of(day[-3:])], START_MS + 24 * HOUR_MS + 20)
    assert spool.days(STREAM) == [DAY, DAY + timedelta(days=1)]
    assert hash_of(RecordedTrades(spool, NAME, [DAY])) == rows_hash(parsed(day))


def test_about_an_hour_of_trades_is_kept_in_memory(
    record: Callable[..., None],
    spool: Spool,
    day: list[Trade],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorded, "_MOST_HELD", 10)
    record(frames_of(day))
    read = RecordedTrades(spool, NAME, [DAY])
    for place in range(0, len(day), 100):
        some = day[place : place + 100]
        numbers = range(some[0]["trade_seq"], some[-1]["trade_seq"] + 1)
        assert rows_hash(read.rows(numbers)) == rows_hash(parsed(some))
        assert len(read._held) == 1


def test_files_that_another_process_removes_meanwhile_hold_nothing(
    record: Callable[..., None], spool: Spool, day: list[Trade], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "_MOST_HELD", 10)
    record(frames_of(day))
    read = RecordedTrades(spool, NAME, [DAY])
    spool.remove(STREAM, DAY)
    assert len(read.rows(range(1, 2**53))["trade_seq"]) <= len(day) // 10
    assert from_ms(START_MS).date() == DAY
