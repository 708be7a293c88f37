"""Settlements are told whole: over pages, ties, tokens and bounds that nobody has shown."""

import copy
import itertools
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets import SETTLEMENTS
from deribit_pipeline.deribit.settlements import settlements
from deribit_pipeline.domain import DayState, days_between
from deribit_pipeline.errors import DeribitBadPayload, DeribitRejected
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.operations.sources.settlements import SettlementsSource
from deribit_pipeline.operations.sources.source import FailedDays
from deribit_pipeline.planning.rows import FetchedRows, count_of, prove_rows
from deribit_pipeline.planning.settlements import settlement_currency
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.settlements import Cut
from deribit_pipeline.warehouse import price_rules
from deribit_pipeline.warehouse.file import Warehouse
from deribit_pipeline.warehouse.rules import breaches
from deribit_pipeline_tests.conftest import Clock, recorded
from deribit_pipeline_tests.test_sandbox import shape

BY_CURRENCY = "public/get_last_settlements_by_currency"
EPOCH = date(1970, 1, 1)
SPRING = list(days_between(date(2024, 3, 26), date(2024, 4, 2)))

Fetch = Callable[..., list[FetchedRows | FailedDays]]


@pytest.fixture
def fetch(opened: Callable[..., Exchange], warehouse: Warehouse) -> Fetch:
    """Fetches days of a currency's settlements in pages of `count`."""

    def fetch(
        days: Sequence[date], currency: str = "BTC", count: int = 1_000
    ) -> list[FetchedRows | FailedDays]:
        exchange, source = opened(), SettlementsSource(count)

        async def work() -> list[FetchedRows | FailedDays]:
            return [told async for told in source.fetch(exchange, warehouse, currency, days)]

        return exchange.run(work())

    return fetch


def told(sandbox: SandboxExchange, currency: str, day: date) -> list[tuple[str, str, float]]:
    """Instrument, type and position of every settlement that the exchange has of a day."""
    listings = [
        listing
        for listing in sandbox.listings()
        if listing.kind in ("future", "option") and listing.settlement_currency == currency
    ]
    rows = sandbox.settlements.rows_of(listings, (day - EPOCH).days)
    return sorted((row["instrument_name"], row["type"], float(row["position"])) for row in rows)


def held(fetched: FetchedRows | FailedDays) -> list[tuple[str, str, float]]:
    assert isinstance(fetched, FetchedRows), fetched
    names = ("instrument_name", "type", "position")
    return list(zip(*(fetched.rows[name].tolist() for name in names), strict=True))


def ends_early(page: dict[str, Any]) -> dict[str, Any]:
    """Half of a page, and nothing that leads on."""
    return {"settlements": page["settlements"][: len(page["settlements"]) // 2]}


def failures(fetched: Sequence[FetchedRows | FailedDays], days: Sequence[date]) -> str:
    """Why these days have failed, each once, and no other was brought."""
    failed = [one for one in fetched if isinstance(one, FailedDays)]
    assert len(failed) == len(fetched), fetched
    assert sorted(day for one in failed for day in one.days) == list(days)
    assert all(isinstance(one.error, DeribitBadPayload) for one in failed)
    return str(failed[0].error)


def by_day(fetched: Sequence[FetchedRows | FailedDays]) -> dict[date, FetchedRows]:
    days = {one.day: one for one in fetched if isinstance(one, FetchedRows)}
    assert len(days) == len(fetched), fetched
    return days


# Answers


def test_the_recorded_settlements_are_read_to_the_last_digit() -> None:
    for name in ("settlements_currency", "settlements_instrument"):
        answer = recorded(name)
        page = settlements(answer)
        assert page.continuation == answer["continuation"]
        assert page.rows["settled_at"].astype(int).tolist() == [
            row["timestamp"] for row in answer["settlements"]
        ]
        for column in ("instrument_name", "type", "position", "mark_price", "profit_loss"):
            assert page.rows[column].tolist() == [row[column] for row in answer["settlements"]]
        assert np.isnan(page.rows["funding"]).all()


@pytest.mark.parametrize("ending", [{}, {"continuation": None}, {"continuation": "none"}])
def test_the_end_is_told_in_three_ways(ending: dict[str, str | None]) -> None:
    assert settlements({"settlements": [], **ending}).continuation is None


BANKRUPTCY = {"type": "bankruptcy", "timestamp": 1, "funded": 2.5, "session_profit_loss": None}


def test_a_bankruptcy_is_named_by_its_own_values() -> None:
    others = [BANKRUPTCY | {"funded": 2}, BANKRUPTCY | {"socialized": 0.1}]
    rows = settlements({"settlements": [BANKRUPTCY, *others]}).rows
    names = rows["instrument_name"].tolist()
    assert all(re.fullmatch("#[0-9a-f]{8}", name) for name in names)
    assert len(set(names)) == 3
    assert rows["funded"].tolist() == [2.5, 2.0, 2.5]
    assert np.isnan(rows["session_profit_loss"]).all()
    # Whatever else is told, and however a number is written.
    again = [{"instrument_name": "", "unheard_of": 1, **BANKRUPTCY}, others[0] | {"funded": 2.0}]
    assert settlements({"settlements": again}).rows["instrument_name"].tolist() == names[:2]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"timestamp": None}, "`timestamp` must be a number"),
        ({"instrument_name": None}, "`instrument_name` must be a text"),
        ({"type": 7}, "`type` must be a text"),
        ({"position": "1"}, "`position` must be an array of numbers"),
    ],
)
def test_an_odd_settlement_is_an_error(change: dict[str, object], sentence: str) -> None:
    answer = copy.deepcopy(recorded("settlements_currency"))
    answer["settlements"][2] |= change
    with pytest.raises(ValueError, match=sentence):
        settlements(answer)


