"""Recorded trades that are missing are named, and so is the instant until which none is."""

import warnings
from datetime import datetime, timedelta

import pytest

from deribit_pipeline import read
from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import FAILURE
from deribit_pipeline_tests.helpers.recorded_reads import NOON, Backfill, read_recorded
from deribit_pipeline_tests.helpers.recorded_trades import (
    DAY,
    NAME,
    NOW_MS,
    START_MS,
    STREAM,
    TODAY,
    Trade,
    TradeRecording,
    body_of,
    frames_of,
)


def test_missing_numbers_are_named_wherever_in_the_window_they_are(
    recording: TradeRecording, published: list[Trade], backfill: Backfill
) -> None:
    """Also where the trade before them was recorded before the window, or stored before."""
    backfill(DAY)
    of_day = len([trade for trade in published if trade["timestamp"] < START_MS + 86_400_000])
    today = published[of_day:]
    recording.frames(frames_of([*today[2:300], *today[301:500], *today[510:]]))
    with pytest.warns(read.MissingTradesWarning, match=rf"{NAME} {today[0]['trade_seq']} to"):
        found = read_recorded()
    first, second, third = (today[place]["trade_seq"] for place in (0, 300, 500))
    holes = [f"{first} to {first + 1}", f"{second}", f"{third} to {third + 9}"]
    assert found.attrs["missing"] == holes
    start = from_ms(today[505]["timestamp"])
    with pytest.warns(read.MissingTradesWarning):
        assert read_recorded(start).attrs["missing"] == holes[2:]
    end = from_ms(today[505]["timestamp"])
    with pytest.warns(read.MissingTradesWarning):
        assert read_recorded(TODAY, end).attrs["missing"] == holes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_recorded(from_ms(today[510]["timestamp"] + 1)).attrs["missing"] == []


def test_until_when_nothing_is_missing_is_known_from_the_connection(
    recording: TradeRecording, published: list[Trade], spool: Spool, backfill: Backfill
) -> None:
    """After a reconnection only from the next trade on: its number shows whether some are
    missing."""

    def known() -> datetime:
        return datetime.fromisoformat(read_recorded(TODAY).attrs["recorded_until"])

    recording.frames(frames_of(published[:-1]))
    newest = from_ms(published[-2]["timestamp"])
    assert known() == newest - timedelta(seconds=1)
    recording.alive(NOW_MS - 15_000)
    assert known() == from_ms(NOW_MS - 16_000)
    recording.disconnect(NOW_MS - 14_000)
    recording.connect(NOW_MS - 12_000)
    recording.alive(NOW_MS - 10_000)
    assert known() == from_ms(NOW_MS - 16_000)
    recording.frames(frames_of([published[-1] | {"timestamp": NOW_MS - 9_000}]))
    assert known() == from_ms(NOW_MS - 10_000)


@pytest.mark.parametrize("event", ["damaged", FAILURE])
def test_nothing_is_known_beyond_what_was_not_written_or_cannot_be_read(
    event: str,
    recording: TradeRecording,
    published: list[Trade],
    spool: Spool,
    backfill: Backfill,
) -> None:
    """Although the connection stayed: until the number of the next trade shows what is missing."""
    recording.frames(frames_of(published[:-2]))
    if event == "damaged":
        file = spool.files(STREAM, TODAY)[-1]
        size = file.stat().st_size
        recording.frames(frames_of(published[-2:-1]))
        with file.open("r+b") as opened:
            opened.seek((size + file.stat().st_size) // 2)
            opened.write(bytes(8))
    else:
        recording.lost(NOW_MS - 20_000, 1)
    recording.alive(NOW_MS - 15_000)
    until = from_ms(published[-3]["timestamp"]) - timedelta(seconds=1)
    assert datetime.fromisoformat(read_recorded(TODAY).attrs["recorded_until"]) == until
    recording.frames(frames_of([published[-1] | {"timestamp": NOW_MS - 9_000}]))
    with pytest.warns(read.MissingTradesWarning, match=str(published[-2]["trade_seq"])):
        found = read_recorded(TODAY)
    assert datetime.fromisoformat(found.attrs["recorded_until"]) == from_ms(NOW_MS - 10_000)


def test_holes_are_named_on_either_side_of_a_trade_with_a_wrong_time(
    recording: TradeRecording, published: list[Trade], backfill: Backfill
) -> None:
    backfill(DAY)
    today = [trade for trade in published if trade["timestamp"] >= START_MS + 86_400_000]
    early = today[100] | {"timestamp": START_MS}
    frames = [[trade] for trade in [*today[:50], *today[51:100], *today[101:]]]
    recording.frames([*frames[:98], [early, *frames[98]], *frames[99:200], *frames[201:]])
    with pytest.warns(read.MissingTradesWarning):
        found = read_recorded(TODAY, NOON)
    assert found.attrs["missing"] == [str(today[place]["trade_seq"]) for place in (50, 202)]


def test_a_notification_whose_time_cannot_be_right_is_left_out(
    recording: TradeRecording, published: list[Trade], backfill: Backfill
) -> None:
    recording.frames(frames_of(published[:-5]))
    wrong = published[-4] | {"timestamp": NOW_MS + 86_400_000}
    recording.bodies([body_of([wrong])], published[-4]["timestamp"])
    until = from_ms(published[-6]["timestamp"]) - timedelta(seconds=1)
    assert datetime.fromisoformat(read_recorded(TODAY).attrs["recorded_until"]) == until
    recording.frames(frames_of(published[-3:]))
    with pytest.warns(read.MissingTradesWarning):
        found = read_recorded(TODAY)
    assert found.attrs["missing"] == [
        f"{published[-5]['trade_seq']} to {published[-4]['trade_seq']}"
    ]


def test_a_trade_that_cannot_be_trusted_is_left_out_and_nothing_is_known_beyond_it(
    recording: TradeRecording, published: list[Trade], backfill: Backfill
) -> None:
    """As when it is taken in: copies that differ, and impossible values, are requested."""
    recording.frames(frames_of(published))
    wrong = [published[-3] | {"price": -1.0}, published[-1] | {"amount": 1e6}]
    for trade in wrong:
        recording.frames([[trade]])
    with pytest.warns(read.MissingTradesWarning):
        found = read_recorded()
    assert found["trade_seq"].iloc[-2:].tolist() == [published[n]["trade_seq"] for n in (-4, -2)]
    assert found.attrs["missing"] == [str(published[-3]["trade_seq"])]
    until = from_ms(published[-1]["timestamp"]) - timedelta(seconds=1)
    assert datetime.fromisoformat(found.attrs["recorded_until"]) == until
