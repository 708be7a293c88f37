"""Candles of the running day, made of recorded trades."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from deribit_pipeline import read
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles_rebuilt import CANDLES_REBUILT
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline_tests.conftest import Clock, every_store
from deribit_pipeline_tests.helpers.recorded_reads import NOON, Backfill, proved
from deribit_pipeline_tests.helpers.recorded_trades import (
    DAY,
    NAME,
    NOW_MS,
    START_MS,
    TODAY,
    Trade,
    TradeRecording,
    frames_of,
)


@every_store
def test_candles_of_the_running_day_are_those_that_its_complete_trades_make(
    recording: TradeRecording, published: list[Trade], backfill: Backfill, clock: Clock
) -> None:
    backfill(DAY)
    backfill(DAY, of=CANDLES[Resolution.MINUTE_1])
    recording.frames(frames_of(published))
    recording.alive(NOW_MS)

    def candles(resolution: str, start: Any = DAY) -> Any:
        return read.candles(NAME, start, None, resolution, recorded=True, complete_only=False)

    minutes, hours, long = candles("1"), candles("1h"), candles("1d")
    assert minutes.index[-1] == NOON - timedelta(minutes=1)  # the running one is left out
    assert proved(minutes) == [True] * 1440 + [False] * 720
    assert proved(hours) == [True] * 24 + [False] * 12
    assert long.index.tolist() == [NOON - timedelta(hours=28)]
    assert candles("1", NOON - timedelta(hours=1)).equals(minutes[-60:])
    clock.forward(timedelta(days=1))
    backfill(DAY, TODAY)
    backfill(DAY, TODAY, of=CANDLES_REBUILT)
    rebuilt = read.rows("candles_rebuilt", NAME, TODAY, TODAY)[:720]
    assert minutes[1440:].drop(columns="is_proved").equals(rebuilt.drop(columns="trades"))
    backfill(TODAY, of=CANDLES[Resolution.MINUTE_1])
    published_hours = read.candles(NAME, DAY, TODAY, "1h")[:36]
    prices = ["open", "high", "low", "close"]
    assert hours[prices].equals(published_hours[prices])
    assert np.allclose(hours["volume_quote"], published_hours["volume_quote"])


def test_no_candle_is_made_of_a_minute_in_which_trades_are_missing(
    recording: TradeRecording, published: list[Trade], backfill: Backfill
) -> None:
    backfill(DAY)
    of_day = len([trade for trade in published if trade["timestamp"] < START_MS + 86_400_000])
    today = published[of_day:]
    recording.frames(frames_of([*today[:300], *today[310:]]))

    def candles(resolution: str) -> Any:
        with pytest.warns(read.MissingTradesWarning):
            return read.candles(
                NAME, TODAY, None, resolution, recorded=True, complete_only=False, label="close"
            )

    hole = [from_ms(today[place]["timestamp"] // 60_000 * 60_000) for place in (299, 310)]
    minute, last = timedelta(minutes=1), from_ms(published[-1]["timestamp"] // 60_000 * 60_000)
    closed = {NOON.replace(hour=0) + n * minute for n in range(1, 720)}
    missing = {each for each in closed if hole[0] < each <= hole[1] + minute or each > last}
    assert set(candles("1").index) >= closed - missing
    assert not set(candles("1").index) & {each for each in missing if each <= last}
    hours = {each.replace(minute=0) for each in (hole[0], hole[1])}
    assert not set(candles("60").index) & {each + timedelta(hours=1) for each in hours}
