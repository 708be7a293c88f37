"""Laws of request planning: any set of days is covered exactly, no request is too large, any
order is allowed."""

import itertools
from datetime import UTC, date, datetime, timedelta
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles.cross_check import coarse_grid
from deribit_pipeline.datasets.candles.days import Assembly
from deribit_pipeline.datasets.candles.grid import grid_of, life
from deribit_pipeline.datasets.candles.pages import read_page
from deribit_pipeline.datasets.candles.requests import (
    MOST_CANDLES,
    ChartRequest,
    coarse_requests,
    expected_window,
    rechecks_of,
    requests,
    wider_requests,
)
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.grid import Grid, cover
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.proofs import DayState, ProvedDay
from deribit_pipeline.domain.windows import Moments, TimeWindow, day_window, moment64
from deribit_pipeline.engine.proving import prove

FIRST = date(2022, 12, 1)
NOTHING = np.empty(0, "datetime64[ms]")

resolutions = st.sampled_from(Resolution)
day_sets = st.sets(st.integers(0, 400).map(lambda n: FIRST + timedelta(days=n)), max_size=20)
runs_of_days = st.tuples(st.integers(0, 600), st.integers(1, 60)).map(
    lambda run: {FIRST + timedelta(days=n) for n in range(run[0], run[0] + run[1])}
)
listing_dates = st.datetimes(datetime(2022, 11, 1), datetime(2024, 1, 1)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
)
lives = st.one_of(st.none(), st.integers(1, 500))


@st.composite
def instruments(draw: st.DrawFn) -> Instrument:
    listed_at, days = draw(listing_dates), draw(lives)
    # Deribit's instruments expire at 08:00 UTC.
    ends = day_window(listed_at.date()).start + timedelta(days=days, hours=8) if days else None
    return Instrument("BTC-PERPETUAL", "future", listed_at, ends)


def any_grid(resolution: Resolution) -> Grid:
    """A grid that the exchange may use: the unknown ones are tried at 08:00."""
    return Grid(resolution.duration, resolution.anchor or timedelta(hours=8) % resolution.duration)


def openings(instrument: Instrument, resolution: Resolution, window: TimeWindow) -> Moments:
    listed = window.intersection(life(instrument, resolution))
    return any_grid(resolution).openings(listed) if listed else NOTHING


def returned(instrument: Instrument, resolution: Resolution, window: TimeWindow) -> Candles:
    """The response of an exchange without gaps, with values derived from the opening times."""
    opened_at = openings(instrument, resolution, window)
    return Candles(opened_at, np.outer(opened_at.astype(np.int64) % 9_973, np.ones(6)) + 1.0)


@given(instruments(), resolutions, day_sets | runs_of_days)
def test_every_requested_candle_is_in_exactly_one_request(
    instrument: Instrument, resolution: Resolution, days: set[date]
) -> None:
    plan = requests(instrument, resolution, days)
    for before, after in itertools.pairwise(plan):
        assert before.window.end <= after.window.start
    covered = [openings(instrument, resolution, request.window) for request in plan]
    requested_for = np.concatenate([*covered, NOTHING])
    for day in days:
        on_day = openings(instrument, resolution, day_window(day))
        assert np.isin(on_day, requested_for).all()
    assert len(np.unique(requested_for)) == len(requested_for)


@given(instruments(), resolutions, day_sets | runs_of_days)
def test_no_request_can_be_answered_with_more_than_the_exchange_sends(
    instrument: Instrument, resolution: Resolution, days: set[date]
) -> None:
    for request in requests(instrument, resolution, days):
        # The start may be floored to its candle.
        returned_at_most = TimeWindow(
            request.requested.start - resolution.duration + timedelta(milliseconds=1),
            request.requested.end,
        )
        assert len(any_grid(resolution).openings(returned_at_most)) <= MOST_CANDLES
        assert request.requested.start + resolution.duration == request.window.start


@given(instruments(), resolutions, day_sets | runs_of_days)
def test_no_cover_has_fewer_requests(
    instrument: Instrument, resolution: Resolution, days: set[date]
) -> None:
    # All requests start at a requested day, and no single request could cover two of these starts,
    # given that a request ends with a coarser candle and leaves room for cross-checks.
    plan = requests(instrument, resolution, days)
    grid = coarse_grid(resolution)
    reach = (MOST_CANDLES - 20) * resolution.duration - (grid.step if grid else timedelta(0))
    windows = [window for day in days if (window := expected_window(instrument, resolution, day))]
    if grid is not None:
        windows = [grid.widened(window) for window in windows]
    for request in plan:
        assert any(window.start <= request.window.start < window.end for window in windows)
    for before, after in itertools.pairwise(plan):
        assert after.window.start - before.window.start >= reach


