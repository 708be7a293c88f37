"""Responses that never end cost a bounded number of requests, and one sentence."""

import itertools
from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets.account.source import (
    SETTLEMENT_HISTORY_SOURCE,
    TRANSACTION_LOG_SOURCE,
    USER_TRADES_SOURCE,
    AccountSource,
)
from deribit_pipeline.datasets.delivery_prices.source import DeliveryPricesSource
from deribit_pipeline.engine.following import Progress, TooManyPages
from deribit_pipeline.engine.source import FailedDays
from deribit_pipeline.errors import DeribitBadPayload, EndlessPages
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers import fetched_prices, fetched_settlements
from deribit_pipeline_tests.helpers.account_owner import Owner, owner_of
from deribit_pipeline_tests.helpers.fetched_settlements import BY_CURRENCY, SPRING, Fetch, fetch

__all__ = ["fetch"]

LOG, TRADES, SETTLEMENTS = (
    "private/get_transaction_log",
    "private/get_user_trades_by_currency_and_time",
    "private/get_settlement_history_by_currency",
)
DAY = date(2024, 3, 5)
priced_fetch = fetched_prices.fetch

# What one day takes at most before its error: the pages that may share a millisecond, of each of
# the responses that are compared.
MOST = 150


@pytest.fixture
def owner(settings: Settings, sandbox: SandboxExchange) -> Iterator[Owner]:
    with owner_of(settings, sandbox) as owner:
        yield owner


def ever_new(returned: Any, numbers: Iterator[int], name: str, apart_ms: int) -> Any:
    """A full page of rows as new as the page's newest, each page `apart_ms` before the one before
    it, and a token that leads on."""
    newest: dict[str, Any] = {}  # by the window that is requested

    def page(params: Any) -> Any:
        count = int(params.get("count", 20))
        window = dict(params, count="1") | {"continuation": ""}
        key = repr(sorted(window.items()))
        if key not in newest:
            [newest[key]] = returned(window)[name]
        row = newest[key]
        turn = next(numbers)
        rows = [
            row
            | {"timestamp": row["timestamp"] - turn * apart_ms}
            | (
                {"id": 10**9 - turn * 10_000 - n, "user_seq": 10**9 - turn * 10_000 - n}
                if name == "logs"
                else {"instrument_name": f"BTC-{turn}-{n}"}
            )
            for n in range(count)
        ]
        return {name: rows, "continuation": f"{turn}"}

    return page


@pytest.mark.parametrize("apart_ms", [0, 1])
def test_settlements_that_are_ever_new_end_in_one_sentence(
    fetch: Fetch, sandbox: SandboxExchange, apart_ms: int
) -> None:
    def page(params: Any) -> Any:
        count, turn = int(params.get("count", 20)), next(turns)
        at = 1_711_958_400_040 - turn * apart_ms
        rows = [
            {"type": "settlement", "timestamp": at, "instrument_name": f"BTC-{turn}-{n}"}
            for n in range(count)
        ]
        return {"settlements": rows, "continuation": f"{turn}"}

    turns = itertools.count()
    sandbox._methods[BY_CURRENCY] = page
    day = date(2024, 4, 1)
    why = fetched_settlements.failures(fetch([day], count=100), [day])
    if not apart_ms:
        assert "the responses would never end" in why
    assert sandbox.requests[BY_CURRENCY] < 10 * MOST