@pytest.mark.parametrize(
    ("name", "currency"),
    [
        ("BTC-PERPETUAL", "BTC"),
        ("ETH-29MAR24-2000-C", "ETH"),
        ("XRP_USDC-30JUN23-0d625-C", "USDC"),
        ("BTC_USDC-PERPETUAL", "USDC"),
    ],
)
def test_a_name_tells_what_settles(name: str, currency: str) -> None:
    assert settlement_currency(name) == currency


# The sandbox


def test_the_sandbox_answers_as_was_recorded(sandbox: SandboxExchange, clock: Clock) -> None:
    clock.now = datetime(2024, 3, 29, 12, tzinfo=UTC)
    page = sandbox.answer(BY_CURRENCY, {"currency": "BTC", "count": "5"}).body["result"]
    assert shape(page)["continuation"] == "str"
    first = recorded("settlements_currency")["settlements"][0]
    assert shape(page["settlements"][0]) == shape(first)
    assert {row["type"] for row in page["settlements"]} == {"delivery", "exercise"}


def test_the_sandbox_ends_in_all_three_ways(sandbox: SandboxExchange) -> None:
    endings = [
        sandbox.answer(
            BY_CURRENCY, {"currency": "BTC", "search_start_timestamp": "0", "count": str(count)}
        ).body["result"]
        for count in (999, 1_000, 998)
    ]
    assert endings == [
        {"settlements": []},
        {"settlements": [], "continuation": None},
        {"settlements": [], "continuation": "none"},
    ]


# The source


@pytest.mark.parametrize("count", [9, 50, 998, 999, 1_000])
def test_every_settlement_comes_whatever_a_page_holds(
    fetch: Fetch, sandbox: SandboxExchange, count: int
) -> None:
    days = by_day(fetch(SPRING, count=count))
    assert days.keys() == set(SPRING)
    for day, fetched in days.items():
        assert held(fetched) == told(sandbox, "BTC", day)
        assert prove_rows(SETTLEMENTS, fetched).proof.state is DayState.COMPLETE
    expiry = days[date(2024, 3, 29)].rows["type"].tolist()
    assert (expiry.count("delivery"), expiry.count("exercise")) == (1, 20)


@pytest.mark.parametrize("is_inclusive", [True, False])
@pytest.mark.parametrize("cut", Cut)
def test_a_tie_over_a_page_border_loses_nothing_wherever_tokens_lead(
    fetch: Fetch, sandbox: SandboxExchange, cut: Cut, is_inclusive: bool
) -> None:
    # Seventeen settle in one millisecond, so that a page of forty ends amid the third.
    sandbox.settlements.cut, sandbox.settlements.is_inclusive = cut, is_inclusive
    days = by_day(fetch(SPRING, "USDC", count=40))
    assert {day: held(fetched) for day, fetched in days.items()} == {
        day: told(sandbox, "USDC", day) for day in SPRING
    }


@pytest.mark.parametrize("cut", [Cut.BELOW_THE_MILLISECOND, Cut.AT_THE_MILLISECOND])
def test_more_in_a_millisecond_than_a_page_holds_is_not_believed_where_tokens_lose_it(
    fetch: Fetch, sandbox: SandboxExchange, cut: Cut
) -> None:
    sandbox.settlements.cut = cut
    failures(fetch(SPRING, "USDC", count=10), SPRING)


