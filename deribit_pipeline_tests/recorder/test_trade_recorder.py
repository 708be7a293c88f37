"""The recorder of trades on a real socket: everything received is in the spool, as received."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.windows import to_ms
from deribit_pipeline.recorder import write_queue
from deribit_pipeline.recorder.clock import Clock
from deribit_pipeline.recorder.trade_recorder import TradeRecorder
from deribit_pipeline.recorder.write_queue import MOST_BYTES, WriteQueue
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import (
    ALIVE,
    CONNECTED,
    DISCONNECTED,
    FAILURE,
    FRAME,
    STARTED,
    STOPPED,
    Entry,
)
from deribit_pipeline_tests.helpers.websocket_servers import (
    SocketServer,
    access_to,
    serving_sockets,
)

TRADES, STATE = "trades.future.BTC.100ms", "instrument.state.future.BTC"
CHANNELS = {TRADES: "trades/future.BTC", STATE: "instrument_state/future.BTC"}
STREAM = CHANNELS[TRADES]
NOON = datetime(2026, 9, 20, 12, tzinfo=UTC)

Work = Callable[[SocketServer, TradeRecorder], Awaitable[None]]
Recorded = Callable[..., TradeRecorder]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", Environment.SANDBOX, keep_days=0, every=timedelta(minutes=5))


@pytest.fixture
def recorded(spool: Spool, tmp_path: Path) -> Recorded:
    """Runs work while a recorder runs, which writes at once, or with `is_lazy` only at its end."""

    def recorded(
        work: Work, *, is_lazy: bool = False, most_bytes: int = MOST_BYTES
    ) -> TradeRecorder:
        async def sleep(_: float) -> None:
            await (asyncio.Event().wait() if is_lazy else asyncio.sleep(0.001))

        async def run() -> TradeRecorder:
            async with serving_sockets(SocketServer(now_us=lambda: to_ms(NOON) * 1000)) as server:
                clock = Clock(lambda: NOON, sleep=sleep)
                queue = WriteQueue(spool, CHANNELS.values(), most_bytes)
                recorder = TradeRecorder(access_to(server, tmp_path), CHANNELS, clock, queue)
                running = asyncio.create_task(recorder.run())
                await server.until(lambda: bool(server.named("public/subscribe")))
                await until(lambda: recorder.counts.is_connected)
                await work(server, recorder)
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
                return recorder

        return asyncio.run(run())

    return recorded


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.001)


def trade(number: int, name: str = "BTC-PERPETUAL", **others: Any) -> dict[str, Any]:
    at = to_ms(NOON) + number
    return {"instrument_name": name, "trade_seq": number, "timestamp": at} | others


def entries(spool: Spool, stream: str = STREAM) -> list[Entry]:
    return [each for day in spool.days(stream) for each in spool.entries(stream, day)]


def events(spool: Spool, stream: str = STREAM) -> list[str]:
    return [each.event for each in entries(spool, stream) if each.event != ALIVE]


def test_notifications_are_kept_as_received_between_marks(recorded: Recorded, spool: Spool) -> None:
    sent: list[bytes] = []

    async def work(server: SocketServer, recorder: TradeRecorder) -> None:
        for numbers in ([1, 2], [3], [3], [2]):
            sent.append(await server.publish(TRADES, [trade(number) for number in numbers]))
        await until(lambda: recorder.counts.frames == 4)

    recorder = recorded(work)
    assert events(spool) == [STARTED, CONNECTED, *4 * [FRAME], STOPPED]
    assert events(spool, CHANNELS[STATE]) == [STARTED, CONNECTED, STOPPED]
    found = [each for each in entries(spool) if each.event == FRAME]
    assert [each.body for each in found] == sent
    newest = [to_ms(each.as_of) - to_ms(NOON) for each in found if each.as_of]
    assert newest == [2, 3, 3, 2]
    assert all(each.facts.keys() == {"received_us"} for each in found)
    [connected] = [each.facts for each in entries(spool) if each.event == CONNECTED]
    session = {"session_us": to_ms(NOON) * 1_000}
    assert connected == session | {"connection": 1, "channels": [TRADES]}
    marks = [each.facts for each in entries(spool) if each.event != FRAME]
    assert all(session.items() <= facts.items() for facts in marks)
    assert (recorder.counts.trades, recorder.counts.holes, recorder.has_recorded) == (5, 0, True)


def test_a_notification_has_no_time_if_one_of_its_times_cannot_be_right(
    recorded: Recorded, spool: Spool
) -> None:
    """Until that time everything would seem to be recorded."""
    late = trade(2) | {"timestamp": to_ms(NOON) + 86_400_000}

    async def work(server: SocketServer, recorder: TradeRecorder) -> None:
        for some in ([trade(1)], [trade(1), late], [trade(3) | {"timestamp": 2**63}]):
            await server.publish(TRADES, some)
        await until(lambda: recorder.counts.frames == 3)

    counts = recorded(work).counts
    times = [each.as_of for each in entries(spool) if each.event == FRAME]
    assert times == [NOON + timedelta(milliseconds=1), None, None]
    assert counts.newest == times[0]


def test_lost_connections_are_marked_and_holes_counted(recorded: Recorded, spool: Spool) -> None:
    async def work(server: SocketServer, recorder: TradeRecorder) -> None:
        await server.publish(TRADES, [trade(1), trade(1, "BTC-25DEC26")])
        await until(lambda: recorder.counts.frames == 1)
        await server.connections[0].close(1013, "connection_too_slow")
        await until(lambda: recorder.counts.connections == 2)
        await server.publish(TRADES, [trade(5), trade(2, "BTC-25DEC26"), trade(4)])
        await until(lambda: recorder.counts.frames == 2)

    counts = recorded(work).counts
    assert events(spool) == [
        STARTED, CONNECTED, FRAME, DISCONNECTED, CONNECTED, FRAME, STOPPED,
    ]  # fmt: skip
    [lost] = [each.facts for each in entries(spool) if each.event == DISCONNECTED]
    reason = "the exchange closed the WebSocket (1013 connection_too_slow)"
    assert lost.items() >= {"connection": 1, "reason": reason}.items()
    assert (counts.holes, counts.missing, counts.reconnects) == (1, 3, 1)
    assert "1 reconnects, 1 holes of 3 trades" in counts.status()


def test_what_was_received_is_written_when_the_recorder_ends(
    recorded: Recorded, spool: Spool
) -> None:
    async def work(server: SocketServer, recorder: TradeRecorder) -> None:
        for number in range(100):
            await server.publish(TRADES, [trade(number)])
        await until(lambda: recorder.counts.frames == 100)
        assert events(spool) == []

    recorded(work, is_lazy=True)
    assert events(spool) == [STARTED, CONNECTED, *100 * [FRAME], STOPPED]
    modes = {file.stat().st_mode & 0o777 for file in spool.root.glob("*/*/*/*.gz")}
    assert modes == {0o444}


def test_malformed_rows_are_kept_and_stop_nothing(recorded: Recorded, spool: Spool) -> None:
    rows = [
        None,
        1,
        "x",
        {},
        trade(1, timestamp=None),
        trade(2, timestamp=10**18),
        {"trade_seq": 1},
    ]

    async def work(server: SocketServer, recorder: TradeRecorder) -> None:
        for data in (rows, None, {"instrument_name": 1}, rows[4:]):
            await server.publish(TRADES, data)
        await server.publish("ticker.that.was.not.asked.for", [])
        await server.publish(TRADES, [trade(9)])
        await until(lambda: recorder.counts.frames == 5)

    recorded(work)
    found = [each.as_of for each in entries(spool) if each.event == FRAME]
    assert found[:-1] == [None] * 4
    assert found[-1] == NOON + timedelta(milliseconds=9)


def test_changes_of_instruments_are_logged_at_once(
    recorded: Recorded, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def work(server: SocketServer, recorder: TradeRecorder) -> None:
        state = {"instrument_name": "BTC-25JUN27", "state": "created", "timestamp": to_ms(NOON)}
        await server.publish(STATE, state)
        await until(lambda: recorder.counts.frames == 1)

    recorded(work)
    assert "Instrument BTC-25JUN27: created" in caplog.messages
    assert events(spool, CHANNELS[STATE])[2] == FRAME


def test_a_quiet_stream_is_marked_as_connected_with_the_exchanges_time(
    recorded: Recorded, spool: Spool
) -> None:
    async def work(server: SocketServer, recorder: TradeRecorder) -> None:
        content = {"method": "heartbeat", "params": {"type": "test_request"}}
        await server.send(orjson.dumps(content))
        await until(lambda: any(each.event == ALIVE for each in entries(spool)))

    recorded(work)
    for stream in CHANNELS.values():
        alive = [each for each in entries(spool, stream) if each.event == ALIVE]
        assert all(each.as_of is not None for each in alive)
        assert alive[0].facts["connection"] == 1


def test_a_disk_that_fails_ends_nothing_and_is_one_error(
    recorded: Recorded,
    spool: Spool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write, is_full = os.write, [False]

    def full(file: int, data: bytes) -> int:
        if is_full[0]:
            raise OSError(28, "No space left on device")
        return write(file, data)

    async def work(server: SocketServer, recorder: TradeRecorder) -> None:
        monkeypatch.setattr("deribit_pipeline.spool.writer.os.write", full)
        await until(lambda: events(spool) == [STARTED, CONNECTED])
        is_full[0] = True
        for number in range(3):
            await server.publish(TRADES, [trade(number)])
            await until(lambda: recorder.counts.lost == number + 1)  # noqa: B023
        is_full[0] = False
        await server.publish(TRADES, [trade(3)])
        await until(lambda: FRAME in events(spool))

    recorder = recorded(work)
    monkeypatch.undo()
    assert events(spool) == [STARTED, CONNECTED, FAILURE, FRAME, STOPPED]
    [failure] = [each for each in entries(spool) if each.event == FAILURE]
    assert failure.facts == {"lost": 3}
    assert "3 notifications could not be written" in recorder.status()
    logged = [each for each in caplog.records if each.name == write_queue.__name__]
    assert [each.levelname for each in logged] == ["ERROR", "WARNING"]
    assert "No space left on device" in logged[0].getMessage()


def test_while_the_disk_is_too_slow_nothing_more_is_read_and_nothing_is_dropped(
    recorded: Recorded, spool: Spool
) -> None:
    async def work(server: SocketServer, recorder: TradeRecorder) -> None:
        queue = recorder._queue
        queue._writing.acquire()  # the disk takes nothing
        for number in range(50):
            await server.publish(TRADES, [trade(number)])
        await until(lambda: queue.is_full)
        before = recorder.counts.frames
        assert before < 50
        queue._writing.release()
        await until(lambda: recorder.counts.frames == 50)

    recorded(work, most_bytes=5_000)
    bodies = [orjson.loads(each.body) for each in entries(spool) if each.event == FRAME]
    numbers = [row["trade_seq"] for body in bodies for row in body["params"]["data"]]
    assert numbers == list(range(50))


def test_an_entry_is_in_the_file_of_the_hour_in_which_it_was_received(spool: Spool) -> None:
    queue = WriteQueue(spool, [STREAM])
    times = [NOON - timedelta(microseconds=1), NOON, NOON + timedelta(hours=13)]
    for at in times:
        queue.put(STREAM, at, Entry(FRAME, at, at, {}, b"{}"))
    assert [each.as_of for each in queue.flush()] == times
    queue.close()
    files = sorted(spool.root.glob("*/*/*/*.gz"))
    assert [f"{file.parent.name} {file.name}" for file in files] == [
        "2026-09-20 11.gz", "2026-09-20 12.gz", "2026-09-21 01.gz",
    ]  # fmt: skip
