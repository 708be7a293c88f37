"""Any candles in a response make an exact page or an error, compared with a count in plain
integers."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import strategies as st

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles.days import Assembly
from deribit_pipeline.datasets.candles.pages import Page, UnexpectedCandles, read_page
from deribit_pipeline.datasets.candles.requests import ChartRequest, expected_window
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.windows import TimeWindow, from_ms, to_ms
from deribit_pipeline.engine.agreement import Claim
from deribit_pipeline.engine.proving import contradictions, prove
from deribit_pipeline_tests.helpers.candle_series import (
    BASE,
    DAY,
    MINUTE,
    OPERATIONS,
    SOME,
    Series,
    candles_of,
    mutated,
    operations,
    series,
    ticks_of,
)
from deribit_pipeline_tests.helpers.mutations import examples, hold

LATENCY_US = 60_000_000
FEW = st.integers(1, 40)
LONG = (499, 501, 520, 4_998, 5_003)

Changes = list[tuple[str, int, int]]


def is_flawed(
    returned: Series, request: ChartRequest, came: list[int], expected: list[int]
) -> bool:
    """Whether the response itself shows that it cannot be trusted."""
    start, end = to_ms(request.window.start), to_ms(request.window.end)
    earliest = to_ms(request.requested.start) - 2 * returned.step
    latest = to_ms(request.requested.end) + 2 * returned.step
    inside = [tick for tick in came if start <= tick < end]
    closed = [tick for tick in inside if returned.is_closed(tick)]
    late = [tick for tick in expected if returned.is_closed(tick) and closed and tick < closed[0]]
    return bool(
        len(came) > 5_000
        or any(later < tick for tick, later in pairwise(came))
        or any(not earliest <= tick < latest for tick in came)
        or any((tick - came[0]) % returned.step for tick in came)
        or any(tick * 1_000 > returned.now_us // 1_000 * 1_000 + LATENCY_US for tick in came)
        or set(inside) - set(expected)
        or (late and len(expected) > 500)
    )


@st.composite
def requested(
    draw: st.DrawFn, lengths: st.SearchStrategy[int] = FEW
) -> tuple[Series, ChartRequest]:
    """A series, and a requested window, which may begin within a candle."""
    length, resolution = draw(lengths), draw(st.sampled_from(SOME))
    returned = draw(series(length, resolution))
    start = BASE + draw(st.sampled_from((0, 0, 1, MINUTE, returned.step // 2)))
    if returned.resolution.anchor is not None:
        start += returned.phase
    end = start + length * returned.step - draw(st.sampled_from((0, 0, 1, returned.step - 1)))
    window = TimeWindow(from_ms(start), from_ms(end))
    return returned, ChartRequest(returned.instrument, returned.resolution, window)


def page_is_right_or_refused(case: tuple[Series, ChartRequest], changes: Changes) -> None:
    """Raises nothing but UnexpectedCandles, and never for a complete response."""
    returned, request = case
    truth = returned.returned(request.requested)
    came = mutated(truth, changes, returned.step)
    candles = candles_of(came)
    start, end = to_ms(request.window.start), to_ms(request.window.end)
    phase = returned.phase
    if returned.resolution.anchor is None:
        phase = came[0] % returned.step if came else phase
    expected = returned.openings(start, end, phase)
    try:
        page = read_page(request, candles, returned.as_of)
    except UnexpectedCandles:
        is_blank = not came and returned.resolution.anchor is None
        assert came != truth or len(came) > 5_000 or is_blank
        return
    assert not is_flawed(returned, request, came, expected)
    kept = [
        n
        for n, tick in enumerate(came)
        if start <= tick < end and returned.is_closed(tick) and came.count(tick) == 1
    ]
    twice = {tick for tick in came if came.count(tick) > 1 and start <= tick < end}
    malformed = sorted(
        tick for tick in twice if returned.is_closed(tick)
    )  # each time another value
    assert ticks_of(page.malformed) == malformed
    assert ticks_of(page.candles.opened_at) == [came[n] for n in kept]
    assert page.candles.values.tolist() == candles.values[kept].tolist()
    assert ticks_of(page.expected) == expected
    unclosed = [tick for tick in expected if not returned.is_closed(tick)]
    assert ticks_of(page.unclosed) == unclosed
    known = {*unclosed, *malformed, *(came[n] for n in kept)}
    named = [tick for tick in expected if tick not in known]
    assert ticks_of(page.missing) == named
    assert (page.window, page.as_of) == (request.window, returned.as_of)


@examples(quick=150, tortured=4_000)
def test_a_page_is_exactly_right_or_refused(count: int) -> None:
    hold(page_is_right_or_refused, count, requested(), operations())


@examples(quick=4, tortured=60)
def test_a_page_of_thousands_is_exactly_right_or_refused(count: int) -> None:
    hold(page_is_right_or_refused, count, requested(st.sampled_from(LONG)), operations())


@st.composite
def days_cut(draw: st.DrawFn) -> tuple[Series, list[TimeWindow]]:
    """Four days, and windows that cover them, cut where candles open."""
    resolution = draw(st.sampled_from((Resolution.HOUR_1, Resolution.HOUR_2, Resolution.DAY_1)))
    returned = draw(series(4 * resolution.candles_per_day, resolution))
    inner = draw(st.sets(st.integers(-12, 110), max_size=5))
    bounds = sorted({-24, *inner, 130})
    moments = [
        from_ms(BASE + returned.phase + n * 3_600_000 // returned.step * returned.step)
        for n in bounds
    ]
    moments = sorted(set(moments))
    return returned, [TimeWindow(a, b) for a, b in pairwise(moments)]


@examples(quick=40, tortured=700)
def test_days_put_together_from_any_pages_count_what_came_and_name_what_did_not(
    count: int,
) -> None:
    def law(
        case: tuple[Series, list[TimeWindow]],
        changes: list[Changes],
        rng: Random,
    ) -> None:
        returned, windows = case
        days = [date(2024, 1, 1) + timedelta(days=n) for n in range(4)]
        pages: list[Page] = []
        for number, window in enumerate(windows):
            request = ChartRequest(returned.instrument, returned.resolution, window)
            came = mutated(
                returned.returned(request.requested), changes[number % len(changes)], returned.step
            )
            try:
                pages.append(read_page(request, candles_of(came), returned.as_of))
            except UnexpectedCandles:
                continue
        rng.shuffle(pages)
        assembly = Assembly(returned.instrument, returned.resolution, days)
        dataset = CANDLES[returned.resolution]
        out = {day.day: prove(dataset, day) for page in pages for day in assembly.add(page)}
        closed: dict[int, list[float]] = {}
        for page in pages:
            rows = page.candles.values.tolist()
            closed |= zip(ticks_of(page.candles.opened_at), rows, strict=True)
        for day, proved in out.items():
            midnight = BASE + (day - days[0]).days * DAY
            expected = returned.openings(midnight, midnight + DAY)
            held = [tick for tick in expected if tick in closed]
            gaps = [tick for tick in expected if returned.is_closed(tick) and tick not in closed]
            assert ticks_of(proved.rows["opened_at"]) == held
            assert Candles.of(proved.rows).values.tolist() == [closed[tick] for tick in held]
            assert ticks_of(proved.gaps) == gaps
            proof = proved.proof
            counts = (proof.expected, proof.received, proof.missing)
            assert counts == (len(expected), len(held), len(gaps))
            is_complete = proof.state is DayState.COMPLETE
            assert is_complete == (bool(expected) and held == expected)
            assert contradictions(dataset, proof, proved.rows, len(gaps)) == []
        if len(pages) == len(windows):
            listed = {
                day
                for day in days
                if expected_window(returned.instrument, returned.resolution, day)
            }
            assert set(out) == listed

    hold(
        law,
        count,
        days_cut(),
        st.lists(operations(), min_size=1, max_size=4),
        st.randoms(use_true_random=False),
    )


@examples(quick=30, tortured=500)
def test_another_response_adds_what_is_missing_and_contradicts_other_values(
    count: int,
) -> None:
    def law(
        case: tuple[Series, ChartRequest],
        first: Changes,
        second: Changes,
    ) -> None:
        returned, request = case
        truth = returned.returned(request.requested)
        try:
            page, recheck = (
                read_page(
                    request, candles_of(mutated(truth, changes, returned.step)), returned.as_of
                )
                for changes in (first, second)
            )
        except UnexpectedCandles:
            return
        found = page.with_found(recheck)
        before, after = ticks_of(page.candles.opened_at), ticks_of(found.candles.opened_at)
        seen, missing = ticks_of(recheck.candles.opened_at), ticks_of(page.missing)
        malformed = {*ticks_of(recheck.malformed)}
        assert after == sorted({*before, *({*seen} & {*missing})})
        rows = dict(zip(after, found.candles.values.tolist(), strict=True))
        own, theirs = page.candles.values.tolist(), recheck.candles.values.tolist()
        assert [rows[tick] for tick in before] == own
        assert ticks_of(found.missing) == [
            tick for tick in missing if tick not in seen and tick not in malformed
        ]
        assert {*ticks_of(found.malformed)} == {*ticks_of(page.malformed)} | malformed & {*missing}
        assert found.as_of == page.as_of
        other = dict(zip(seen, theirs, strict=True))
        # A candle that is malformed in the recheck has no value there.
        assert page.is_contradicted_by(recheck) == any(
            tick not in malformed and other.get(tick) != values
            for tick, values in zip(before, own, strict=True)
        )
        claim = Claim(page)
        claim.add_response(recheck)
        assert not (claim.is_settled and malformed & {*before} & {*ticks_of(claim.page.moments)})

    hold(law, count, requested(), operations(), operations())


def test_the_oracle_would_notice_a_page_that_lost_a_candle() -> None:
    returned = Series(
        Instrument("X", "future", from_ms(BASE - DAY)), Resolution.MINUTE_1, 0,
        (BASE + DAY) * 1_000,
    )  # fmt: skip
    window = TimeWindow(from_ms(BASE), from_ms(BASE + 10 * MINUTE))
    request = ChartRequest(returned.instrument, returned.resolution, window)
    page = read_page(request, candles_of(returned.returned(request.requested)), returned.as_of)
    assert ticks_of(page.expected) == returned.openings(BASE, BASE + 10 * MINUTE)
    lost = replace(page, candles=page.candles[1:])
    assert ticks_of(lost.missing) == [BASE]


def test_the_changes_are_many_and_each_does_something() -> None:
    ticks = [BASE + n * MINUTE for n in range(10)]
    for change in OPERATIONS:
        assert mutated(ticks, [(change, 3, 2)], MINUTE) != ticks, change
    window = TimeWindow(from_ms(BASE), from_ms(BASE + 10 * MINUTE))
    request = ChartRequest(Instrument("X", "future", from_ms(BASE)), Resolution.MINUTE_1, window)
    with pytest.raises(UnexpectedCandles, match="not sorted by time"):
        read_page(request, candles_of(ticks[::-1]), from_ms(BASE + DAY))
