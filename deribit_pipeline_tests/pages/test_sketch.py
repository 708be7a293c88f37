"""The sparkline of a run: every candle is drawn at its time, and every day has a colour."""

import base64
import re
from datetime import UTC, datetime, timedelta

import numpy as np

from deribit_pipeline.domain.candles import Candles
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.windows import TimeWindow, moment64
from deribit_pipeline.pages.run_sparkline import STATE_COLOURS, Sparkline, data_url

START = datetime(2024, 1, 1, tzinfo=UTC)
TWO_DAYS = TimeWindow(START, START + timedelta(days=2))
HOUR = timedelta(hours=1)


def drawn(*hours: int, states: tuple[DayState | None, ...] = (DayState.COMPLETE, None)) -> str:
    opened_at = moment64(START) + np.array(hours, int) * np.timedelta64(3_600_000, "ms")
    values = np.tile([10.0, 12.0, 9.0, 11.0, 1.0, 10.0], (len(hours), 1))
    sparkline = Sparkline("a title", TWO_DAYS, HOUR, Candles(opened_at, values), states)
    kind, _, text = data_url([sparkline]).partition(",")
    assert kind == "data:image/svg+xml;base64"
    return base64.b64decode(text).decode()


def test_a_candle_stands_at_its_time_and_a_gap_stays_empty() -> None:
    strokes = {float(x) for x in re.findall(r"M([\d.]+) ", drawn(0, 47))}
    assert strokes == {6.7, 633.3}  # the middles of the first and the last of 48 hours


def test_days_are_coloured_by_state() -> None:
    svg = drawn(0, states=(DayState.COMPLETE, DayState.GAPPED))
    strip = re.findall(r'<rect x="([\d.]+)"[^>]* width="([\d.]+)"[^>]* fill="(#\w+)"', svg)
    assert strip == [
        ("0.0", "320.0", STATE_COLOURS[DayState.COMPLETE]),
        ("320.0", "320.0", STATE_COLOURS[DayState.GAPPED]),
    ]


def test_without_candles_there_are_still_the_days() -> None:
    svg = drawn()
    assert "<path" not in svg
    assert STATE_COLOURS[None] in svg
