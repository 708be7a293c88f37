"""Settlements are fetched completely: over pages, ties, and tokens and bounds that are
undocumented."""

import copy
import re
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.datasets.settlements.wire import settlements
from deribit_pipeline.domain.proofs import DayState, FetchedDay
from deribit_pipeline.domain.specification import settlement_currency
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.breaches import breaches
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.settlements import Cut
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock, recorded
from deribit_pipeline_tests.helpers.fetched_settlements import (
    BY_CURRENCY,
    SPRING,
    Fetch,
    by_day,
    failures,
    fetch,
    held,
    returned,
)
from deribit_pipeline_tests.sandbox.test_sandbox import shape

__all__ = ["fetch"]


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
def test_the_end_is_returned_in_three_ways(ending: dict[str, str | None]) -> None:
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
    # With any other fields, and with any notation of numbers.
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
def test_a_malformed_settlement_is_an_error(change: dict[str, object], sentence: str) -> None:
    answer = copy.deepcopy(recorded("settlements_currency"))
    answer["settlements"] = [answer["settlements"][2] | change]
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


def test_the_sandbox_returns_settlements_as_recorded(
    sandbox: SandboxExchange, clock: Clock
) -> None:
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
        assert held(fetched) == returned(sandbox, "BTC", day)
        assert prove(SETTLEMENTS, fetched).proof.state is DayState.COMPLETE
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
        day: returned(sandbox, "USDC", day) for day in SPRING
    }


@pytest.mark.parametrize("cut", [Cut.BELOW_THE_MILLISECOND, Cut.AT_THE_MILLISECOND])
def test_more_in_a_millisecond_than_a_page_holds_is_not_trusted_where_tokens_lose_it(
    fetch: Fetch, sandbox: SandboxExchange, cut: Cut
) -> None:
    sandbox.settlements.cut = cut
    failures(fetch(SPRING, "USDC", count=10), SPRING)


def test_the_running_day_stays_open(fetch: Fetch, sandbox: SandboxExchange, clock: Clock) -> None:
    today = clock.now.date()
    (fetched,) = fetch([today])
    assert held(fetched) == returned(sandbox, "BTC", today)
    assert isinstance(fetched, FetchedDay)
    assert prove(SETTLEMENTS, fetched).proof.state is DayState.OPEN
    # A settlement of the last moment may be published a little later.
    midnight = datetime(2024, 4, 11, tzinfo=UTC)
    for seconds, state in ((0, DayState.OPEN), (59, DayState.OPEN), (60, DayState.COMPLETE)):
        clock.now = midnight + timedelta(seconds=seconds)
        (fetched,) = fetch([today])
        assert isinstance(fetched, FetchedDay)
        assert prove(SETTLEMENTS, fetched).proof.state is state


@pytest.mark.parametrize("count", [998, 999, 1_000])
def test_before_the_first_settlement_nothing_is_listed(fetch: Fetch, count: int) -> None:
    days = by_day(fetch(list(days_between(date(2019, 3, 12), date(2019, 3, 16))), "ETH", count))
    states = {day.day: prove(SETTLEMENTS, one).proof.state for day, one in days.items()}
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
        day: returned(sandbox, "ETH", day) for day in wanted
    }


def test_a_perpetual_without_its_settlement_breaks_a_rule(warehouse: Warehouse) -> None:
    rule, _ = SETTLEMENTS.rules
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
                   now() as fetched_at, 'sandbox' as environment, '' as source, '' as run_id,
                   'none' as cross_check, '' as proof_hash
            from range(4) as days(n);
            insert into settlements by name
            select 'BTC' as currency, timestamptz '2024-04-02 08:00:00.065+00' as settled_at,
                   'BTC-PERPETUAL' as instrument_name, 'settlement' as type;
        """)
        found = breaches(connection, rule, {})
    # On the first day it was not listed from midnight on, and the fourth is not over.
    assert found.first == [("BTC-PERPETUAL", "2024-04-03", "0")]
