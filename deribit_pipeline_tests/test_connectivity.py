"""What `check` says of the WebSocket and of the recorder."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deribit_pipeline.connectivity import probes, recording
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.errors import DeribitPipelineError
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import (
    ALIVE,
    CONNECTED,
    DISCONNECTED,
    FRAME,
    RESPONSE,
    STARTED,
    STOPPED,
    Entry,
)
from deribit_pipeline.spool.writer import StreamWriter

FUTURES, OPTIONS, SNAPSHOTS = "trades/future.BTC", "trades/option.BTC", "book_summaries/BTC"
COUNTS = {"connection": 3, "median_ms": 301.2, "p99_ms": 657.9}

Write = Callable[..., None]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    root = tmp_path / "spool"
    spool = Spool(root, Environment.SANDBOX, keep_days=0, every=timedelta(minutes=5))
    with spool.recording():
        return spool


@pytest.fixture
def write(spool: Spool) -> Write:
    """Writes entries into a stream, each as an event, the seconds ago of its `as_of`, and facts."""

    def write(stream: str, *entries: tuple[str, float | None, dict[str, Any]]) -> None:
        writer, now = StreamWriter(spool, stream), datetime.now(UTC)
        for event, ago, facts in entries:
            as_of = None if ago is None else now - timedelta(seconds=ago)
            writer.write(now, [Entry(event, now, as_of, facts)])
        writer.close()

    return write


def test_a_quiet_stream_is_recent_by_its_marks_and_says_how_it_is_connected(
    spool: Spool, write: Write
) -> None:
    write(FUTURES, (STARTED, None, {}), (FRAME, 7_200, {}), (ALIVE, 20, COUNTS))
    write(SNAPSHOTS, (STARTED, None, {}), (RESPONSE, 400, {}))
    assert recording(spool).endswith(
        "; trades: connected, 2 reconnects since the start, 301 ms to the disk (p99 658 ms)"
    )


def test_trades_that_are_older_than_ninety_seconds_fail_with_the_reason(
    spool: Spool, write: Write
) -> None:
    lost = {"connection": 3, "reason": "the connection was lost"}
    write(FUTURES, (STARTED, None, {}), (ALIVE, 95, COUNTS), (DISCONNECTED, None, lost))
    write(OPTIONS, (STARTED, None, {}), (ALIVE, 10, COUNTS))
    old = r"that of trades/future.BTC of .*\(the connection was lost\)"
    with pytest.raises(DeribitPipelineError, match=old):
        recording(spool)


def test_marks_of_an_earlier_recorder_say_nothing_of_this_one(spool: Spool, write: Write) -> None:
    connected = {"connection": 1, "channels": ["trades.future.BTC.100ms"]}
    write(FUTURES, (STARTED, None, {}), (ALIVE, 60, COUNTS))
    write(FUTURES, (STARTED, None, {}), (CONNECTED, None, connected))
    assert recording(spool).endswith("; trades: connected, 0 reconnects since the start")


def test_a_stream_that_is_recorded_no_more_does_not_count_while_others_are(
    spool: Spool, write: Write
) -> None:
    write(OPTIONS, (STARTED, None, {}), (ALIVE, 7_200, COUNTS), (STOPPED, None, COUNTS))
    with pytest.raises(DeribitPipelineError, match="that of trades/option.BTC of"):
        recording(spool)
    write(FUTURES, (STARTED, None, {}), (ALIVE, 20, COUNTS))
    assert "no process records" in recording(spool)


def test_a_stream_of_a_killed_recorder_does_not_count_where_the_next_one_goes_without_it(
    spool: Spool, write: Write
) -> None:
    write(OPTIONS, (STARTED, None, {"session_us": 1}), (ALIVE, 7_200, {"session_us": 1}))
    with pytest.raises(DeribitPipelineError, match="let `deribit-pipeline record` run"):
        recording(spool)
    write(FUTURES, (STARTED, None, {"session_us": 2}), (ALIVE, 20, {**COUNTS, "session_us": 2}))
    assert "trades: connected" in recording(spool)


def test_datasets_are_checked_on_their_own(spool: Spool, write: Write) -> None:
    write(FUTURES, (STARTED, None, {}), (ALIVE, 20, COUNTS))
    write(SNAPSHOTS, (STARTED, None, {}), (RESPONSE, 7_200, {}))
    assert "connected" in recording(spool, ["trades"])
    with pytest.raises(DeribitPipelineError, match="that of book_summaries/BTC of"):
        recording(spool, ["book_summaries"])
    with pytest.raises(DeribitPipelineError, match="nothing was received yet"):
        recording(spool, ["no_such_dataset"])


def test_check_opens_a_websocket_and_subscribes(settings: Settings) -> None:
    [probe] = [each for each in probes(settings) if each.name == "websocket"]
    assert probe.is_ok
    assert str(settings.base_url).replace("http", "ws").replace("/api", "/ws/api") in probe.detail


def test_check_names_an_address_where_no_websocket_is(settings: Settings) -> None:
    wrong = str(settings.base_url).replace("http", "ws")
    found = probes(replace(settings, websocket_url=wrong))
    [probe] = [each for each in found if each.name == "websocket"]
    assert not probe.is_ok
    assert f"websocket(url={wrong}): HTTP 403, and no WebSocket was opened" in probe.detail
