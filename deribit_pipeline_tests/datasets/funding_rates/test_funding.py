"""Funding: fetched to the last digit, proved by count, and correct in its units."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets.funding_rates.source import FundingRates
from deribit_pipeline.datasets.funding_rates.table import TABLE as FUNDING_RATES
from deribit_pipeline.datasets.funding_rates.wire import rates
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.rows import Columns, count_of, gaps_of
from deribit_pipeline.domain.windows import to_ms
from deribit_pipeline.errors import UnknownInstrument
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock, recorded
from deribit_pipeline_tests.helpers.fetched_days import Fetching, first_with
from deribit_pipeline_tests.helpers.pipeline import midnight

NAME = "BTC-PERPETUAL"
METHOD = "public/get_funding_rate_history"
HOUR = 3_600_000
MARCH, LAST = date(2024, 3, 1), date(2024, 4, 8)


@pytest.fixture
def fetch(opened: Callable[..., Exchange], warehouse: Warehouse) -> Fetching:
    return Fetching(opened(), warehouse, FundingRates())


def ms(day: date, hour: int = 0) -> int:
    return to_ms(datetime(day.year, day.month, day.day, hour, tzinfo=UTC))


def returned(
    sandbox: SandboxExchange, start: int, end: int, name: str = NAME
) -> list[dict[str, Any]]:
    """The exchange's rows of the hours that end in [start, end)."""
    params = {
        "instrument_name": name,
        "start_timestamp": str(start - 1),
        "end_timestamp": str(end - 1),
    }
    result: list[dict[str, Any]] = sandbox.answer(METHOD, params).body["result"]
    return result


def is_as_published(rows: Columns, returned: list[dict[str, Any]]) -> bool:
    expected = rates(returned)
    return all(np.array_equal(values, expected[name]) for name, values in rows.items())


def test_the_recorded_history_is_read_to_the_last_digit() -> None:
    answer = recorded("funding_rate_history")
    read = rates(answer)
    assert read["funded_at"].astype("int64").tolist() == [row["timestamp"] for row in answer]
    for name in ("interest_1h", "interest_8h", "index_price", "prev_index_price"):
        assert read[name].tolist() == [row[name] for row in answer]
    assert list(read) == [column.name for column in FUNDING_RATES.columns[1:]]
    assert count_of(rates([])) == 0


