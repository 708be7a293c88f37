"""Laws of splitting numbered trades into days: the result does not depend on their order."""

import random
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.trades.proof import CutDay, DayCutter
from deribit_pipeline.datasets.trades.table import TABLE as TABLE
from deribit_pipeline.datasets.trades.trade_numbers import (
    NO_TRADES,
    Chunk,
    chunks,
    missing,
    rechecks_of,
    within,
)
from deribit_pipeline.datasets.trades.values import MARGIN
from deribit_pipeline.datasets.trades.wire import trades
from deribit_pipeline.domain.rows import Columns
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.errors import DeribitBadPayload

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 3)
NOW = datetime(2024, 3, 10, tzinfo=UTC)
BEGIN = np.datetime64("2024-02-29T22:00", "ms")
PER_HOUR = 60
TOTAL = 76 * PER_HOUR  # from two hours before the first day to two hours after the last
ODD = DeribitBadPayload("odd", method="m", params={})


def rows_of(numbers: list[int]) -> Columns:
    """Trades with these numbers, one every minute, as in a response."""
    returned = [
        {
            "instrument_name": "X", "trade_seq": number, "trade_id": f"X-{number}",
            "timestamp": int(BEGIN.astype(np.int64)) + (number - 1) * 60_000, "direction": "buy",
            "tick_direction": 0, "price": 1.0, "amount": 1.0,
        }
        for number in numbers
    ]  # fmt: skip
    return trades({"trades": returned}, "X", TOTAL)


def cut(pieces: list[Chunk], end: int = TOTAL + 1) -> list[CutDay]:
    cutter = DayCutter(list(days_between(FIRST, LAST)), 1)
    days = [day for piece in pieces for day in cutter.add(piece)]
    return [*days, *cutter.rest(end, NOW)]


def summary(days: list[CutDay]) -> list[tuple[date, list[int], list[int]]]:
    return [(day.day, day.rows["trade_seq"].tolist(), sorted(day.holes.tolist())) for day in days]


def test_the_columns_are_the_tables() -> None:
    names = [column.name for column in TABLE.columns if column.name != "instrument_name"]
    assert list(NO_TRADES) == names == list(rows_of([1]))
    assert {name: values.dtype for name, values in rows_of([1]).items()} == {
        name: values.dtype for name, values in NO_TRADES.items()
    }
    assert TRADES.key == ("trade_seq",)


@given(
    size=st.integers(MARGIN, 3 * TOTAL),
    leak=st.integers(0, 20),
    seed=st.integers(0, 2**32),
    lost=st.sets(st.integers(1, TOTAL), max_size=30),
)
def test_any_order_of_rows_any_leak_and_any_size_give_the_same_days(
    size: int, leak: int, seed: int, lost: set[int]
) -> None:
    kept = [number for number in range(1, TOTAL + 1) if number not in lost]
    pieces = []
    for requested in chunks(range(1, TOTAL + 1), size):
        answer = [n for n in kept if requested.start - leak <= n < requested.stop + leak]
        random.Random(seed).shuffle(answer)
        pieces.append(Chunk(requested, within(rows_of(answer), requested), NOW))
    whole = [Chunk(range(1, TOTAL + 1), rows_of(kept), NOW)]
    days = summary(cut(pieces))
    assert days == summary(cut(whole))
    assert [day for day, _, _ in days] == list(days_between(FIRST, LAST))
    assert {number for _, _, holes in days for number in holes} <= lost
    a_day = 24 * PER_HOUR
    for place, (_, numbers, holes) in enumerate(days):
        begin = 2 * PER_HOUR + place * a_day + 1
        of_day = set(range(begin, begin + a_day))
        assert set(numbers) == of_day - lost
        assert set(holes) >= of_day & lost


@given(
    absent=st.sets(st.integers(1, 50_000), min_size=1, max_size=60),
    most=st.integers(30, 900),
    offset=st.integers(0, 20),
)
def test_rechecks_request_all_missing_numbers_and_never_too_much(
    absent: set[int], most: int, offset: int
) -> None:
    rechecks = list(rechecks_of(np.array(sorted(absent)), most, offset))
    assert all(recheck.start >= 1 and len(recheck) <= most for recheck in rechecks)
    assert absent <= {number for recheck in rechecks for number in recheck}


