"""Trades that hosts omit or change are detected."""

from asyncio import CancelledError
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import date, timedelta

import pytest

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.proofs import DayState, FetchedDay, Proof
from deribit_pipeline.domain.rows import gaps_of
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill, make_complete
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.source import FailedDays
from deribit_pipeline.errors import UnknownInstrument, WarehouseError
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.market import DAY
from deribit_pipeline.warehouse.warehouse import Warehouse
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


@pytest.mark.parametrize(("host", "is_lost"), [("history", True), ("www", False)])
def test_what_the_archive_lost_for_good_is_a_gap_with_a_name(
    source: TradesFetched, host: str, is_lost: bool
) -> None:
    day = date(2024, 3, 1)  # too old for www
    first = source.numbers(day).start + 1_000
    source.sandbox.trades.omit(NAME, first, first + 9, host)
    source.sandbox.trades.omit(NAME, first + 20, first + 20, host)
    [proved] = source.proved(day, day)
    assert str(proved.proof.state) == ("gapped" if is_lost else "complete")
    assert [(gap.gap, gap.missing) for gap in gaps_of(proved.expected, proved.gaps)] == (
        [(f"{first} to {first + 9}", 10), (f"{first + 20}", 1)] if is_lost else []
    )
    assert proved.proof.expected == len(source.numbers(day))


@pytest.mark.parametrize("host", ["history", "www"])
def test_what_one_host_misses_of_yesterday_the_other_has(source: TradesFetched, host: str) -> None:
    first = source.numbers(TODAY).start + 100
    source.sandbox.trades.omit(NAME, first, first + 50, host)
    [proved] = source.proved(TODAY, TODAY)
    assert proved.proof.missing == 0
    assert held_of(proved)[0] == source.numbers(TODAY).start


def test_what_both_hosts_miss_is_a_gap(source: TradesFetched) -> None:
    yesterday = TODAY - timedelta(days=1)
    first = source.numbers(yesterday).stop - 100
    source.sandbox.trades.omit(NAME, first, first + 9)
    [proved] = source.proved(yesterday, yesterday)
    assert (str(proved.proof.state), proved.proof.missing) == ("gapped", 10)


def test_what_is_missing_only_once_is_no_gap(source: TradesFetched) -> None:
    day = date(2024, 3, 1)
    first = source.numbers(day).start + 1_000
    source.sandbox.trades.omit(NAME, first, first + 500, "history", times=2)
    assert states(source.proved(day, day)) == ["complete"]


def test_a_gap_across_midnight_is_one_of_both_days(source: TradesFetched) -> None:
    # A trade of which only the number is known may belong to either of the two days.
    first, second = date(2024, 3, 1), date(2024, 3, 2)
    begin = source.numbers(second).start
    source.sandbox.trades.omit(NAME, begin - 300, begin + 299)
    proved = source.proved(first, second)
    assert states(proved) == ["gapped", "gapped"]
    assert [gap.gap for day in proved for gap in gaps_of(day.expected, day.gaps)] == [
        f"{begin - 300} to {begin + 299}"
    ] * 2
    assert states(source.proved(second, second)) == ["gapped"]


def test_an_archive_that_lags_is_completed_by_www(source: TradesFetched) -> None:
    source.sandbox.trades.lag = 6 * 60 * 60_000
    yesterday = TODAY - timedelta(days=1)
    proved = source.proved(yesterday, TODAY)
    assert states(proved) == ["complete", "open"]
    assert held_of(proved[0]) == list(source.numbers(yesterday))


def test_an_archive_that_lags_too_far_leaves_a_gap_and_no_silence(source: TradesFetched) -> None:
    source.sandbox.trades.lag = 2 * DAY
    yesterday = TODAY - timedelta(days=1)
    before = yesterday - timedelta(days=1)
    proved = source.proved(before, yesterday)
    assert states(proved) == ["gapped", "gapped"]


def test_without_an_archive_only_the_newest_days_are_had(source: TradesFetched) -> None:
    source.exchange.history = None
    [proved] = source.proved(TODAY, TODAY)
    assert str(proved.proof.state) == "open"
    assert held_of(proved)[0] == source.numbers(TODAY).start
    day = TODAY - timedelta(days=9)
    [failed] = source.fetched(day, day).values()
    assert isinstance(failed, FailedDays)
    assert "no trade before the number" in failed.error.reason


@pytest.mark.parametrize(
    "fault", ["rows_repeated", "rows_unordered", "rows_lack_first", "rows_lack_last",
              "rows_lack_some", "rows_empty", "rows_of_another", "502", "truncated"]
)  # fmt: skip
def test_corrupted_answers_change_nothing(
    source: TradesFetched, faults: Faults, fault: str
) -> None:
    first, last = date(2024, 3, 1), date(2024, 3, 3)
    faults.corrupt_shares({fault: 0.3}, seed=1)
    proved = source.proved(first, last)
    assert states(proved) == ["complete"] * 3
    assert [held_of(day) for day in proved] == [
        list(source.numbers(day)) for day in days_between(first, last)
    ]