def test_the_running_day_stays_open(fetch: Fetch, sandbox: SandboxExchange, clock: Clock) -> None:
    today = clock.now.date()
    (fetched,) = fetch([today])
    assert held(fetched) == told(sandbox, "BTC", today)
    assert isinstance(fetched, FetchedRows)
    assert prove_rows(SETTLEMENTS, fetched).proof.state is DayState.OPEN
    # A settlement of the last moment may be told a little later.
    midnight = datetime(2024, 4, 11, tzinfo=UTC)
    for seconds, state in ((0, DayState.OPEN), (59, DayState.OPEN), (60, DayState.COMPLETE)):
        clock.now = midnight + timedelta(seconds=seconds)
        (fetched,) = fetch([today])
        assert isinstance(fetched, FetchedRows)
        assert prove_rows(SETTLEMENTS, fetched).proof.state is state


@pytest.mark.parametrize("count", [998, 999, 1_000])
def test_before_the_first_settlement_nothing_is_listed(fetch: Fetch, count: int) -> None:
    days = by_day(fetch(list(days_between(date(2019, 3, 12), date(2019, 3, 16))), "ETH", count))
    states = {day.day: prove_rows(SETTLEMENTS, one).proof.state for day, one in days.items()}
    # Listed at 13:00 on the 14th, it settles on the 15th for the first time.
    assert states == {
        12: DayState.NOT_LISTED,
        13: DayState.NOT_LISTED,
        14: DayState.NOT_LISTED,
        15: DayState.COMPLETE,
        16: DayState.COMPLETE,
    }


def test_days_with_breaks_are_fetched_each_once(fetch: Fetch, sandbox: SandboxExchange) -> None:
    wanted = [date(2023, 12, 31), date(2024, 2, 29), date(2024, 3, 1)]
    days = by_day(fetch(wanted, "ETH"))
    assert {day: held(one) for day, one in days.items()} == {
        day: told(sandbox, "ETH", day) for day in wanted
    }


def test_an_answer_that_ends_early_is_not_believed(fetch: Fetch, sandbox: SandboxExchange) -> None:
    turns = iter([ends_early] * 3)
    sandbox.amend(BY_CURRENCY, lambda page: next(turns, lambda page: page)(page))
    days = by_day(fetch(SPRING, count=50))
    assert {day: held(one) for day, one in days.items()} == {
        day: told(sandbox, "BTC", day) for day in SPRING
    }


def is_page(method: str, reply: Reply) -> bool:
    """Whether the answer is a page, and no look."""
    return method == BY_CURRENCY and len(reply.body["result"]["settlements"]) > 20


@pytest.mark.parametrize("which", [0, 1])
def test_what_one_answer_lacks_in_its_middle_is_not_lost(
    fetch: Fetch, sandbox: SandboxExchange, faults: Faults, which: int
) -> None:
    turns = itertools.count()
    faults.spoil_where(
        "rows_lack_some", lambda method, reply: is_page(method, reply) and next(turns) == which
    )
    days = by_day(fetch(SPRING))
    assert {day: held(one) for day, one in days.items()} == {
        day: told(sandbox, "BTC", day) for day in SPRING
    }
    assert next(turns) > 3


def test_a_page_that_stays_odd_fails_its_own_day_and_none_below(
    fetch: Fetch, sandbox: SandboxExchange, faults: Faults
) -> None:
    odd = date(2024, 3, 1)
    start = (odd - EPOCH).days * 86_400_000

    def tells_the_day(method: str, reply: Reply) -> bool:
        rows = reply.body["result"]["settlements"] if method == BY_CURRENCY else []
        return any(start <= row["timestamp"] < start + 86_400_000 for row in rows)

    faults.spoil_where("rows_unordered", tells_the_day)
    wanted = list(days_between(date(2024, 2, 20), date(2024, 3, 9)))
    fetched = fetch(wanted, count=150)
    failed = [day for one in fetched if isinstance(one, FailedDays) for day in one.days]
    assert failed[-1] == odd
    assert len(failed) <= 3
    brought = by_day([one for one in fetched if isinstance(one, FetchedRows)])
    assert brought.keys() == set(wanted) - set(failed)
    assert {day: held(one) for day, one in brought.items()} == {
        day: told(sandbox, "BTC", day) for day in brought
    }