@given(requested=st.integers(1, 300), lost=st.sets(st.integers(1, 300)))
def test_missing_and_returned_numbers_are_the_requested_ones(
    requested: int, lost: set[int]
) -> None:
    numbers = np.array([n for n in range(1, requested + 1) if n not in lost], np.int64)
    absent = missing(range(1, requested + 1), numbers).tolist()
    assert sorted([*absent, *numbers.tolist()]) == list(range(1, requested + 1))


def test_a_day_comes_out_as_soon_as_a_margin_after_it_is_in() -> None:
    cutter = DayCutter([FIRST], 1)
    end = 26 * PER_HOUR  # the last trade of the day
    early = range(1, end + MARGIN)
    assert not list(cutter.add(Chunk(early, rows_of(list(early)), NOW)))
    assert not cutter.ends_after
    more = range(end + MARGIN, end + MARGIN + 1)
    [day] = cutter.add(Chunk(more, rows_of(list(more)), NOW))
    assert (day.day, len(day.rows["trade_seq"])) == (FIRST, 24 * PER_HOUR)
    assert cutter.ends_after


def test_what_nothing_is_known_of_fails_the_days_that_it_could_be_of() -> None:
    middle = 2 * PER_HOUR + 24 * PER_HOUR  # the last trade of the first day
    requested = range(middle - 10, middle + 11)
    days = cut(
        [
            Chunk(range(1, requested.start), rows_of(list(range(1, requested.start))), NOW),
            Chunk(requested, NO_TRADES, NOW, ODD),
            Chunk(
                range(requested.stop, TOTAL + 1),
                rows_of(list(range(requested.stop, TOTAL + 1))),
                NOW,
            ),
        ]
    )
    assert [day.error for day in days] == [ODD, ODD, None]


@pytest.mark.parametrize("error", [None, ODD])
def test_numbers_missing_before_all_trades_may_be_of_every_day_up_to_there(
    error: DeribitBadPayload | None,
) -> None:
    begin, second = 2 * PER_HOUR - MARGIN, 30 * PER_HOUR  # six o'clock on the second day
    later = range(second, TOTAL + 1)
    cutter = DayCutter(list(days_between(FIRST, LAST)), begin)
    days = [*cutter.add(Chunk(range(begin, second), NO_TRADES, NOW, error))]
    days += cutter.add(Chunk(later, rows_of(list(later)), NOW))
    days += cutter.rest(TOTAL + 1, NOW)
    assert [len(day.holes) for day in days] == [second - begin, second - begin, 0]
    assert [day.error for day in days] == [error, error, None]


def test_numbers_missing_before_trades_of_before_the_days_are_of_none() -> None:
    came = range(10, TOTAL + 1)
    cutter = DayCutter(list(days_between(FIRST, LAST)), 5)
    days = [*cutter.add(Chunk(range(5, TOTAL + 1), rows_of(list(came)), NOW))]
    days += cutter.rest(TOTAL + 1, NOW)
    assert [len(day.holes) for day in days] == [0, 0, 0]


def test_a_trade_of_a_day_that_is_cut_already_fails_it_and_the_days_of_its_chunk() -> None:
    half = 40 * PER_HOUR  # on the second day
    late = rows_of(list(range(half, half + 20)))
    late["traded_at"][7] = np.datetime64("2024-03-01T12:00", "ms")
    days = cut(
        [
            Chunk(range(1, half), rows_of(list(range(1, half))), NOW),
            Chunk(range(half, half + 20), late, NOW),
            Chunk(range(half + 20, TOTAL + 1), rows_of(list(range(half + 20, TOTAL + 1))), NOW),
        ]
    )
    assert [day.day for day in days] == [FIRST, FIRST, date(2024, 3, 2), LAST]
    reasons = [day.error and day.error.reason for day in days]
    output = f"a trade of 2024-03-01 has a number from after it: {half + 7}"
    assert reasons == [None, output, output, None]


def test_a_day_is_as_old_as_its_oldest_answer() -> None:
    later = NOW + timedelta(hours=1)
    half = TOTAL // 2
    days = cut(
        [
            Chunk(range(1, half), rows_of(list(range(1, half))), NOW),
            Chunk(range(half, TOTAL + 1), rows_of(list(range(half, TOTAL + 1))), later),
        ]
    )
    assert [day.as_of for day in days] == [NOW, NOW, later]
