"""Trades are fetched by their numbers, and a day is complete if no number is missing."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.errors import DeribitRejected, DeribitUnavailable, UnknownInstrument
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.known_listings import LISTINGS
from deribit_pipeline.sandbox.market import DAY
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.fetched_trades import (
    NAME,
    TODAY,
    TradesFetched,
    held_of,
    ms,
    states,
)


@pytest.fixture
def source(
    opened: Callable[..., Exchange], warehouse: Warehouse, sandbox: SandboxExchange
) -> TradesFetched:
    return TradesFetched(opened(patience=2.0), warehouse, sandbox)


@pytest.fixture
def sparse(sandbox: SandboxExchange) -> Callable[[float, float], str]:
    """Lists an instrument, by how often a minute has trades."""

    def lists(activity: float, trades_per_minute: float = 2.0) -> str:
        listing = replace(LISTINGS[0], instrument_name="BTC-28JUN24", activity=activity,
                          created_ms=ms(date(2024, 3, 1)) + 3_600_000,
                          expires_ms=ms(date(2024, 4, 5)) + 8 * 3_600_000)  # fmt: skip
        sandbox._listings[listing.instrument_name] = listing
        return listing.instrument_name

    return lists


def test_a_week_is_complete_and_each_trade_is_there_once(source: TradesFetched) -> None:
    first, last = date(2024, 3, 1), date(2024, 3, 7)
    proved = source.proved(first, last)
    for day, proof in zip(days_between(first, last), proved, strict=True):
        assert proof.rows["trade_seq"].tolist() == list(source.numbers(day))
        assert (proof.rows["traded_at"].astype("datetime64[D]") == np.datetime64(day)).all()
    assert states(proved) == ["complete"] * 7


def test_every_value_is_the_exchanges(source: TradesFetched) -> None:
    day = date(2024, 3, 1)
    [proved] = source.proved(day, day)
    numbers = source.numbers(day)
    returned = source.returned("history", start_seq=numbers[0], end_seq=numbers[-1], sorting="asc")
    trades = {trade["trade_seq"]: trade for trade in returned}
    for name in ("trade_id", "direction", "tick_direction", "price", "mark_price", "amount"):
        assert proved.rows[name].tolist() == [trades[number][name] for number in numbers]
    assert proved.rows["traded_at"].astype(int).tolist() == [
        trades[number]["timestamp"] for number in numbers
    ]
    liquidations = [trades[number].get("liquidation") for number in numbers]
    assert proved.rows["liquidation"].tolist() == liquidations
    assert len(set(liquidations)) > 2
    assert np.isnan(proved.rows["iv"]).all()


def test_many_trades_share_a_millisecond(source: TradesFetched) -> None:
    [proved] = source.proved(date(2024, 3, 1), date(2024, 3, 1))
    assert (np.diff(proved.rows["traded_at"]) == np.timedelta64(0)).mean() > 0.2
    assert (np.diff(proved.rows["traded_at"]) < np.timedelta64(0)).any()  # and some are late


def test_trades_of_one_millisecond_stay_together_at_midnight(source: TradesFetched) -> None:
    first, second = date(2024, 3, 1), date(2024, 3, 2)
    begin = source.numbers(second).start
    last_ms = ms(second) - 1
    for number, moment in zip(
        range(begin - 4, begin + 4), [last_ms] * 4 + [last_ms + 1] * 4, strict=True
    ):
        source.sandbox.trades.move(NAME, number, moment)
    proved = source.proved(first, second)
    assert [held_of(day)[0] for day in proved] == [source.numbers(first).start, begin]
    assert held_of(proved[0])[-1] == begin - 1


@pytest.mark.parametrize("away", [3, 90, 250, 2_500])
def test_a_trade_whose_time_is_out_of_order_is_on_the_day_of_its_time(
    source: TradesFetched, away: int
) -> None:
    day = date(2024, 3, 2)
    numbers = source.numbers(day)
    early, late = numbers.start - away, numbers.stop + away
    source.sandbox.trades.move(NAME, early, ms(day) + 5)
    source.sandbox.trades.move(NAME, late, ms(day) + DAY - 5)
    [proved] = source.proved(day, day)
    if (
        away < 200
    ):  # farther from midnight, such trades are not searched for: nothing indicates them
        assert held_of(proved) == [early, *numbers, late]
    assert set(held_of(proved)) >= set(numbers)
    assert proved.proof.state == "complete"


def test_trades_far_out_of_order_beside_the_day_are_looked_for_further(
    source: TradesFetched,
) -> None:
    day = date(2024, 3, 2)
    numbers = source.numbers(day)
    begin, end = numbers.start, numbers.stop
    for number in range(
        begin - 400, begin - 150
    ):  # a burst published before, and traded on the day
        source.sandbox.trades.move(NAME, number, ms(day) + 1)
    for number in range(end + 150, end + 400):
        source.sandbox.trades.move(NAME, number, ms(day) + DAY - 1)
    [proved] = source.proved(day, day)
    assert held_of(proved) == [
        *range(begin - 400, begin - 150), *numbers, *range(end + 150, end + 400)
    ]  # fmt: skip


def test_the_running_day_is_open_and_has_what_was_returned_so_far(
    source: TradesFetched, clock: Clock
) -> None:
    [proved] = source.proved(TODAY, TODAY)
    now = np.datetime64(clock.now.replace(tzinfo=None), "ms")
    assert str(proved.proof.state) == "open"
    assert proved.rows["traded_at"].max() > now - np.timedelta64(120, "s")
    assert proved.proof.missing == 0
    clock.forward(timedelta(hours=12))
    [later] = source.proved(TODAY, TODAY)
    assert held_of(later) == list(source.numbers(TODAY))
    assert held_of(later)[: len(held_of(proved))] == held_of(proved)


def test_the_same_days_in_several_goes_are_the_same(source: TradesFetched) -> None:
    first, last = date(2024, 3, 1), date(2024, 3, 4)
    whole = source.proved(first, last)
    parts = [source.proved(day, day)[0] for day in days_between(first, last)]
    assert [day.proof.content_hash for day in whole] == [day.proof.content_hash for day in parts]


def test_a_fetch_that_is_ended_in_the_middle_leaves_nothing_under_way(
    source: TradesFetched,
) -> None:
    days = list(days_between(date(2024, 3, 1), date(2024, 3, 20)))

    async def first_day() -> tuple[date, int]:
        fetching = source.fetching(days)
        piece = await anext(fetching)
        await fetching.aclose()
        assert isinstance(piece, FetchedDay)
        return piece.day, len(asyncio.all_tasks()) - 1

    assert source.exchange.run(first_day()) == (days[0], 0)
    assert states(source.proved(days[0], days[-1])) == ["complete"] * 20


def test_an_exchange_that_goes_away_ends_the_fetch(source: TradesFetched, faults: Faults) -> None:
    faults.corrupt_where("502", lambda method, reply: method.endswith("by_instrument"))
    with pytest.raises(DeribitUnavailable):
        source.proved(date(2024, 3, 1), date(2024, 3, 20))


def test_days_before_the_listing_and_after_the_expiry_are_not_listed(source: TradesFetched) -> None:
    listed, expired, name = date(2023, 12, 21), date(2024, 1, 5), "BTC-5JAN24"
    proved = source.proved(listed - timedelta(days=1), listed, name)
    assert states(proved) == ["not_listed", "complete"]
    assert held_of(proved[1])[0] == 1
    proved = source.proved(expired, expired + timedelta(days=1), name)
    assert states(proved) == ["complete", "not_listed"]
    assert held_of(proved[0]) == list(source.numbers(expired, name))


def test_a_perpetual_begins_with_number_one(source: TradesFetched) -> None:
    listed = date(2018, 8, 14)
    [proved] = source.proved(listed, listed)
    assert held_of(proved) == list(source.numbers(listed))
    assert proved.rows["traded_at"].min() >= np.datetime64("2018-08-14T10:24:47", "ms")


def test_a_name_that_nobody_lists_is_an_error(source: TradesFetched) -> None:
    with pytest.raises(UnknownInstrument):
        source.proved(TODAY, TODAY, "BTC-PERPETUUM")


def test_trades_of_routed_spot_pairs_are_refused(source: TradesFetched) -> None:
    with pytest.raises(DeribitRejected, match="11060"):
        source.proved(TODAY, TODAY, "BTC_USDC")


def test_days_without_trades_are_complete_where_their_neighbours_follow_each_other(
    source: TradesFetched, sparse: Callable[[float], str]
) -> None:
    name = sparse(0.0004)
    first, last = date(2024, 3, 2), date(2024, 4, 4)
    proved = source.proved(first, last, name)
    assert states(proved) == ["complete"] * 34
    held = [len(held_of(day)) for day in proved]
    assert held == [len(source.numbers(day, name)) for day in days_between(first, last)]
    assert held.count(0) > 10
    for day in days_between(first, last):
        assert states(source.proved(day, day, name)) == ["complete"]


def test_an_instrument_that_nobody_traded_is_complete_without_a_row(
    source: TradesFetched, sparse: Callable[[float], str]
) -> None:
    proved = source.proved(date(2024, 3, 20), date(2024, 4, 5), sparse(0.0))
    assert states(proved) == ["complete"] * 17
    assert sum(len(held_of(day)) for day in proved) == 0


def test_the_last_days_of_a_quiet_instrument_are_complete_while_today_is_open(
    source: TradesFetched, sparse: Callable[[float], str], clock: Clock
) -> None:
    clock.now -= timedelta(days=7)
    name, today = sparse(0.0), clock.now.date()
    proved = source.proved(today - timedelta(days=3), today, name)
    assert states(proved) == ["complete", "complete", "complete", "open"]


def test_a_span_takes_as_few_requests_as_there_are_chunks(source: TradesFetched) -> None:
    source.proved(date(2024, 3, 1), date(2024, 3, 7))
    requested = source.sandbox.requests
    chunks = -(-sum(len(source.numbers(date(2024, 3, day))) for day in range(1, 8)) // 9_900)
    assert requested["public/get_last_trades_by_instrument"] <= chunks + 2
    assert requested["public/get_last_trades_by_instrument_and_time"] == 2


def test_the_end_is_not_trusted_of_an_archive_that_has_not_got_there(
    source: TradesFetched, sparse: Callable[[float], str]
) -> None:
    # No later trade shows whether one is missing: the trades of others show how far the archive is.
    name = sparse(0.0)
    source.sandbox.trades.lag = 20 * DAY
    proved = source.proved(date(2024, 3, 2), date(2024, 4, 5), name)
    assert set(states(proved)) == {"open"}
    source.sandbox.trades.lag = 10 * 60_000
    assert set(states(source.proved(date(2024, 3, 2), date(2024, 4, 5), name))) == {"complete"}