def test_an_exchange_that_stays_odd_is_not_asked_about_every_day(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    newest, *others = recorded("settlements_currency")["settlements"]
    odd = [*others, newest | {"timestamp": newest["timestamp"] + 1}]
    sandbox.replay(BY_CURRENCY, {"settlements": odd})
    years = list(days_between(date(2019, 1, 1), date(2026, 9, 30)))
    assert "the newest first" in failures(fetch(years), years)
    assert sandbox.requests[BY_CURRENCY] < 500


def test_bankruptcies_of_one_millisecond_are_told_apart(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    day = date(2024, 3, 27)
    at = (day - EPOCH).days * 86_400_000 + 14_400_000
    bankruptcies = [
        {"type": "bankruptcy", "timestamp": at, "session_bankruptcy": amount, "funded": amount}
        for amount in (1.5, 2.5)
    ]

    def with_them(page: dict[str, Any]) -> dict[str, Any]:
        rows = page["settlements"]
        newer = [row for row in rows if row["timestamp"] > at]
        if not newer or len(newer) == len(rows):
            return page
        return page | {"settlements": [*newer, *bankruptcies, *rows[len(newer) : -2]]}

    sandbox.amend(BY_CURRENCY, with_them)
    (fetched,) = by_day(fetch([day])).values()
    is_bankruptcy = fetched.rows["type"] == "bankruptcy"
    assert sorted(fetched.rows["funded"][is_bankruptcy].tolist()) == [1.5, 2.5]
    proof = prove_rows(SETTLEMENTS, fetched).proof
    assert (proof.state, proof.received) == (
        DayState.COMPLETE, len(told(sandbox, "BTC", day)) + 2
    )  # fmt: skip


def test_an_exchange_that_always_ends_early_proves_nothing(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    sandbox.amend(BY_CURRENCY, ends_early)
    days = [date(2024, 3, 1), date(2024, 3, 2)]
    reason = failures(fetch(days), days)
    assert "there are older ones" in reason or "contradict" in reason


def test_an_exchange_without_settlements_proves_nothing(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    sandbox.replay(BY_CURRENCY, {"settlements": [], "continuation": "none"})
    assert "of the newest ones none either" in failures(fetch(SPRING), SPRING)


def test_settlements_of_another_currency_are_odd(fetch: Fetch, sandbox: SandboxExchange) -> None:
    sandbox.replay(BY_CURRENCY, recorded("settlements_currency"))
    (failed,) = fetch([date(2026, 9, 20)], "ETH")
    assert isinstance(failed, FailedDays)
    assert "BTC-20SEP26 came, which does not settle in ETH" in str(failed.error)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: [*rows, rows[-1]], "told twice"),
        (lambda rows: [rows[0] | {"timestamp": 1}, *rows[1:]], "the newest first"),
        (lambda rows: [rows[0] | {"timestamp": 4e12}, *rows[1:]], "asked for were those up to"),
        (lambda rows: rows * 300, "1500 settlements came"),
    ],
)
def test_an_odd_page_is_not_believed(
    fetch: Fetch, sandbox: SandboxExchange, change: Callable[[Any], Any], sentence: str
) -> None:
    answer = copy.deepcopy(recorded("settlements_currency"))
    sandbox.replay(BY_CURRENCY, answer | {"settlements": change(answer["settlements"])})
    (failed,) = fetch([date(2026, 9, 20)])
    assert isinstance(failed, FailedDays)
    assert sentence in str(failed.error)


def test_an_unknown_currency_is_refused(fetch: Fetch) -> None:
    with pytest.raises(DeribitRejected, match="invalid currency"):
        fetch(SPRING, "XYZ")


def test_a_year_takes_about_as_many_requests_as_was_said(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    year = list(days_between(date(2023, 4, 1), date(2024, 3, 31)))
    days = by_day(fetch(year))
    assert sum(count_of(one.rows) for one in days.values()) > 5_000
    assert sandbox.requests[BY_CURRENCY] < SettlementsSource().requests("BTC", year)


def test_a_perpetual_without_its_settlement_breaks_a_rule(warehouse: Warehouse) -> None:
    (rule,) = price_rules.RULES[SETTLEMENTS.name]
    with warehouse.writing() as connection:
        connection.execute("""
            insert into instruments by name
            select 'BTC-PERPETUAL' as instrument_name, 'future' as kind, 'BTC' as base_currency,
                   'USD' as quote_currency, 'BTC' as settlement_currency,
                   'perpetual' as settlement_period,
                   timestamptz '2024-04-01 10:00:00+00' as listed_at, 10 as contract_size,
                   0.5 as tick_size, '[]' as tick_size_steps, 10 as min_trade_amount,
                   listed_at as valid_from, listed_at as first_seen_at,
                   listed_at as last_seen_at, '' as run_id;
            insert into dataset_days by name
            select 'settlements' as dataset, 'BTC' as series, date '2024-04-01' + cast(n as integer)
                       as day,
                   if(n = 3, 'open', 'complete') as state, 1 as expected, 1 as received,
                   0 as missing, '' as content_hash, 0 as revised, '' as verdict,
                   now() as fetched_at, 'sandbox' as environment, '' as source, '' as run_id
            from range(4) as days(n);
            insert into settlements by name
            select 'BTC' as currency, timestamptz '2024-04-02 08:00:00.065+00' as settled_at,
                   'BTC-PERPETUAL' as instrument_name, 'settlement' as type;
        """)
        found = breaches(connection, rule, {})
    # On the first day it was not listed from midnight on, and the fourth is not over.
    assert found.first == [("BTC-PERPETUAL", "2024-04-03", "0")]
