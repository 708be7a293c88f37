"""The account's history is fetched completely, and trusted if two responses agree."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from deribit_pipeline.datasets.account import USER_TRADES
from deribit_pipeline.datasets.account import wire as methods
from deribit_pipeline.datasets.account.proof import Bounds
from deribit_pipeline.datasets.account.source import (
    SETTLEMENT_HISTORY_SOURCE,
    TRANSACTION_LOG_SOURCE,
    USER_TRADES_SOURCE,
    AccountSource,
    fetch_trades,
)
from deribit_pipeline.domain.proofs import DayState, FetchedDay
from deribit_pipeline.domain.rows import count_of
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.engine.source import FailedDays
from deribit_pipeline.sandbox.exchange import TOKEN_LIFE, SandboxExchange
from deribit_pipeline.sandbox.market import DAY, MINUTE
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.account_owner import (
    BUSY,
    Owner,
    Spoil,
    corrupt,
    every_row,
    first_row,
    later,
    owner_of,
    requested,
    returned_in,
    without,
)
from deribit_pipeline_tests.helpers.pipeline import ms

FIRST, LAST, TODAY = date(2024, 1, 1), date(2024, 4, 9), date(2024, 4, 10)
DAY_IN_MARCH = date(2024, 3, 27)

SOURCES: list[AccountSource] = [
    TRANSACTION_LOG_SOURCE, USER_TRADES_SOURCE, SETTLEMENT_HISTORY_SOURCE,
]  # fmt: skip
OF_EACH = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.dataset.name)


@pytest.fixture
def owner(settings: Settings, sandbox: SandboxExchange) -> Iterator[Owner]:
    with owner_of(settings, sandbox) as owner:
        yield owner


@OF_EACH
def test_every_row_of_every_day_comes(owner: Owner, source: AccountSource) -> None:
    for currency in ("BTC", "ETH", "USDC", "USDT"):
        days = owner.days(source, FIRST, LAST, currency)
        assert [day.day for day in days] == list(days_between(FIRST, LAST))
        lived = owner.lived(source, FIRST, LAST, currency)
        assert sorted(returned_in(days)) == sorted(lived)
        assert bool(lived) == (currency != "USDT")
        for day in days:
            proof = prove(source.dataset, day).proof
            assert proof.state is DayState.COMPLETE
            assert proof.expected == proof.received == count_of(day.rows)


@OF_EACH
def test_rows_have_the_columns_of_their_table(owner: Owner, source: AccountSource) -> None:
    (day,) = owner.days(source, BUSY)
    kinds = {"varchar": "O", "json": "O", "bigint": "i", "double": "f", "timestamptz": "M"}
    columns = source.dataset.table.columns_but("currency")
    assert list(day.rows) == [column.name for column in columns]
    assert [values.dtype.kind for values in day.rows.values()] == [
        kinds[column.type] for column in columns
    ]


def test_a_log_longer_than_a_page_is_followed_to_its_end(owner: Owner) -> None:
    calls = requested(owner.sandbox, methods.LOG)
    returned = returned_in(owner.days(TRANSACTION_LOG_SOURCE, BUSY))
    assert returned == owner.lived(TRANSACTION_LOG_SOURCE, BUSY)
    assert len(returned) > methods.MOST_ENTRIES
    assert {call["count"] for call in calls} == {"250"}
    assert ["continuation" in call for call in calls] == [False, True, False, True]


@OF_EACH
def test_an_empty_day_is_confirmed_with_the_days_around_it(
    owner: Owner, source: AccountSource
) -> None:
    calls = requested(owner.sandbox, source.method)
    (day,) = owner.days(source, DAY_IN_MARCH, currency="EURR")
    assert (count_of(day.rows), day.is_over, day.is_confirmed) == (0, True, True)
    ends = [int(call.get("end_timestamp") or call["search_start_timestamp"]) for call in calls]
    assert ends == [ms(DAY_IN_MARCH, 1_440), ms(DAY_IN_MARCH, 2_880)]
    starts = [int(call["start_timestamp"]) for call in calls if "start_timestamp" in call]
    assert starts in ([], [ms(DAY_IN_MARCH, 0) - 1, ms(DAY_IN_MARCH, -1_440) - 1])


@pytest.mark.parametrize(
    ("source", "name"),
    list(zip(SOURCES, ("logs", "trades", "settlements"), strict=True)),
    ids=[source.dataset.name for source in SOURCES],
)
def test_a_row_that_one_answer_misses_is_not_lost(
    owner: Owner, source: AccountSource, name: str
) -> None:
    days = date(2024, 3, 1), date(2024, 3, 5)
    for which in (0, 1, -1):
        for changes in ([without(name, which)], [None, without(name, which)]):
            corrupt(owner.sandbox, source.method, changes)
            assert sorted(returned_in(owner.days(source, *days))) == sorted(
                owner.lived(source, *days)
            )


def test_trades_of_the_account_that_never_agree_prove_nothing(owner: Owner) -> None:
    corrupt(owner.sandbox, methods.TRADES, [every_row("trades", fee=n) for n in range(20)])
    failed = owner.failure(USER_TRADES_SOURCE, BUSY)
    assert failed.days == [BUSY]
    assert str(failed.error) == (
        "private/get_user_trades_by_currency_and_time(currency=BTC, days=2024-03-10 to "
        "2024-03-10): responses contradict each other about which rows there are"
    )


def test_one_malformed_day_does_not_fail_its_month(owner: Owner) -> None:
    returned = owner.sandbox._methods[methods.SETTLEMENTS]
    odd = ms(date(2024, 3, 3), 480) + 412

    def repeated(params: Any) -> Any:
        result = returned(params)
        rows = [row for row in result["settlements"] if row["timestamp"] == odd]
        rows = [row | {"position": 0} for row in rows] + result["settlements"]
        return result | {"settlements": sorted(rows, key=lambda row: -row["timestamp"])}

    owner.sandbox._methods[methods.SETTLEMENTS] = repeated
    pieces = owner.pieces(SETTLEMENT_HISTORY_SOURCE, date(2024, 2, 28), date(2024, 3, 5))
    (failed,) = [piece for piece in pieces if isinstance(piece, FailedDays)]
    assert failed.days == [date(2024, 3, 3)]
    assert "the row of 2024-03-03T08:00:00.412Z is malformed: it was returned twice" in str(
        failed.error
    )
    days = [piece.day for piece in pieces if isinstance(piece, FetchedDay)]
    assert len(days) == len(list(days_between(date(2024, 2, 28), date(2024, 3, 5)))) - 1


@pytest.mark.parametrize(
    ("source", "change", "sentence"),
    [
        (
            TRANSACTION_LOG_SOURCE,
            first_row("logs", timestamp=1),
            "a row is outside the requested window",
        ),
        (
            TRANSACTION_LOG_SOURCE,
            lambda result: result | {"continuation": 99_999_999},
            "a continuation led to nothing new",
        ),
        (
            USER_TRADES_SOURCE,
            first_row("trades", timestamp=1),
            "a row is outside the requested window",
        ),
        (
            SETTLEMENT_HISTORY_SOURCE,
            first_row("settlements", timestamp=2**41),
            "a row is outside the requested window",
        ),
    ],
)
def test_an_answer_that_stays_malformed_fails_the_day(
    owner: Owner, source: AccountSource, change: Spoil, sentence: str
) -> None:
    corrupt(owner.sandbox, source.method, [change] * 50)
    assert sentence in str(owner.failure(source, BUSY).error)


@pytest.mark.parametrize("repeated", [0, 1])
def test_the_balances_of_the_days_around_are_looked_at_whichever_answer_is_the_last(
    owner: Owner, repeated: int
) -> None:
    days = owner.days(TRANSACTION_LOG_SOURCE, date(2024, 3, 3), date(2024, 3, 5))
    assert all(count_of(day.rows) for day in days)
    # The day's first entry has a wrong balance, which only the day before reveals.
    first = json.loads(days[1].rows["told"][0])["id"]

    def another(result: Any) -> Any:
        logs = [row | {"change": row["change"] + (row["id"] == first)} for row in result["logs"]]
        return result | {"logs": logs}

    contradicted = [every_row("logs", price=7.0)] * repeated
    returned = owner.sandbox._methods[methods.LOG]
    owner.sandbox._methods[methods.LOG] = lambda params: another(returned(params))
    corrupt(owner.sandbox, methods.LOG, contradicted)
    (day,) = owner.days(TRANSACTION_LOG_SOURCE, days[1].day)
    assert day.verdict.startswith("balances that do not follow from the one before: 1, from id")


def test_malformed_entries_are_requested_again(owner: Owner) -> None:
    corrupt(owner.sandbox, methods.LOG, [first_row("logs", currency="ETH")] * 3)
    days = owner.days(TRANSACTION_LOG_SOURCE, BUSY)
    assert returned_in(days) == owner.lived(TRANSACTION_LOG_SOURCE, BUSY)


def test_of_more_trades_than_an_answer_holds_none_is_lost(owner: Owner) -> None:
    for minute in (1, 2, 700, 1_439):
        owner.sandbox.account.crowd("BTC", ms(DAY_IN_MARCH, minute), 900)
    returned = returned_in(owner.days(USER_TRADES_SOURCE, DAY_IN_MARCH))
    assert len(returned) >= 3_600
    assert sorted(returned) == sorted(owner.lived(USER_TRADES_SOURCE, DAY_IN_MARCH))


def test_more_trades_in_a_millisecond_than_an_answer_holds_are_an_error(owner: Owner) -> None:
    at = ms(DAY_IN_MARCH, 60)
    owner.sandbox.account.crowd("BTC", at, 1_000)
    with pytest.raises(
        ValueError, match="a few milliseconds have more trades than fit in a response"
    ):
        owner.exchange.run(fetch_trades(owner.exchange.client, "BTC", Bounds(at - 1, at + 1)))


def test_entries_of_one_millisecond_are_not_lost_between_pages(owner: Owner) -> None:
    owner.sandbox.account.crowd("BTC", ms(DAY_IN_MARCH, 60), 700)
    returned = returned_in(owner.days(TRANSACTION_LOG_SOURCE, DAY_IN_MARCH))
    assert returned == owner.lived(TRANSACTION_LOG_SOURCE, DAY_IN_MARCH)


def test_recent_trades_are_returned_though_history_misses_them(owner: Owner) -> None:
    for minutes in (1, 5, 30, 700):
        owner.sandbox.account.crowd("BTC", owner.sandbox.now_ms() - minutes * MINUTE, 2)
    yesterday, today = owner.days(USER_TRADES_SOURCE, LAST, TODAY)
    lived = owner.lived(USER_TRADES_SOURCE, LAST, TODAY)
    assert sorted(returned_in([yesterday, today])) == sorted(lived)
    assert (yesterday.is_over, today.is_over) == (True, False)
    assert prove(USER_TRADES, today).proof.state is DayState.OPEN


def test_a_day_is_open_until_history_has_its_trades(owner: Owner, clock: Clock) -> None:
    owner.sandbox.account.indexed_after = DAY
    owner.sandbox.account.crowd("BTC", ms(LAST, 1_300), 2)
    (early,) = owner.days(USER_TRADES_SOURCE, LAST)
    clock.forward(timedelta(hours=12))
    (late,) = owner.days(USER_TRADES_SOURCE, LAST)
    assert (early.is_over, late.is_over) == (False, True)
    assert returned_in([early]) == returned_in([late])
    assert len(returned_in([late])) >= 2


def test_recent_trades_that_are_returned_too_late_are_requested_again(
    owner: Owner, clock: Clock
) -> None:
    owner.sandbox.account.indexed_after = DAY
    owner.sandbox.account.crowd("BTC", ms(LAST, 1_300), 2)
    corrupt(owner.sandbox, "public/get_time", [later(clock, timedelta(minutes=11))])
    returned = returned_in(owner.days(USER_TRADES_SOURCE, LAST))
    assert sorted(returned) == sorted(owner.lived(USER_TRADES_SOURCE, LAST))
    # One more than the three: 11 minutes in no time are confirmed by another response.
    assert owner.sandbox.requests["public/get_time"] == 4


def test_a_trade_that_is_neither_recent_nor_history_leaves_its_day_open(
    owner: Owner, clock: Clock
) -> None:
    owner.sandbox.account.indexed_after = DAY
    owner.sandbox.account.crowd("USDC", owner.sandbox.now_ms() - DAY + 5 * MINUTE, 2)
    (early,) = owner.days(USER_TRADES_SOURCE, LAST, currency="USDC")
    clock.forward(timedelta(minutes=20))
    (late,) = owner.days(USER_TRADES_SOURCE, LAST, currency="USDC")
    assert [(count_of(day.rows), day.is_over) for day in (early, late)] == [(0, False), (2, True)]


def test_a_running_day_grows(owner: Owner, clock: Clock) -> None:
    fetched = []
    for moment in (
        datetime(2024, 4, 10, 0, 0, 5, tzinfo=UTC),
        datetime(2024, 4, 11, 0, 0, 30, tzinfo=UTC),  # an entry of its last second may still appear
        datetime(2024, 4, 11, 0, 1, 0, tzinfo=UTC),
    ):
        clock.now = moment
        fetched += owner.days(TRANSACTION_LOG_SOURCE, TODAY)
    assert [day.is_over for day in fetched] == [False, False, True]
    assert count_of(fetched[0].rows) < count_of(fetched[1].rows)


def test_a_row_that_comes_between_two_answers_is_no_contradiction(
    owner: Owner, clock: Clock
) -> None:
    owner.sandbox.account.crowd("BTC", owner.sandbox.now_ms() + 1, 3)
    corrupt(owner.sandbox, methods.LOG, [later(clock, timedelta(seconds=1))])
    (day,) = owner.days(TRANSACTION_LOG_SOURCE, TODAY)
    assert not day.is_over
    assert returned_in([day]) == owner.lived(TRANSACTION_LOG_SOURCE, TODAY)


def test_settlements_are_followed_back_to_the_days_requested(owner: Owner) -> None:
    returned = owner.sandbox._methods[methods.SETTLEMENTS]
    owner.sandbox._methods[methods.SETTLEMENTS] = lambda params: returned({**params, "count": "2"})
    calls = requested(owner.sandbox, methods.SETTLEMENTS)
    days = date(2024, 3, 1), date(2024, 3, 9)
    found = returned_in(owner.days(SETTLEMENT_HISTORY_SOURCE, *days))
    assert found == owner.lived(SETTLEMENT_HISTORY_SOURCE, *days)
    assert len(found) > 4
    assert len(calls) < 14  # not back to the account's first day


def test_a_token_that_runs_out_between_pages_is_renewed(owner: Owner, clock: Clock) -> None:
    corrupt(owner.sandbox, methods.LOG, [later(clock, timedelta(seconds=TOKEN_LIFE + 1))])
    returned = returned_in(owner.days(TRANSACTION_LOG_SOURCE, BUSY))
    assert returned == owner.lived(TRANSACTION_LOG_SOURCE, BUSY)
    assert owner.sandbox.requests["public/auth"] == 2


@OF_EACH
def test_as_many_requests_are_sent_as_were_estimated(owner: Owner, source: AccountSource) -> None:
    days = list(days_between(date(2024, 1, 1), date(2024, 2, 10)))
    before = owner.exchange.client.rpc.requests.total()
    owner.days(source, days[0], days[-1], "USDT")
    sent = owner.exchange.client.rpc.requests.total() - before
    assert abs(sent - source.requests("USDT", days)) <= 5