def test_settlements_that_advance_by_a_millisecond_end_in_one_sentence(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    """Every response agrees with every other: there are a thousand rows in each millisecond."""

    def page(params: Any) -> Any:
        count = int(params.get("count", 20))
        newest = int(params.get("continuation") or params["search_start_timestamp"])
        rows = [
            {
                "type": "settlement",
                "timestamp": newest - n // 7,
                "instrument_name": f"BTC-{newest - n // 7}-{n % 7}",
            }
            for n in range(count)
        ]
        return {"settlements": rows, "continuation": newest - count // 7}

    sandbox._methods[BY_CURRENCY] = page
    fetched = fetch(SPRING, count=100)
    assert "the responses would never end" in fetched_settlements.failures(fetched, SPRING)
    assert all(
        isinstance(one.error, EndlessPages) for one in fetched if isinstance(one, FailedDays)
    )
    assert sandbox.requests[BY_CURRENCY] < len(SPRING) * MOST


@pytest.mark.parametrize(
    ("source", "method", "name", "apart_ms"),
    [
        (TRANSACTION_LOG_SOURCE, LOG, "logs", 0),
        (TRANSACTION_LOG_SOURCE, LOG, "logs", 1),
        (SETTLEMENT_HISTORY_SOURCE, SETTLEMENTS, "settlements", 1),
    ],
)
def test_an_account_whose_pages_are_ever_new_ends_in_one_sentence(
    owner: Owner, sandbox: SandboxExchange, source: AccountSource, method: str, name: str,
    apart_ms: int,
) -> None:  # fmt: skip
    returned = sandbox._methods[method]
    sandbox._methods[method] = ever_new(returned, itertools.count(), name, apart_ms)
    failed = owner.failure(source, DAY)
    assert isinstance(failed.error, EndlessPages)
    assert "the responses would never end" in str(failed.error)
    assert sandbox.requests[method] < MOST


def test_windows_of_trades_that_are_ever_full_end_in_one_sentence(
    owner: Owner, sandbox: SandboxExchange
) -> None:
    numbers = itertools.count()

    def full(params: Any) -> Any:
        first, last = int(params["start_timestamp"]), int(params["end_timestamp"])
        if last - first < 1_000:
            return {"trades": [], "has_more": False}
        trade = sandbox.account.until(sandbox.now_ms()).trades["BTC"][0]
        trades = [
            trade | {"timestamp": first, "trade_id": f"{next(numbers)}"} for _ in range(1_000)
        ]
        return {"trades": trades, "has_more": True}

    sandbox._methods[TRADES] = full
    failed = owner.failure(USER_TRADES_SOURCE, DAY)
    assert isinstance(failed.error, EndlessPages)
    assert "the responses would never end" in str(failed.error)
    assert sandbox.requests[TRADES] < 2 * MOST


def test_a_continuation_that_repeats_is_refused(owner: Owner, sandbox: SandboxExchange) -> None:
    sandbox.amend(LOG, lambda page: page | {"continuation": 60_003})
    assert isinstance(owner.failure(TRANSACTION_LOG_SOURCE, DAY).error, DeribitBadPayload)
    assert sandbox.requests[LOG] < MOST


def test_more_delivery_prices_than_days_are_refused(
    request: pytest.FixtureRequest, sandbox: SandboxExchange
) -> None:
    totals = itertools.count(1_000_000, 1_000)
    sandbox.amend(fetched_prices.DELIVERIES, lambda page: page | {"records_total": next(totals)})
    fetched = request.getfixturevalue("priced_fetch")
    with pytest.raises(DeribitBadPayload, match="at most one price a day since 2010-01-01"):
        fetched(DeliveryPricesSource(), "btc_usd", [date(2018, 1, 1)])
    assert sandbox.requests[fetched_prices.DELIVERIES] < MOST


def test_delivery_prices_that_ever_grow_by_one_end(
    request: pytest.FixtureRequest, sandbox: SandboxExchange
) -> None:
    totals = itertools.count(2_066)
    sandbox.amend(fetched_prices.DELIVERIES, lambda page: page | {"records_total": next(totals)})
    with pytest.raises(DeribitBadPayload):
        request.getfixturevalue("priced_fetch")(
            DeliveryPricesSource(count=100), "btc_usd", [date(2018, 1, 1)]
        )
    assert sandbox.requests[fetched_prices.DELIVERIES] < MOST


def test_full_pages_of_a_busy_day_and_a_crowd_in_a_millisecond_are_within_bounds() -> None:
    busy = Progress(250, 50.0)
    for page in range(1, 4_000):  # a million entries over a day
        busy.add(250, np.timedelta64(page * 21_600, "ms"))
    crowd = Progress(1_000, 20_000 / 86_400)
    for _ in range(30):
        crowd.add(1_000, np.timedelta64(0, "ms"))
    for _ in range(10):
        crowd.add(1_000, np.timedelta64(0, "ms"))
    with pytest.raises(TooManyPages, match="41 pages of up to 1000 rows"):
        crowd.add(1_000, np.timedelta64(0, "ms"))
