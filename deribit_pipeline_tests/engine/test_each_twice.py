"""`--twice`: no row of one wrong response is stored, even if the response passes the cross-
checks."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deribit_pipeline.datasets.account import SETTLEMENT_HISTORY, TRANSACTION_LOG, USER_TRADES
from deribit_pipeline.datasets.account import wire as account
from deribit_pipeline.datasets.candles_rebuilt import CANDLES_REBUILT
from deribit_pipeline.datasets.delivery_prices import DELIVERY_PRICES
from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.datasets.historical_volatility import HISTORICAL_VOLATILITY
from deribit_pipeline.datasets.index_prices import INDEX_PRICES
from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.trades.calls import BY_NUMBER
from deribit_pipeline.datasets.trades.trade_numbers import rechecks_of
from deribit_pipeline.datasets.volatility_index import VOLATILITY_INDEX
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.engine.estimate import Limit, estimate
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.source import FailedDays
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.configured_commands import Command
from deribit_pipeline_tests.helpers.dataset_backfills import Backfills, Some
from deribit_pipeline_tests.helpers.fetched_days import Fetching
from deribit_pipeline_tests.helpers.fetched_trades import TradesFetched
from deribit_pipeline_tests.helpers.swapped_rows import (
    Corrupter,
    a_billionth_apart,
    exchanging,
    exchanging_lows,
)
from deribit_pipeline_tests.helpers.windowed_rows import (
    AT,
    BROKEN,
    HOUR_AT,
    INVERSE,
    MINUTES,
    Kind,
    fetch_repeatedly,
    others,
)

REQUESTED_ONCE: dict[str, tuple[Some, Corrupter]] = {
    "funding_rates": (
        Some(FUNDING_RATES, ("BTC-PERPETUAL",), 130, 130),
        Corrupter("public/get_funding_rate_history", a_billionth_apart, date(2024, 2, 3), least=20),
    ),
    "volatility_index": (
        Some(VOLATILITY_INDEX, ("BTC",), 12, 12),
        Corrupter(
            "public/get_volatility_index_data", exchanging_lows, date(2024, 4, 4), step=60_000,
            least=100,
        ),
    ),
    "trades": (
        Some(TRADES, ("BTC-PERPETUAL",), 8, 8),
        Corrupter(BY_NUMBER, exchanging("mark_price"), date(2024, 4, 4), least=500),
    ),
}  # fmt: skip
"""Datasets of which a row may rest on one response, and what conserves all that is compared."""

READ_TWICE: dict[str, tuple[Some, Corrupter]] = {
    "settlements": (
        Some(SETTLEMENTS, ("BTC",), 14, 14),
        Corrupter(
            "public/get_last_settlements_by_currency", exchanging("session_profit_loss"),
            date(2024, 3, 28), least=20,
        ),
    ),
    "delivery_prices": (
        Some(DELIVERY_PRICES, ("btc_usd",), 30, 30),
        Corrupter(
            "public/get_delivery_prices", exchanging("delivery_price"), date(2024, 3, 20),
            date(2024, 4, 1),
        ),
    ),
    "historical_volatility": (
        Some(HISTORICAL_VOLATILITY, ("BTC",), 10, 10),
        Corrupter("public/get_historical_volatility", exchanging(1), date(2024, 4, 4)),
    ),
    "index_prices": (
        Some(INDEX_PRICES, ("btc_usd",), 1, 1),
        Corrupter("public/get_index_chart_data", exchanging(1), date(2024, 4, 9)),
    ),
    "transaction_log": (
        Some(TRANSACTION_LOG, ("BTC",), 40, 40),
        Corrupter(account.LOG, exchanging("equity"), date(2024, 3, 10)),
    ),
    "user_trades": (
        Some(USER_TRADES, ("BTC",), 40, 40),
        Corrupter(account.TRADES, exchanging("index_price"), date(2024, 3, 10)),
    ),
    "settlement_history": (
        Some(SETTLEMENT_HISTORY, ("BTC",), 40, 40),
        Corrupter(
            account.SETTLEMENTS, exchanging("session_profit_loss"), date(2024, 3, 10),
            date(2024, 4, 1),
        ),
    ),
}  # fmt: skip
"""Datasets of which every row is read in two responses in any case."""

EACH = {**REQUESTED_ONCE, **READ_TWICE}

Backfill = Callable[..., Outcome]


@pytest.fixture
def backfill(settings: Settings, tmp_path: Path) -> Backfill:
    """Backfills some days into a separate, empty warehouse."""
    made = 0

    def run(some: Some, *, each_twice: bool = False) -> Outcome:
        nonlocal made
        made += 1
        backfills = Backfills(replace(settings, warehouse=tmp_path / f"{made}.duckdb"))
        [outcome] = backfills(some, some.few, each_twice=each_twice)
        assert outcome.failures == {}
        assert set(outcome.days_by_state) == {DayState.COMPLETE}
        return outcome

    return run


def hashes(outcome: Outcome) -> dict[Any, str]:
    return {key: proof.content_hash for key, proof in outcome.proofs.items()}


@given(first=st.integers(1, 60), count=st.integers(1, 2_000), most=st.integers(800, 1_000))
def test_trades_are_never_requested_again_by_the_same_numbers(
    first: int, count: int, most: int
) -> None:
    numbers = np.arange(first, first + count)
    rechecks = [set(rechecks_of(numbers, most, shift)) for shift in (0, 17, 34)]
    assert len(set().union(*rechecks)) == sum(map(len, rechecks))


@pytest.mark.parametrize("name", EACH)
def test_twice_stores_no_row_of_a_response_that_conserves_all_that_is_compared(
    backfill: Backfill, sandbox: SandboxExchange, name: str
) -> None:
    some, corrupter = EACH[name]
    true = hashes(backfill(some))
    corrupter.corrupt_one(sandbox)
    found = backfill(some, each_twice=True)
    assert corrupter.corrupted == 1
    assert hashes(found) == true


@pytest.mark.parametrize("name", REQUESTED_ONCE)
def test_without_twice_what_conserves_all_that_is_compared_is_stored(
    backfill: Backfill, sandbox: SandboxExchange, name: str
) -> None:
    """docs/guarantees.md states this limit."""
    some, corrupter = EACH[name]
    true = hashes(backfill(some))
    corrupter.corrupt_one(sandbox)
    found = hashes(backfill(some))
    assert corrupter.corrupted == 1
    assert [day for (_, day), value in found.items() if value != true[some.series[0], day]] == [
        corrupter.day
    ]


@pytest.mark.parametrize("name", READ_TWICE)
def test_what_is_read_twice_in_any_case_takes_no_request_more_with_twice(
    backfill: Backfill, sandbox: SandboxExchange, name: str
) -> None:
    some, corrupter = EACH[name]
    once = backfill(some)
    assert backfill(some, each_twice=True).requests == once.requests
    corrupter.corrupt_one(sandbox)
    found = backfill(some)
    assert corrupter.corrupted == 1
    assert hashes(found) == hashes(once)


@pytest.mark.parametrize("each_twice", [False, True])
@pytest.mark.parametrize(("kind", "at"), [(MINUTES, AT + 60_000), (INVERSE, HOUR_AT)])
def test_only_with_twice_a_row_that_no_two_responses_share_fails_its_day_and_no_other(
    opened: Callable[..., Exchange], warehouse: Warehouse, sandbox: SandboxExchange, kind: Kind,
    at: int, each_twice: bool,
) -> None:  # fmt: skip
    times = 0

    def change(row: Any) -> Any:
        nonlocal times
        times += 1
        if isinstance(row, dict):
            return row | {"interest_1h": row["interest_1h"] + times * 1e-10}
        return [*row[:3], row[3] + times * 1e-6, row[4]]

    fetch_repeatedly(sandbox, kind, at, change)
    exchange = opened()
    exchange.each_twice = each_twice
    brought = Fetching(exchange, warehouse, kind.source)(kind.series, kind.first, kind.last)
    assert list(brought.failed) == [BROKEN] * each_twice
    for error in brought.failed.values():
        assert "no two responses agree on the row of 2024-04-03T12:0" in str(error)
    assert others(brought) == {("complete", "agrees")}


@pytest.mark.parametrize("each_twice", [False, True])
def test_only_with_twice_a_trade_that_no_two_responses_share_fails_its_day_and_no_other(
    opened: Callable[..., Exchange], warehouse: Warehouse, sandbox: SandboxExchange,
    each_twice: bool,
) -> None:  # fmt: skip
    exchange = opened()
    exchange.each_twice = each_twice
    source = TradesFetched(exchange, warehouse, sandbox)
    day = date(2024, 3, 2)
    number, earlier = source.numbers(day).start + 700, 0
    former = sandbox._history_methods[BY_NUMBER]

    def change(params: Any) -> Any:
        nonlocal earlier
        result = former(params)
        for each in result["trades"]:
            if each["trade_seq"] == number:
                earlier += 1
                each["mark_price"] += earlier
        return result

    sandbox._history_methods[BY_NUMBER] = change
    pieces = source.fetched(date(2024, 3, 1), date(2024, 3, 3))
    failed = {day: each.error for day, each in pieces.items() if isinstance(each, FailedDays)}
    assert list(failed) == [day] * each_twice
    for error in failed.values():
        assert f"trade {number}: no two responses agree on it" in str(error)


@pytest.mark.parametrize("each_twice", [False, True])
@pytest.mark.parametrize(
    "name", ["funding_rates", "volatility_index", "delivery_prices", "historical_volatility"]
)
def test_a_plan_counts_what_twice_takes(backfill: Backfill, name: str, each_twice: bool) -> None:
    some, _ = EACH[name]
    sent = backfill(some, each_twice=each_twice).requests
    beside = 3  # the exchange's time, and a listing twice
    assert planned(some, each_twice) <= sent <= planned(some, each_twice) + beside


def test_a_plan_counts_twice_only_what_is_requested_again() -> None:
    for some, _ in READ_TWICE.values():
        assert planned(some, each_twice=True) == planned(some, each_twice=False)
    some, _ = EACH["trades"]
    assert planned(some, each_twice=True) == planned(some, each_twice=False) + some.few
    rebuilt = replace(some, dataset=CANDLES_REBUILT)
    assert planned(rebuilt, each_twice=True) == 0


def planned(some: Some, each_twice: bool) -> int:
    days = some.days(some.few)
    limit = Limit(requests_per_second=20, burst=100)
    return estimate(some.dataset, days, days, {}, limit, each_twice=each_twice).requests


@pytest.mark.parametrize(("dataset", "more"), [("trades", 4), ("settlements", 0)])
def test_the_command_backfill_plans_with_twice_and_says_what_it_covers(
    command: Command, dataset: str, more: int
) -> None:
    requested = ("backfill", "--dataset", dataset, "--start", "2024-04-07", "--end", "2024-04-08")

    def requests(*options: str) -> int:
        output = command(*requested, "--plan", *options)
        assert output.code == 0, output.err
        return int(output.row("requests, about")[0])

    assert requests("--twice") == requests() + more
    output = " ".join(command("backfill", "--help").out.replace("│", " ").split())
    assert "Days that are already proved need --force as well." in output
