"""Settlements that responses omit or change are detected, or the days fail."""

import copy
import itertools
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.datasets.settlements.source import SettlementsSource
from deribit_pipeline.domain.proofs import DayState, FetchedDay
from deribit_pipeline.domain.rows import count_of
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.engine.source import FailedDays
from deribit_pipeline.errors import DeribitRejected
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline_tests.conftest import recorded
from deribit_pipeline_tests.helpers.fetched_settlements import (
    BY_CURRENCY,
    EPOCH,
    SPRING,
    Fetch,
    by_day,
    ends_early,
    failures,
    fetch,
    held,
    returned,
)

__all__ = ["fetch"]


def test_an_answer_that_ends_early_is_not_trusted(fetch: Fetch, sandbox: SandboxExchange) -> None:
    turns = iter([ends_early] * 3)
    sandbox.amend(BY_CURRENCY, lambda page: next(turns, lambda page: page)(page))
    days = by_day(fetch(SPRING, count=50))
    assert {day: held(one) for day, one in days.items()} == {
        day: returned(sandbox, "BTC", day) for day in SPRING
    }


def is_page(method: str, reply: Reply) -> bool:
    """Whether the response is a page rather than a look-ahead."""
    return method == BY_CURRENCY and len(reply.body["result"]["settlements"]) > 20


@pytest.mark.parametrize("which", [0, 1])
def test_what_one_answer_misses_in_its_middle_is_not_lost(
    fetch: Fetch, sandbox: SandboxExchange, faults: Faults, which: int
) -> None:
    turns = itertools.count()
    faults.corrupt_where(
        "rows_lack_some", lambda method, reply: is_page(method, reply) and next(turns) == which
    )
    days = by_day(fetch(SPRING))
    assert {day: held(one) for day, one in days.items()} == {
        day: returned(sandbox, "BTC", day) for day in SPRING
    }
    assert next(turns) > 3


def test_a_page_that_stays_malformed_fails_its_own_day_and_none_below(
    fetch: Fetch, sandbox: SandboxExchange, faults: Faults
) -> None:
    odd = date(2024, 3, 1)
    start = (odd - EPOCH).days * 86_400_000

    def tells_the_day(method: str, reply: Reply) -> bool:
        rows = reply.body["result"]["settlements"] if method == BY_CURRENCY else []
        return any(start <= row["timestamp"] < start + 86_400_000 for row in rows)

    faults.corrupt_where("rows_unordered", tells_the_day)
    wanted = list(days_between(date(2024, 2, 20), date(2024, 3, 9)))
    fetched = fetch(wanted, count=150)
    failed = [day for one in fetched if isinstance(one, FailedDays) for day in one.days]
    assert failed[-1] == odd
    assert len(failed) <= 3
    brought = by_day([one for one in fetched if isinstance(one, FetchedDay)])
    assert brought.keys() == set(wanted) - set(failed)
    assert {day: held(one) for day, one in brought.items()} == {
        day: returned(sandbox, "BTC", day) for day in brought
    }


def test_an_exchange_with_malformed_answers_is_not_queried_for_every_day(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    newest, *others = recorded("settlements_currency")["settlements"]
    odd = [*others, newest | {"timestamp": newest["timestamp"] + 1}]
    sandbox.replay(BY_CURRENCY, {"settlements": odd})
    years = list(days_between(date(2019, 1, 1), date(2026, 9, 30)))
    assert "not sorted newest first" in failures(fetch(years), years)
    assert sandbox.requests[BY_CURRENCY] < 500


def test_bankruptcies_of_one_millisecond_are_distinguished(
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
    proof = prove(SETTLEMENTS, fetched).proof
    assert (proof.state, proof.received) == (
        DayState.COMPLETE, len(returned(sandbox, "BTC", day)) + 2
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
    assert "not even the newest ones" in failures(fetch(SPRING), SPRING)


def test_settlements_of_another_currency_are_refused(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    sandbox.replay(BY_CURRENCY, recorded("settlements_currency"))
    (failed,) = fetch([date(2026, 9, 20)], "ETH")
    assert isinstance(failed, FailedDays)
    assert "BTC-20SEP26 was returned, not settled in ETH" in str(failed.error)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: [rows[0] | {"timestamp": 1}, *rows[1:]], "not sorted newest first"),
        (lambda rows: [rows[0] | {"timestamp": 4e12}, *rows[1:]], "was returned, after the bound"),
        (lambda rows: rows * 300, "1500 settlements were returned"),
    ],
)
def test_a_malformed_page_is_not_trusted(
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
