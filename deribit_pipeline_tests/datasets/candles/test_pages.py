"""A response is counted: it is complete, or has named gaps, or is an error."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from deribit_pipeline.datasets.candles.grid import grid_of
from deribit_pipeline.datasets.candles.pages import UnexpectedCandles, read_page
from deribit_pipeline.datasets.candles.requests import ChartRequest
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import TimeWindow, moment64

START = datetime(2024, 1, 1, tzinfo=UTC)
LATER = START + timedelta(days=30)
INSTRUMENT = Instrument("BTC-PERPETUAL", "future", datetime(2018, 8, 14, tzinfo=UTC))


def request(minutes: int = 1_440, resolution: Resolution = Resolution.MINUTE_1) -> ChartRequest:
    return ChartRequest(
        INSTRUMENT, resolution, TimeWindow(START, START + minutes * timedelta(minutes=1))
    )


def candles_from(start: datetime, count: int, step: timedelta = timedelta(minutes=1)) -> Candles:
    opened_at = moment64(start) + np.arange(count) * np.timedelta64(step, "ms")
    return Candles(opened_at, np.ones((count, 6)))


def test_a_whole_answer_misses_nothing() -> None:
    page = read_page(request(), candles_from(START, 1_440), LATER)
    assert (len(page.candles), len(page.missing), len(page.unclosed)) == (1_440, 0, 0)


def test_candles_outside_the_window_are_left_out() -> None:
    page = read_page(request(60), candles_from(START - timedelta(minutes=2), 64), LATER)
    assert page.candles.opened_at[0] == moment64(START)
    assert len(page.candles) == 60


def test_missing_rows_are_named() -> None:
    whole = candles_from(START, 1_440)
    rest = whole[~np.isin(np.arange(1_440), [7, 8, 1_439])]
    page = read_page(request(), rest, LATER)
    assert page.missing.tolist() == whole.opened_at[[7, 8, 1_439]].tolist()


def test_an_open_candle_is_not_kept_and_not_missing() -> None:
    as_of = START + timedelta(minutes=10, seconds=30)
    page = read_page(request(60), candles_from(START, 11), as_of)
    assert (len(page.candles), len(page.missing), len(page.unclosed)) == (10, 0, 50)


def test_a_candle_is_closed_at_the_microsecond_it_ends() -> None:
    ends = START + timedelta(minutes=1)
    just_before = read_page(request(1), candles_from(START, 1), ends - timedelta(microseconds=1))
    assert len(just_before.unclosed) == 1
    assert len(read_page(request(1), candles_from(START, 1), ends).candles) == 1


@pytest.mark.parametrize(
    ("candles", "sentence"),
    [
        (
            candles_from(START, 5_001),
            "5001 candles were returned, a sign that older ones were dropped",
        ),
        (candles_from(START, 10)[np.array([1, 0, 2])], "not sorted by time"),
        (candles_from(START, 10, timedelta(seconds=90)), "did not open every 0:01:00"),
        (candles_from(LATER + timedelta(minutes=2), 1), "another window than the requested"),
        (candles_from(START + timedelta(hours=1), 1_380), "begins at .*01:00.*, not at"),
    ],
)
def test_an_answer_that_breaks_an_expectation_is_an_error(candles: Candles, sentence: str) -> None:
    with pytest.raises(UnexpectedCandles, match=sentence):
        read_page(request(), candles, LATER)


def test_a_short_answer_that_begins_late_has_a_gap() -> None:
    page = read_page(request(300), candles_from(START + timedelta(minutes=10), 290), LATER)
    assert len(page.missing) == 10


@pytest.mark.parametrize("anchor", [0, 1, 2])
def test_a_grid_whose_anchor_is_unknown_is_taken_as_it_comes(anchor: int) -> None:
    step = timedelta(hours=3)
    ticks = candles_from(START - timedelta(hours=3 - anchor), 10, step)
    page = read_page(request(1_440, Resolution.HOUR_3), ticks, LATER)
    assert len(page.candles) == 8
    assert len(page.missing) == 0


def test_a_mixture_of_grids_is_an_error() -> None:
    ticks = candles_from(START, 8, timedelta(hours=3))
    ticks.opened_at[4:] += np.timedelta64(1, "h")
    with pytest.raises(UnexpectedCandles, match="did not open every 3:00:00"):
        read_page(request(1_440, Resolution.HOUR_3), ticks, LATER)


def test_a_recheck_fills_what_came_after_all() -> None:
    whole = candles_from(START, 1_440)
    page = read_page(request(), whole[~np.isin(np.arange(1_440), [7, 8])], LATER)
    recheck = ChartRequest(
        INSTRUMENT, Resolution.MINUTE_1,
        TimeWindow(START + timedelta(minutes=5), START + timedelta(minutes=11)),
    )  # fmt: skip
    seen = read_page(recheck, whole[~np.isin(np.arange(1_440), [8])][4:11], LATER)
    confirmed = page.with_found(seen)
    assert confirmed.missing.tolist() == [whole.opened_at[8]]
    assert len(confirmed.candles) == 1_439
    assert (np.diff(confirmed.candles.opened_at) > np.timedelta64(0)).all()


def test_a_recheck_that_misses_what_came_before_confirms_nothing() -> None:
    whole = candles_from(START, 1_440)
    page = read_page(request(), whole[~np.isin(np.arange(1_440), [700])], LATER)
    window = TimeWindow(START + timedelta(minutes=698), START + timedelta(minutes=703))
    recheck = ChartRequest(INSTRUMENT, Resolution.MINUTE_1, window)
    neighbours = read_page(recheck, whole[np.isin(np.arange(1_440), [698, 699, 701, 702])], LATER)
    assert not page.is_contradicted_by(neighbours)
    assert page.is_contradicted_by(read_page(recheck, whole[:0], LATER))


def test_candles_of_before_the_listing_are_an_error() -> None:
    late = Instrument("BTC-PERPETUAL", "future", START + timedelta(minutes=30))
    window = TimeWindow(START, START + timedelta(minutes=60))
    with pytest.raises(UnexpectedCandles, match="for a time without a listing"):
        read_page(ChartRequest(late, Resolution.MINUTE_1, window), candles_from(START, 60), LATER)


def test_without_any_candle_an_unknown_grid_stays_unknown() -> None:
    assert grid_of(Resolution.HOUR_6, np.empty(0, "datetime64[ms]")) is None
    with pytest.raises(UnexpectedCandles, match="the grid of opening times is unknown"):
        read_page(request(1_440, Resolution.HOUR_6), Candles.none(), LATER)