@given(instruments(), resolutions, day_sets | runs_of_days)
def test_requests_cut_no_coarser_candle(
    instrument: Instrument, resolution: Resolution, days: set[date]
) -> None:
    grid, plan = coarse_grid(resolution), requests(instrument, resolution, days)
    if grid is None:
        assert coarse_requests(plan) == []
        return
    listed = life(instrument, resolution)
    for request in plan:
        whole = grid.widened(request.window)
        outside = [
            TimeWindow(start, end)
            for start, end in ((whole.start, request.window.start), (request.window.end, whole.end))
            if start < end
        ]
        for window in outside:  # nothing of the coarser candle opens there while it is listed
            shared = window.intersection(listed)
            assert shared is None or not len(any_grid(resolution).openings(shared))
    coarse = [request.window for request in coarse_requests(plan)]
    assert len(coarse) <= len(plan)
    for request in plan:
        assert (
            sum(
                (
                    shared.duration
                    for window in coarse
                    if (shared := window.intersection(request.window))
                ),
                timedelta(0),
            )
            == request.window.duration
        )


@given(st.integers(1, 9), resolutions)
def test_no_two_opinions_request_the_same_window(repeat: int, resolution: Resolution) -> None:
    start = datetime(2023, 1, 1, 8, tzinfo=UTC)
    instrument = Instrument("BTC-PERPETUAL", "future", datetime(2018, 8, 14, tzinfo=UTC))
    window = TimeWindow(start, start + 4_980 * resolution.duration)
    request = ChartRequest(instrument, resolution, window)
    again = request.again(repeat)
    earlier = [request, *(request.again(n) for n in range(1, repeat))]
    assert again.requested not in [other.requested for other in earlier]
    assert again.requested.duration // resolution.duration < MOST_CANDLES
    rechecks = [wider_requests(request, [window], n) for n in (repeat, repeat + 1)]
    assert not {recheck.requested for recheck in rechecks[0]} & {
        recheck.requested for recheck in rechecks[1]
    }


def test_a_quarter_of_minutes_takes_twenty_seven_requests() -> None:
    days = {date(2024, 1, 1) + timedelta(days=n) for n in range(91)}
    instrument = Instrument(
        "BTC-PERPETUAL", "future", datetime(2018, 8, 14, 10, 24, 47, tzinfo=UTC)
    )
    assert len(requests(instrument, Resolution.MINUTE_1, days)) == 27


def test_two_days_with_a_proved_one_between_share_a_request() -> None:
    instrument = Instrument("BTC-PERPETUAL", "future", datetime(2018, 8, 14, tzinfo=UTC))
    [request] = requests(instrument, Resolution.MINUTE_1, [date(2024, 1, 1), date(2024, 1, 3)])
    assert request.window == TimeWindow(
        datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 4, tzinfo=UTC)
    )


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 30)), max_size=20),
    st.integers(1, 40),
)
def test_a_cover_contains_everything_and_nothing_twice(
    spans: list[tuple[int, int]], longest: int
) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)

    def minutes(n: int) -> datetime:
        return start + timedelta(minutes=n)

    windows = sorted(TimeWindow(minutes(a), minutes(a + n)) for a, n in spans)
    covers = cover(windows, timedelta(minutes=longest))
    inside = [0] * 300
    for window in covers:
        assert window.duration <= timedelta(minutes=longest)
        first, last = (
            (moment - start) // timedelta(minutes=1) for moment in (window.start, window.end)
        )
        for n in range(first, last):
            inside[n] += 1
    assert set(inside) <= {0, 1}
    assert all(inside[n] for a, length in spans for n in range(a, a + length))


@given(resolutions, st.integers(0, 10_000), st.integers(2, 6_000))
def test_halves_of_a_chart_request_are_the_whole(
    resolution: Resolution, offset: int, candles: int
) -> None:
    start = datetime(2023, 1, 1, tzinfo=UTC) + offset * timedelta(minutes=1)
    window = TimeWindow(start, start + candles * resolution.duration)
    instrument = Instrument("BTC-PERPETUAL", "future", start)
    left, right = ChartRequest(instrument, resolution, window).halves()
    assert (left.window.start, left.window.end, right.window.end) == (
        window.start, right.window.start, window.end
    )  # fmt: skip
    assert max(left.most, right.most) < candles


