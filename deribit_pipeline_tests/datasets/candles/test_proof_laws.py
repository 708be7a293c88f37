"""Laws of proofs: no response about a day, in any order, loses a stored candle."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
from hypothesis import strategies as st

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.proofs import DayState, FetchedDay, ProvedDay
from deribit_pipeline.domain.rows import Columns, count_of
from deribit_pipeline.domain.windows import moment64
from deribit_pipeline.engine.proving import contradictions, prove
from deribit_pipeline_tests.helpers.mutations import examples, hold

DATASET = CANDLES[Resolution.HOUR_1]
DAY = date(2024, 1, 1)
START = datetime(2024, 1, 1, tzinfo=UTC)
HOURS = moment64(START) + np.arange(24) * np.timedelta64(1, "h")


@dataclass(frozen=True)
class Telling:
    """The exchange's response at one moment: the price of some closed hours."""

    half_hour: int
    prices: dict[int, float]

    @property
    def as_of(self) -> datetime:
        return START + self.half_hour * timedelta(minutes=30)

    @property
    def over(self) -> int:
        """How many hours of the day are over."""
        return min(24, self.half_hour // 2)

    def fetched(self) -> FetchedDay:
        hours = sorted(self.prices)
        values = np.repeat([[self.prices[hour]] for hour in hours] or np.empty((0, 1)), 6, axis=1)
        return FetchedDay(
            "X", DAY, Candles(HOURS[hours], values).columns, self.as_of,
            HOURS, HOURS[self.over :],
        )  # fmt: skip


@st.composite
def tellings(draw: st.DrawFn) -> Telling:
    """Mostly whole; a price is mostly the same, as the exchange seldom revises."""
    half_hour = draw(st.integers(0, 60))
    over = min(24, half_hour // 2)
    absent = draw(st.one_of(st.just(frozenset()), st.frozensets(st.integers(0, 23))))
    revised = draw(st.dictionaries(st.integers(0, 23), st.sampled_from((0.0, 2.0)), max_size=2))
    return Telling(
        half_hour,
        {hour: revised.get(hour, 1.0) for hour in range(over) if hour not in absent},
    )


def prices(candles: Columns) -> dict[int, float]:
    hours = np.searchsorted(HOURS, candles["opened_at"]).tolist()
    return dict(zip(hours, candles["open"].tolist(), strict=True))


def after(story: list[Telling]) -> list[ProvedDay]:
    """What is proved after each telling, each joined with what the ones before it left."""
    proved: list[ProvedDay] = []
    for telling in story:
        if proved:
            held = proved[-1]
            proved.append(prove(DATASET, telling.fetched(), held.rows, held.proof))
        else:
            proved.append(prove(DATASET, telling.fetched()))
    return proved


stories = st.lists(tellings(), min_size=1, max_size=5)


@examples(quick=40, tortured=800)
def test_the_newest_word_on_each_candle_stands_and_none_is_lost(count: int) -> None:
    def law(story: list[Telling]) -> None:
        held: dict[int, float] = {}
        newest = datetime.min.replace(tzinfo=UTC)
        revised = 0
        for telling, day in zip(story, after(story), strict=True):
            if telling.as_of >= newest:
                changed = {h: p for h, p in held.items() if telling.prices.get(h, p) != p}
                held = held | telling.prices
            else:
                changed, held = {}, telling.prices | held
            newest = max(newest, day.proof.fetched_at)
            revised += len(changed)
            assert prices(day.rows) == held
            assert prices(day.replaced) == changed
            assert day.proof.revised == revised

    hold(law, count, stories)


@examples(quick=40, tortured=800)
def test_what_is_expected_is_held_named_missing_or_not_over(count: int) -> None:
    def law(story: list[Telling]) -> None:
        for upto, day in enumerate(after(story), 1):
            over = max(telling.over for telling in story[:upto])
            held = prices(day.rows)
            absent = [hour for hour in range(over) if hour not in held]
            assert np.searchsorted(HOURS, day.gaps).tolist() == absent
            proof = day.proof
            assert (proof.expected, proof.received, proof.missing) == (24, len(held), len(absent))
            unclosed = 24 - len(held) - len(absent)
            whole = DayState.GAPPED if absent else DayState.COMPLETE
            assert proof.state == (DayState.OPEN if unclosed else whole)
            assert contradictions(DATASET, proof, day.rows, len(day.gaps)) == []

    hold(law, count, stories)


@examples(quick=40, tortured=800)
def test_the_same_returned_again_changes_nothing(count: int) -> None:
    def law(story: list[Telling], later: int) -> None:
        first = after(story)[-1]
        newest = max(story, key=lambda telling: telling.half_hour)
        again = Telling(newest.half_hour, prices(first.rows))
        day = prove(
            DATASET,
            replace(again.fetched(), as_of=again.as_of + timedelta(seconds=later)),
            first.rows, first.proof,
        )  # fmt: skip
        assert day.proof is first.proof
        assert count_of(day.replaced) == 0

    hold(law, count, stories, st.integers(0, 1_000))


@examples(quick=40, tortured=800)
def test_the_hash_tells_two_contents_apart_and_nothing_else(count: int) -> None:
    def law(one: list[Telling], other: list[Telling]) -> None:
        first, second = after(one)[-1], after(other)[-1]
        is_same = prices(first.rows) == prices(second.rows)
        assert (first.proof.content_hash == second.proof.content_hash) == is_same

    hold(law, count, stories, stories)
