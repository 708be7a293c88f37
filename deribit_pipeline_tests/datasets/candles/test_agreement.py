"""Responses are compared with each other: unconfirmed candles are not trusted."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from deribit_pipeline.datasets.candles.pages import Page, agreement, read_page
from deribit_pipeline.datasets.candles.requests import ChartRequest
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import TimeWindow, moment64
from deribit_pipeline.engine.agreement import Claim, is_contradictory, unconfirmed_claims

START = datetime(2024, 1, 1, tzinfo=UTC)
LATER = START + timedelta(days=30)
HOUR = timedelta(hours=1)
INSTRUMENT = Instrument("BTC-PERPETUAL", "future", datetime(2018, 8, 14, tzinfo=UTC))
TRUE, WRONG = 42_000.0, 2_300.0
THREE = [TRUE] * 3


def request(hour: int) -> ChartRequest:
    window = TimeWindow(START + hour * HOUR, START + (hour + 1) * HOUR)
    return ChartRequest(INSTRUMENT, Resolution.MINUTE_1, window)


def answer(hour: int, price: float = TRUE, absent: tuple[int, ...] = ()) -> Page:
    """The page of one hour, requested from a minute earlier; `lacking` are its missing minutes."""
    minutes = np.arange(-1, 60)
    minutes = minutes[~np.isin(minutes, absent)]
    opened_at = moment64(START + hour * HOUR) + minutes * np.timedelta64(60_000, "ms")
    return read_page(request(hour), Candles(opened_at, np.full((len(minutes), 6), price)), LATER)


def claims(*prices: float) -> list[Claim[Page]]:
    return [Claim(answer(hour, price)) for hour, price in enumerate(prices)]


def in_doubt(returned: list[Claim[Page]]) -> list[int]:
    return [returned.index(claim) for claim in unconfirmed_claims(returned, enough=2)]


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ([TRUE, TRUE], []),
        ([TRUE, TRUE, TRUE, TRUE], []),
        ([TRUE, TRUE, WRONG, TRUE, TRUE, TRUE], [0, 1, 2]),
        ([WRONG, TRUE, TRUE], [0]),
        ([TRUE, WRONG, WRONG, TRUE, TRUE, TRUE], [0, 1, 2]),
        ([TRUE, WRONG], [0, 1]),
        ([TRUE], [0]),
    ],
)
def test_the_longest_run_of_candle_pages_that_agree_is_trusted(
    prices: list[float], expected: list[int]
) -> None:
    returned = claims(*prices)
    assert in_doubt(returned) == expected


@pytest.mark.parametrize(
    "prices",
    [[*THREE, WRONG, *THREE], [*THREE, WRONG] * 3, [TRUE, TRUE, WRONG, *THREE, *THREE]],
)
def test_a_window_that_is_always_returned_wrong_costs_no_other_its_proof(
    prices: list[float],
) -> None:
    returned = claims(*prices)
    for _ in range(5):
        for number in in_doubt(returned):
            returned[number].add_response(answer(number, prices[number]))
    assert in_doubt(returned) == [number for number, price in enumerate(prices) if price == WRONG]


def test_a_wrong_answer_that_is_repeated_outvotes_nobody() -> None:
    returned = claims(TRUE, TRUE, WRONG, TRUE, TRUE)
    for _ in range(10):
        returned[2].add_response(answer(2, WRONG))
    for number in in_doubt(returned):
        returned[number].add_response(answer(number, TRUE))
    assert in_doubt(returned) == [2]


def test_the_order_in_which_answers_come_does_not_matter() -> None:
    returned = claims(TRUE, WRONG, TRUE, TRUE)
    assert (
        set(map(id, unconfirmed_claims(returned[::-1], enough=2)))
        == set(map(id, unconfirmed_claims(returned, enough=2)))
        != set()
    )


def test_halves_that_contradict_each_other_are_contradictory() -> None:
    assert not is_contradictory([answer(0), answer(1), answer(2)])
    assert is_contradictory([answer(0), answer(1), answer(2, WRONG)])
    assert not is_contradictory([answer(0), answer(2, WRONG)])


def test_an_answer_that_stands_alone_is_trusted_when_another_agrees() -> None:
    [claim] = claims(TRUE)
    claim.add_response(answer(0))
    assert unconfirmed_claims([claim], enough=2) == []


def test_of_answers_that_differ_those_are_trusted_of_which_there_are_two_more() -> None:
    [claim] = claims(WRONG)
    for _ in range(2):
        claim.add_response(answer(0))
        assert unconfirmed_claims([claim], enough=2) == [claim]
    claim.add_response(answer(0))
    assert unconfirmed_claims([claim], enough=2) == []
    assert claim.page.candles.values[0, 0] == TRUE


def test_an_answer_with_more_candles_is_another_unless_these_were_open_before() -> None:
    claim = Claim(answer(0, absent=(58, 59)))
    claim.add_response(answer(0))
    assert unconfirmed_claims([claim], enough=2) == [claim]
    at_58 = START + timedelta(minutes=58)
    early = read_page(request(0), answer(0, absent=(58, 59)).returned, at_58)
    claim = Claim(early)
    claim.add_response(answer(0))
    assert unconfirmed_claims([claim], enough=2) == []
    assert len(claim.page.candles) == 60


def test_an_answer_that_lost_candles_is_no_other_answer_that_agrees() -> None:
    [claim] = claims(TRUE)
    claim.add_response(answer(0, absent=(7, 8)))
    assert unconfirmed_claims([claim], enough=2) == [claim]


def test_what_is_held_beside_an_answer_supports_it() -> None:
    held = Candles(np.array([moment64(START - timedelta(minutes=1))]), np.full((1, 6), TRUE))

    def is_as_held(page: Page) -> bool | None:
        return agreement(page.returned, held)

    claim = Claim(answer(0), witness=is_as_held)
    assert unconfirmed_claims([claim], enough=2) == []
    denied = Claim(answer(0, WRONG), witness=is_as_held)
    denied.add_response(answer(0, WRONG))
    assert unconfirmed_claims([denied], enough=2) == [denied]
    denied.add_response(answer(0, WRONG))
    assert unconfirmed_claims([denied], enough=2) == []


def test_neighbours_that_share_no_candle_are_each_alone() -> None:
    returned = [Claim(answer(0, absent=(59,))), Claim(answer(1))]
    assert unconfirmed_claims(returned, enough=2) == returned
    apart = [Claim(answer(0)), Claim(answer(2))]
    assert unconfirmed_claims(apart, enough=2) == apart


def test_an_empty_answer_is_left_to_whoever_confirms_gaps() -> None:
    nothing = answer(0, absent=tuple(range(-1, 60)))
    assert unconfirmed_claims([Claim(nothing)], enough=2) == []
