"""The picture of a run: candles at their times, axes with prices and dates, colours of days."""

import base64
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from deribit_pipeline.domain.candles import Candles
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.windows import TimeWindow, moment64
from deribit_pipeline.pages.run_picture import STATE_COLOURS, Picture, data_url

START = datetime(2024, 1, 1, tzinfo=UTC)
TWO_DAYS = TimeWindow(START, START + timedelta(days=2))
HOUR = timedelta(hours=1)


def drawn(
    *hours: int,
    states: tuple[DayState | None, ...] = (DayState.COMPLETE, None),
    volume: float = 1.0,
) -> str:
    opened_at = moment64(START) + np.array(hours, int) * np.timedelta64(3_600_000, "ms")
    values = np.tile([10.0, 12.0, 9.0, 11.0, volume, 10.0], (len(hours), 1))
    return decoded(Picture("a title", TWO_DAYS, HOUR, Candles(opened_at, values), states))


def decoded(picture: Picture) -> str:
    kind, _, text = data_url([picture]).partition(",")
    assert kind == "data:image/svg+xml;base64"
    return base64.b64decode(text).decode()


def texts(svg: str) -> set[str]:
    return set(re.findall(r"<text[^>]*>([^<]*)<", svg))


def test_a_candle_stands_at_its_time_and_a_gap_stays_empty() -> None:
    candles = re.findall(r'<path stroke="#1f9e89" d="([^"]*)"', drawn(0, 47))
    strokes = {float(x) for path in candles for x in re.findall(r"M([\d.]+) ", path)}
    assert strokes == {77.9, 634.1}  # the middles of the first and the last of 48 hours


def test_days_are_coloured_by_state_and_a_legend_names_the_states_that_occur() -> None:
    svg = drawn(0, states=(DayState.COMPLETE, DayState.GAPPED))
    squares = re.findall(r'<rect x="([\d.]+)"[^>]* width="([\d.]+)"[^>]* fill="(#\w+)"', svg)
    green, yellow = STATE_COLOURS[DayState.COMPLETE], STATE_COLOURS[DayState.GAPPED]
    assert squares[:2] == [("72.0", "284.0", green), ("356.0", "284.0", yellow)]
    assert [colour for _, _, colour in squares[2:]] == [green, yellow]
    words = texts(svg)
    assert {"complete (1)", "gapped (1)"} <= words
    assert not {"open (0)", "not listed (0)", "not proved (0)"} & words


def test_the_axes_name_prices_days_and_the_largest_volume() -> None:
    words = texts(drawn(0, 1))
    assert {"9.0", "10.0", "11.0", "12.0", "1", "volume"} <= words
    assert {"2024-01-01", "2024-01-02"} <= words
    assert "46,090" in texts(drawn(0, volume=46_090.4))


@pytest.mark.parametrize(
    ("lowest", "highest", "expected"),
    [
        (0.0512, 0.0537, {"0.0520", "0.0530"}),
        (41_980.5, 44_020.0, {"42,000", "43,000", "44,000"}),
        (7.0, 7.0, {"7"}),
        (-3.0, 4.0, {"-2", "0", "2", "4"}),
    ],
)
def test_prices_on_the_axis_are_round(lowest: float, highest: float, expected: set[str]) -> None:
    opened_at = moment64(START) + np.array([0]) * np.timedelta64(1, "ms")
    values = np.array([[lowest, highest, lowest, highest, 3.0, 10.0]])
    words = texts(decoded(Picture("", TWO_DAYS, HOUR, Candles(opened_at, values), (None, None))))
    assert expected <= words


def test_a_long_axis_has_few_dates() -> None:
    window = TimeWindow(START, START + timedelta(days=3_000))
    nothing = Candles(np.empty(0, "datetime64[ms]"), np.empty((0, 6)))
    words = texts(decoded(Picture("", window, HOUR, nothing, [None] * 3_000)))
    assert 4 <= sum(word.startswith("20") for word in words) <= 6


def test_without_candles_there_are_still_the_days() -> None:
    svg = drawn()
    assert "volume" not in svg
    assert STATE_COLOURS[None] in svg
    assert "not proved (1)" in texts(svg)
