"""Rows on a sampling grid: windows cover it without exceeding a limit, and responses are counted
and compared."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deribit_pipeline.domain.rows import Columns, some_of
from deribit_pipeline.domain.windows import TimeWindow, day_window, moment64
from deribit_pipeline.engine.agreement import Claim, unconfirmed_claims
from deribit_pipeline.engine.grid_windows import Page, SeriesGrid, joined_pages, read_page
from deribit_pipeline.engine.sampling_grid import SamplingGrid
from deribit_pipeline.engine.trusted_pages import add_response
from deribit_pipeline.errors import DeribitBadPayload

HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
LATER = START + timedelta(days=100)
LIFE = TimeWindow(datetime(2020, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC))
HOURS = SamplingGrid("at", HOUR, lasts=timedelta(0), most=744)
LANE = SeriesGrid(HOURS, LIFE, "rates", {"series": "X"})
TRUE, WRONG = 1.0, 3.0

days = st.sets(st.dates(date(2021, 1, 1), date(2022, 6, 1)), min_size=1, max_size=60)
sampling_grids = st.builds(
    SamplingGrid,
    at=st.just("at"),
    step=st.sampled_from([timedelta(minutes=1), timedelta(minutes=30), HOUR]),
    lasts=st.just(timedelta(0)),
    most=st.integers(100, 1_500),
)


def window(first: int, last: int) -> TimeWindow:
    """From one hour after START to another."""
    return TimeWindow(START + first * HOUR, START + last * HOUR)


def rows(first: int, last: int, value: float = TRUE, without: tuple[int, ...] = ()) -> Columns:
    """A row for each hour of [first, last)."""
    hours = np.array([hour for hour in range(first, last) if hour not in without], np.int64)
    moments = moment64(START) + hours * np.timedelta64(HOUR, "ms")
    return {"at": moments, "rate": hours * value}


def page(first: int, last: int, value: float = TRUE, without: tuple[int, ...] = ()) -> Page:
    returned = rows(first - 1, last, value, without)
    return read_page(LANE, window(first, last), returned, LATER)


@given(sampling_grids, days)
def test_every_day_is_covered_by_windows_that_no_answer_can_overflow(
    sampling_grid: SamplingGrid, wanted: set[date]
) -> None:
    windows = sampling_grid.windows(wanted)
    assert windows == sorted(windows)
    for day in wanted:
        covered = [shared for one in windows if (shared := one.intersection(day_window(day)))]
        assert sum((part.duration for part in covered), timedelta(0)) == timedelta(days=1)
    series_grid = SeriesGrid(sampling_grid, LIFE, "rates", {})
    for one in windows:
        requested = series_grid.requested(one)
        assert requested.start == one.start - sampling_grid.step
        # Even where the exchange floors the start, and includes a row at it.
        assert requested.duration // sampling_grid.step + 1 < sampling_grid.most


@given(days)
def test_windows_of_unbroken_days_are_neighbours_that_share_a_row(wanted: set[date]) -> None:
    first, last = min(wanted), max(wanted)
    span = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    windows = HOURS.windows(span)
    for former, later in pairwise(windows):
        assert former.end == later.start
        assert LANE.requested(later).start == former.end - HOUR


@given(st.integers(1, 741))
def test_halves_are_the_whole(hours: int) -> None:
    whole = window(0, hours)
    halves = LANE.halves(whole)
    assert (halves[0].start, halves[-1].end) == (whole.start, whole.end)
    assert sum((half.duration for half in halves), timedelta(0)) == whole.duration


@given(st.sets(st.integers(0, 740), min_size=1, max_size=40))
def test_a_recheck_begins_and_ends_elsewhere(missing: set[int]) -> None:
    absent = rows(0, 741, without=tuple(set(range(741)) - missing))["at"]
    rechecks = LANE.rechecks_of(absent)
    for hour in missing:
        moment = START + hour * HOUR
        assert any(recheck.start <= moment < recheck.end for recheck in rechecks)
        assert any(recheck.start <= moment - HOUR < recheck.end for recheck in rechecks)
        assert any(recheck.start <= moment + HOUR < recheck.end for recheck in rechecks)
    assert all(
        LANE.requested(recheck).duration < HOURS.most // 2 * HOUR + 2 * HOUR for recheck in rechecks
    )


def test_an_answer_is_counted() -> None:
    found = page(0, 24, without=(3, 4))
    assert len(found.expected) == 24
    assert found.moments.tolist() == rows(0, 24, without=(3, 4))["at"].tolist()
    assert found.before["at"].tolist() == rows(-1, 0)["at"].tolist()
    assert found.missing.tolist() == rows(3, 5)["at"].tolist()


def test_rows_that_are_not_over_are_unclosed_and_not_kept() -> None:
    candles = SeriesGrid(SamplingGrid("at", HOUR, lasts=HOUR, most=744), LIFE, "candles", {})
    noon = START + 12 * HOUR + timedelta(minutes=30)
    found = read_page(candles, window(0, 24), rows(-1, 13), noon)
    assert found.moments[-1] == moment64(START + 11 * HOUR)
    assert found.unclosed.tolist() == rows(12, 24)["at"].tolist()
    assert not len(found.missing)


def test_a_row_may_be_returned_a_little_late() -> None:
    just_after = START + 12 * HOUR + timedelta(minutes=4)
    found = read_page(LANE, window(0, 24), rows(-1, 12), just_after)
    assert not len(found.missing)
    late = read_page(LANE, window(0, 24), rows(-1, 12), START + 12 * HOUR + timedelta(minutes=6))
    assert late.missing.tolist() == rows(12, 13)["at"].tolist()


def test_rows_before_the_beginning_are_kept_and_not_expected() -> None:
    series_grid = SeriesGrid(HOURS, TimeWindow(START + 10 * HOUR, LIFE.end), "rates", {})
    found = read_page(series_grid, window(0, 24), rows(7, 24), LATER)
    assert len(found.expected) == 14
    assert len(found.moments) == 17
    assert not len(found.missing)


def _changed(change: Callable[[np.ndarray[Any, Any]], Any]) -> Columns:
    returned = rows(-1, 240)
    returned["at"] = change(returned["at"].copy())
    return returned


def _shifted(moments: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    moments[5] += np.timedelta64(1_000, "ms")
    return moments


def _repeated(moments: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    moments[5] = moments[4]
    return moments


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (rows(-1, 743), "744 rows were returned, a sign that others were dropped"),
        (_changed(lambda moments: moments[::-1]), "repeated or are not sorted by time"),
        (_changed(_repeated), "repeated or are not sorted by time"),
        (_changed(_shifted), "not spaced 1:00:00 apart"),
        (some_of(rows(0, 240), slice(None, None, 8)), "not spaced 1:00:00 apart"),
        (rows(-3, 240), "rows of 2023-12-31T21"),
        (rows(-1, 241), "rows of .* to 2024-01-11T00"),
        (rows(64, 240), "64 rows are missing at an end"),
        (rows(-1, 170), "70 rows are missing at an end"),
    ],
)
def test_a_response_off_its_grid_is_an_error(returned: Columns, sentence: str) -> None:
    with pytest.raises(DeribitBadPayload, match=sentence):
        read_page(LANE, window(0, 240), returned, LATER)


def test_a_row_from_the_future_is_an_error() -> None:
    with pytest.raises(DeribitBadPayload, match="a row of 2024-01-01T23"):
        read_page(LANE, window(0, 24), rows(-1, 24), START + 12 * HOUR)


@given(st.sets(st.integers(1, 199), max_size=6))
def test_the_whole_is_its_parts(cuts: set[int]) -> None:
    whole = page(0, 200, without=(7, 100))
    edges = [0, *sorted(cuts), 200]
    parts = [whole.part(window(a, b)) for a, b in pairwise(edges)]
    again = joined_pages(parts)
    assert again.missing.tolist() == whole.missing.tolist()
    assert again.moments.tolist() == whole.moments.tolist()
    assert (again.rows["rate"] == whole.rows["rate"]).all()


def claims(*values: float) -> list[Claim[Page]]:
    return [Claim(page(10 * n + 1, 10 * n + 11, value)) for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([TRUE] * 3, []),
        ([TRUE] * 2, [0, 1]),
        ([TRUE], [0]),
        ([WRONG, TRUE, TRUE, TRUE], [0]),
        ([TRUE, TRUE, WRONG, TRUE, TRUE, TRUE], [0, 1, 2]),
        ([WRONG, WRONG, TRUE, TRUE], [0, 1, 2, 3]),
        ([TRUE, WRONG], [0, 1]),
    ],
)
def test_the_longest_run_of_windows_that_agree_is_trusted(
    values: list[float], expected: list[int]
) -> None:
    returned = claims(*values)
    assert [returned.index(claim) for claim in unconfirmed_claims(returned, enough=3)] == expected


def test_an_answer_that_stands_alone_is_trusted_when_it_comes_twice() -> None:
    [claim] = claims(TRUE)
    claim.add_response(page(1, 11))
    assert unconfirmed_claims([claim], enough=3) == []
    assert claim.page.rows["rate"][-1] == 10.0


def test_a_contradicted_answer_needs_two_more_that_agree() -> None:
    [claim] = claims(WRONG)
    for _ in range(2):
        claim.add_response(page(1, 11))
        assert unconfirmed_claims([claim], enough=3) == [claim]
    claim.add_response(page(1, 11))
    assert unconfirmed_claims([claim], enough=3) == []
    assert claim.page.rows["rate"][-1] == 10.0


def test_a_window_without_rows_has_nothing_to_disagree_about() -> None:
    assert unconfirmed_claims([Claim(page(1, 11, without=tuple(range(11))))], enough=3) == []


def test_halves_of_two_series_are_an_answer_of_neither() -> None:
    [claim] = claims(TRUE)
    add_response(claim, [page(1, 6), page(6, 11, WRONG)], joined_pages)
    assert (claim.answers, claim.is_settled) == (1, False)
    add_response(claim, [page(1, 6), page(6, 11)], joined_pages)
    assert (claim.answers, claim.is_settled) == (2, True)


def test_a_later_answer_may_have_what_was_not_over_before() -> None:
    noon = START + 12 * HOUR
    early = read_page(LANE, window(0, 24), rows(-1, 12), noon)
    claim = Claim(early)
    claim.add_response(read_page(LANE, window(0, 24), rows(-1, 13), noon + timedelta(minutes=1)))
    assert claim.answers == 2
    assert len(claim.page.moments) == 13