@pytest.mark.parametrize(
    "change", [{"timestamp": None}, {"timestamp": 1.5}, {"interest_1h": "0"}, {"index_price": None}]
)
def test_a_malformed_hour_is_an_error(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(change))}` must be"):
        rates([recorded("funding_rate_history")[0] | change])


def test_the_sandbox_tells_what_was_recorded_of_the_real_one(sandbox: SandboxExchange) -> None:
    rows = returned(sandbox, ms(LAST), ms(LAST, 23))
    assert rows[0].keys() == recorded("funding_rate_history")[0].keys()
    for history in (rows, recorded("funding_rate_history")):
        for former, later in pairwise(history):
            assert later["prev_index_price"] == former["index_price"]
        for end in range(8, len(history) + 1):
            eight = history[end - 8 : end]
            made = sum(row["interest_1h"] / row["prev_index_price"] for row in eight)
            made *= eight[0]["prev_index_price"]
            assert eight[-1]["interest_8h"] == pytest.approx(made, abs=2e-8)


def test_the_sandbox_begins_after_the_start_and_ends_with_the_end(sandbox: SandboxExchange) -> None:
    rows = returned(sandbox, ms(LAST) + 1, ms(LAST, 3) + 1)
    assert [row["timestamp"] for row in rows] == [ms(LAST, hour) for hour in (1, 2, 3)]


@pytest.mark.parametrize("keeps_newest", [True, False])
def test_the_sandbox_drops_what_is_beyond_744(sandbox: SandboxExchange, keeps_newest: bool) -> None:
    sandbox.funding.keeps_newest = keeps_newest
    rows = returned(sandbox, ms(MARCH), ms(LAST))
    assert len(rows) == 744
    assert (rows[0]["timestamp"] == ms(MARCH)) is not keeps_newest
    assert (rows[-1]["timestamp"] == ms(LAST) - HOUR) is keeps_newest


@pytest.mark.parametrize("keeps_newest", [True, False])
@pytest.mark.parametrize("begins_inclusive", [True, False])
def test_days_are_complete_to_the_last_digit_whatever_the_exchange_keeps(
    fetch: Fetching, sandbox: SandboxExchange, keeps_newest: bool, begins_inclusive: bool
) -> None:
    sandbox.funding.keeps_newest = keeps_newest
    sandbox.funding.begins_inclusive = begins_inclusive
    brought = fetch(NAME, MARCH, LAST)
    assert sandbox.requests[METHOD] == FundingRates().requests(NAME, list(brought.proved))
    for day, proved in brought.proved.items():
        assert proved.proof.state == DayState.COMPLETE
        assert is_as_published(proved.rows, returned(sandbox, ms(day), ms(day) + 24 * HOUR))


def test_history_begins_on_2019_04_30_at_ten(fetch: Fetching) -> None:
    brought = fetch(NAME, date(2019, 4, 28), date(2019, 5, 1))
    assert brought.proof(date(2019, 4, 29)).state == DayState.NOT_LISTED
    first = brought.proved[date(2019, 4, 30)]
    assert (first.proof.state, first.proof.expected) == (DayState.COMPLETE, 14)
    assert first.rows["funded_at"][0] == np.datetime64("2019-04-30T10:00")


def test_days_before_the_listing_are_not_listed_and_not_requested(
    fetch: Fetching, sandbox: SandboxExchange
) -> None:
    brought = fetch("SOL_USDC-PERPETUAL", date(2022, 3, 1), date(2022, 3, 14))
    assert {proved.proof.state for proved in brought.proved.values()} == {DayState.NOT_LISTED}
    assert sandbox.requests[METHOD] == 0


def test_the_first_hour_is_the_one_in_which_it_was_listed(fetch: Fetching) -> None:
    proved = fetch("SOL_USDC-PERPETUAL", date(2022, 3, 15)).proved[date(2022, 3, 15)]
    assert proved.proof.state == DayState.COMPLETE
    assert proved.rows["funded_at"][0] == np.datetime64("2022-03-15T14:00")


def test_the_running_day_has_the_hours_that_are_over(fetch: Fetching, clock: Clock) -> None:
    today = clock.now.date()
    running = fetch(NAME, today)
    assert running.proof(today).state == DayState.OPEN
    assert (running.proof(today).received, running.proof(today).missing) == (13, 0)
    clock.forward(timedelta(days=1))
    assert fetch(NAME, today).proof(today).state == DayState.COMPLETE


@pytest.mark.parametrize("refuses_others", [True, False])
@pytest.mark.parametrize("name", ["BTC-25DEC26", "BTC_USDC"])
def test_only_perpetuals_have_funding(
    fetch: Fetching, sandbox: SandboxExchange, clock: Clock, name: str, refuses_others: bool
) -> None:
    clock.now = datetime(2026, 11, 22, tzinfo=UTC)
    sandbox.funding.refuses_others = refuses_others
    brought = fetch(name, date(2026, 11, 1), date(2026, 11, 3))
    assert {proved.proof.state for proved in brought.proved.values()} == {DayState.NOT_LISTED}


@pytest.mark.parametrize("today", [date(2024, 4, 2), date(2025, 1, 1)])
def test_a_delisted_perpetual_has_funding_up_to_its_last_hour(
    settings: Settings, warehouse: Warehouse, today: date
) -> None:
    gone = Listing(
        "LUNA_USDC-PERPETUAL", ms(date(2024, 3, 1), 12), 80.0, 0.01, 0.1, 0.9, 5_000.0,
        expires_ms=ms(date(2024, 4, 1), 8),
    )  # fmt: skip
    sandbox = SandboxExchange(Clock(midnight(today)), per_second=0, listings=(gone,))
    with serving(sandbox) as url, open_exchange(replace(settings, base_url=url)) as exchange:
        fetch = Fetching(exchange, warehouse, FundingRates())
        brought = fetch(gone.instrument_name, date(2024, 3, 31), date(2024, 4, 1))
    assert brought.proof(date(2024, 4, 1)).state == DayState.COMPLETE
    assert brought.proof(date(2024, 4, 1)).received == 9


def test_an_unknown_instrument_is_an_error(fetch: Fetching) -> None:
    with pytest.raises(UnknownInstrument, match="NOPE-PERPETUAL"):
        fetch("NOPE-PERPETUAL", MARCH)


def test_a_wrong_listing_makes_no_day_not_listed(fetch: Fetching, faults: Faults) -> None:
    faults.corrupt_next(["other_listing"], "public/get_instrument")
    brought = fetch("SOL_USDC-PERPETUAL", date(2022, 3, 15), date(2022, 3, 20))
    assert {proved.proof.state for proved in brought.proved.values()} == {DayState.COMPLETE}


def test_an_hour_that_was_never_published_is_a_gap(
    fetch: Fetching, sandbox: SandboxExchange
) -> None:
    sandbox.funding.omit(NAME, ms(LAST, 5), ms(LAST, 6), ms(LAST, 23))
    brought = fetch(NAME, MARCH, LAST)
    assert brought.proof(LAST).state == DayState.GAPPED
    last = brought.proved[LAST]
    assert [(gap.gap, gap.missing) for gap in gaps_of(last.expected, last.gaps)] == [
        ("2024-04-08T05:00:00Z to 2024-04-08T06:00:00Z", 2),
        ("2024-04-08T23:00:00Z", 1),
    ]
    others = {proved.proof.state for day, proved in brought.proved.items() if day != LAST}
    assert others == {DayState.COMPLETE}


def test_a_month_that_was_never_published_is_a_gap(
    fetch: Fetching, sandbox: SandboxExchange
) -> None:
    sandbox.funding.omit(NAME, *range(ms(MARCH), ms(LAST), HOUR))
    brought = fetch(NAME, MARCH, LAST)
    assert brought.proof(LAST).state == DayState.COMPLETE
    assert brought.proof(MARCH).missing == 24


def test_an_exchange_that_has_no_rows_at_all_confirms_no_gap(
    fetch: Fetching, faults: Faults
) -> None:
    faults.corrupt_where("rows_empty", lambda method, reply: method == METHOD)
    brought = fetch(NAME, MARCH, MARCH)
    assert "none of the newest ones either" in str(brought.failed[MARCH])


def test_an_exchange_that_has_no_rows_at_all_says_nothing_of_the_time_before_history(
    fetch: Fetching, sandbox: SandboxExchange, faults: Faults
) -> None:
    before = date(2018, 9, 1)
    assert fetch(NAME, before).proof(before).state == DayState.NOT_LISTED
    assert sandbox.requests[METHOD] == 2
    faults.corrupt_where("rows_empty", lambda method, reply: method == METHOD)
    assert "none of the newest ones either" in str(fetch(NAME, before).failed[before])


@pytest.mark.parametrize(
    "fault",
    [
        "rows_repeated", "rows_unordered", "rows_off_grid", "rows_lack_first", "rows_lack_last",
        "rows_lack_some", "rows_empty", "rows_of_another",
    ],
)  # fmt: skip
@pytest.mark.parametrize("last", [MARCH, LAST])
def test_malformed_funding_is_requested_again(
    fetch: Fetching, sandbox: SandboxExchange, faults: Faults, fault: str, last: date
) -> None:
    faults.corrupt_next([fault], METHOD)
    brought = fetch(NAME, MARCH, last)
    for day, proved in brought.proved.items():
        assert proved.proof.state == DayState.COMPLETE
        assert is_as_published(proved.rows, returned(sandbox, ms(day), ms(day) + 24 * HOUR))
    assert not brought.failed


@pytest.mark.parametrize("months", [[1], [3], [2, 4], [1, 3], [1, 2], [2, 3, 4]])
def test_answers_of_another_instrument_never_make_a_complete_day(
    fetch: Fetching, sandbox: SandboxExchange, faults: Faults, months: list[int]
) -> None:
    # One window a month, January to April; the first responses of some of them are wrong.
    faults.corrupt_where("rows_of_another", first_with([ms(date(2024, n, 4)) for n in months]))
    brought = fetch(NAME, date(2024, 1, 1), LAST)
    assert not brought.failed
    for day, proved in brought.proved.items():
        assert proved.proof.state == DayState.COMPLETE
        assert is_as_published(proved.rows, returned(sandbox, ms(day), ms(day) + 24 * HOUR))


def test_answers_that_never_agree_fail_their_days_alone(fetch: Fetching, faults: Faults) -> None:
    corrupted = ms(date(2024, 2, 15))

    def is_of_february(method: str, reply: Any) -> bool:
        rows = reply.body.get("result")
        return method == METHOD and any(row["timestamp"] == corrupted for row in rows)

    faults.corrupt_where("rows_of_another", is_of_february)
    brought = fetch(NAME, date(2023, 12, 1), date(2024, 4, 8))
    assert date(2024, 2, 15) in brought.failed
    assert len(brought.failed) <= 32
    assert "contradict each other" in str(brought.failed[date(2024, 2, 15)])


def test_a_short_job_is_confirmed_twice(fetch: Fetching) -> None:
    assert fetch(NAME, LAST).fetched[LAST].is_confirmed