@given(instruments(), resolutions, runs_of_days, st.randoms(use_true_random=False))
def test_the_order_of_pages_never_matters(
    instrument: Instrument, resolution: Resolution, days: set[date], rng: Random
) -> None:
    as_of = datetime(2030, 1, 1, tzinfo=UTC)
    pages = []
    for request in requests(instrument, resolution, days):
        candles = returned(instrument, resolution, request.widened)
        if len(candles) or resolution.anchor is not None:
            start, end = moment64(request.requested.start), moment64(request.requested.end)
            requested = candles[(candles.opened_at >= start) & (candles.opened_at < end)]
            pages.append(read_page(request, requested if len(requested) else candles, as_of))

    def assembled() -> dict[date, ProvedDay]:
        assembly = Assembly(instrument, resolution, days)
        return {
            day.day: prove(CANDLES[resolution], day) for page in pages for day in assembly.add(page)
        }

    in_order = assembled()
    rng.shuffle(pages)
    shuffled = assembled()
    assert {day: made.proof for day, made in shuffled.items()} == {
        day: made.proof for day, made in in_order.items()
    }
    unlisted = set(Assembly(instrument, resolution, days).unlisted)
    assert set(in_order) | unlisted == days
    for day, made in in_order.items():
        expected = openings(instrument, resolution, day_window(day))
        assert made.proof.state == (DayState.COMPLETE if len(expected) else DayState.NOT_LISTED)
        assert made.proof.expected == made.proof.received == len(expected)
        assert np.array_equal(made.rows["opened_at"], expected)


@given(resolutions, st.sets(st.integers(0, 4_900), min_size=1, max_size=60))
def test_a_recheck_covers_what_is_missing_in_other_windows(
    resolution: Resolution, absent: set[int]
) -> None:
    start = datetime(2010, 1, 1, 8, tzinfo=UTC)
    instrument = Instrument("BTC-PERPETUAL", "future", start)
    request = ChartRequest(
        instrument, resolution, TimeWindow(start, start + 4_950 * resolution.duration)
    )
    grid = grid_of(resolution, np.array([moment64(start)]))
    assert grid is not None
    missing = grid.openings(request.window)[sorted(absent)]
    rechecks = rechecks_of(request, missing)
    covered = np.concatenate([grid.openings(recheck.window) for recheck in rechecks])
    assert np.isin(missing, covered).all()
    for recheck in rechecks:
        assert recheck.window != request.window
        assert recheck.most <= MOST_CANDLES / 2


@pytest.mark.parametrize(
    ("resolution", "day", "expected"),
    [
        (Resolution.MINUTE_1, date(2018, 8, 13), None),
        # 10:24:47 lies in the candle of 10:24.
        (Resolution.MINUTE_1, date(2018, 8, 14), "2018-08-14T10:24:00Z/2018-08-15T00:00:00Z"),
        (Resolution.HOUR_1, date(2018, 8, 14), "2018-08-14T10:00:00Z/2018-08-15T00:00:00Z"),
        (Resolution.DAY_1, date(2018, 8, 14), "2018-08-14T08:00:00Z/2018-08-15T08:00:00Z"),
        (Resolution.DAY_1, date(2018, 8, 13), None),
        (Resolution.MINUTE_1, date(2018, 8, 20), "2018-08-20T00:00:00Z/2018-08-20T08:00:00Z"),
        (Resolution.DAY_1, date(2018, 8, 19), "2018-08-19T08:00:00Z/2018-08-20T08:00:00Z"),
        (Resolution.DAY_1, date(2018, 8, 20), None),
    ],
)
def test_listing_and_expiry_bound_what_is_requested(
    resolution: Resolution, day: date, expected: str | None
) -> None:
    instrument = Instrument(
        "BTC-20AUG18", "future",
        datetime(2018, 8, 14, 10, 24, 47, tzinfo=UTC), datetime(2018, 8, 20, 8, tzinfo=UTC),
    )  # fmt: skip
    window = expected_window(instrument, resolution, day)
    assert (str(window) if window else None) == expected


def test_a_daily_candle_listed_before_eight_opened_the_day_before() -> None:
    instrument = Instrument("X", "future", datetime(2024, 5, 2, 5, tzinfo=UTC))
    window = expected_window(instrument, Resolution.DAY_1, date(2024, 5, 1))
    assert str(window) == "2024-05-01T08:00:00Z/2024-05-02T08:00:00Z"