@pytest.mark.parametrize("corrupted", [{0}, {0, 1}, {2}, {5}])
def test_chunks_of_which_no_answer_can_be_trusted_fail_their_days_only(
    source: TradesFetched, faults: Faults, corrupted: set[int]
) -> None:
    first, last = date(2024, 3, 1), date(2024, 3, 20)
    begin = source.numbers(first).start
    middles = {begin + chunk * 9_900 + 4_000 for chunk in corrupted}
    assert max(middles) < source.numbers(last).stop

    def is_about_them(method: str, reply: Reply) -> bool:
        trades = (reply.body.get("result") or {}).get("trades") or []
        return any(trade["trade_seq"] in middles for trade in trades)

    faults.corrupt_where("rows_of_another", is_about_them)
    fetched = source.fetched(first, last)
    of_them = {
        day
        for day in days_between(first, last)
        if any(middle in source.numbers(day) for middle in middles)
    }
    failed = {day for day, piece in fetched.items() if isinstance(piece, FailedDays)}
    assert of_them <= failed
    assert len(failed) <= 6 * len(corrupted)
    for day, piece in fetched.items():
        if isinstance(piece, FetchedDay):
            assert piece.rows["trade_seq"].tolist() == list(source.numbers(day))


def test_a_trade_returned_too_late_for_its_day_fails_that_day_and_those_it_is_among(
    source: TradesFetched,
) -> None:
    first, last = date(2024, 3, 1), date(2024, 3, 20)
    among = source.numbers(date(2024, 3, 12))
    source.sandbox.trades.move(NAME, among.start + 500, ms(date(2024, 3, 2)) + 1)
    fetched = source.fetched_each(first, last)
    for day in (date(2024, 3, 2), date(2024, 3, 12)):
        failed = fetched[day][-1]
        assert isinstance(failed, FailedDays)
        assert failed.error.reason == (
            f"a trade of 2024-03-02 has a number from after it: {among.start + 500}"
        )
    for day, pieces in fetched.items():
        if isinstance(pieces[-1], FetchedDay):
            assert pieces[-1].rows["trade_seq"].tolist() == list(source.numbers(day))


def test_a_day_that_was_written_before_its_late_trade_came_is_taken_back(
    source: TradesFetched, opened: Callable[..., Exchange], warehouse: Warehouse
) -> None:
    days = list(days_between(date(2024, 3, 1), date(2024, 3, 20)))
    among = source.numbers(date(2024, 3, 12))
    source.sandbox.trades.move(NAME, among.start + 500, ms(date(2024, 3, 2)) + 1)
    here = ForegroundBackfill(opened(), warehouse)
    outcome = here.backfill(TRADES, Job("a run", {NAME: days}))
    assert {(NAME, date(2024, 3, 2)), (NAME, date(2024, 3, 12))} <= outcome.failures.keys()
    assert outcome.proofs.keys().isdisjoint(outcome.failures)
    with warehouse.reading() as connection:
        held = {proof.day: proof.state for proof in proofs_of(connection, TRADES, [NAME])}
    assert held[date(2024, 3, 2)] is DayState.OPEN
    assert held[date(2024, 3, 1)] is DayState.COMPLETE


@pytest.mark.parametrize("ending", ["the writer fails", "an interruption"])
def test_a_day_that_was_found_wrong_is_taken_back_however_the_backfill_ends(
    source: TradesFetched, opened: Callable[..., Exchange], warehouse: Warehouse, ending: str
) -> None:
    days, late = list(days_between(date(2024, 3, 1), date(2024, 3, 20))), date(2024, 3, 2)
    among = source.numbers(date(2024, 3, 12))
    source.sandbox.trades.move(NAME, among.start + 500, ms(late) + 1)
    exchange, job = opened(), Job("a run", {NAME: days})
    was_written = set()

    def end(job: Job, proofs: Sequence[Proof]) -> None:
        was_written.update(proof.day for proof in proofs)
        if date(2024, 3, 18) in was_written and ending == "an interruption":
            exchange.cancel()
        elif date(2024, 3, 18) in was_written:
            raise WarehouseError("its disk is full")

    with pytest.raises(CancelledError) if ending == "an interruption" else nullcontext():
        make_complete(exchange, warehouse, TRADES, [job], on_written=end)
    assert late in was_written
    assert days[-1] not in was_written
    with warehouse.reading() as connection:
        proofs = proofs_of(connection, TRADES, [NAME], late, late)
    assert [proof.state for proof in proofs] == [DayState.OPEN]
    assert "has a number from after it" in job.outcome.failures[NAME, late]
    assert (NAME, late) not in job.outcome.proofs


def test_trades_of_what_no_host_knows_any_more_are_an_error_and_not_none(
    source: TradesFetched, warehouse: Warehouse
) -> None:
    with warehouse.writing() as connection:
        connection.execute("""
            insert into instruments by name
            select 'BTC-3NOV23' as instrument_name, 'future' as kind, 'BTC' as base_currency,
                   'USD' as quote_currency, 'BTC' as settlement_currency,
                   timestamptz '2023-10-19 08:00:00+00' as listed_at,
                   timestamptz '2023-11-03 08:00:00+00' as expires_at,
                   10 as contract_size, 0.5 as tick_size, '[]' as tick_size_steps,
                   10 as min_trade_amount, listed_at as valid_from, listed_at as first_seen_at,
                   listed_at as last_seen_at, '' as run_id
        """)
    with pytest.raises(UnknownInstrument, match="BTC-3NOV23"):
        source.fetched(date(2023, 11, 1), date(2023, 11, 1), "BTC-3NOV23")


def test_a_listing_that_is_returned_wrongly_once_leaves_no_day_out(
    source: TradesFetched, faults: Faults
) -> None:
    listed = date(2018, 8, 14)
    faults.corrupt_next(["other_listing"], "public/get_instrument")
    assert states(source.proved(listed, listed)) == ["complete"]
