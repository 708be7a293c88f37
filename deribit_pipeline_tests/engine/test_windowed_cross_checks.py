"""One wrong value among many rows of funding or the volatility index is never stored in a
complete day."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from deribit_pipeline.datasets.funding_rates.wire import rates
from deribit_pipeline.datasets.funding_rates.witness import FUNDING_TOLERANCE, EightHours
from deribit_pipeline.datasets.volatility_index.wire import DATA
from deribit_pipeline.domain.proofs import CrossCheck, DayState
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.value_faults import VALUE_CHANGES
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import recorded
from deribit_pipeline_tests.helpers.fetched_days import Fetching
from deribit_pipeline_tests.helpers.mutations import each_of_both
from deribit_pipeline_tests.helpers.windowed_rows import (
    AT,
    BROKEN,
    HOUR_AT,
    HOURS,
    INVERSE,
    KINDS,
    MINUTES,
    Change,
    Fetch,
    Kind,
    each_kind,
    fetch,
    fetch_repeatedly,
    hashes,
    one_of,
    others,
)

__all__ = ["fetch"]  # a fixture

WRONG = sorted(VALUE_CHANGES.keys() - {"value_row_twice", "value_null"})


def named(value: object) -> str:
    return next((name for name, kind in KINDS.items() if kind is value), str(value))


@each_of_both("kind, fault", list(KINDS.values()), WRONG, ids=named)
def test_one_wrong_response_of_many_leaves_no_wrong_row_in_a_complete_day(
    fetch: Fetch, sandbox: SandboxExchange, faults: Faults, kind: Kind, fault: str
) -> None:
    faults.corrupt_where(fault, one_of(kind))
    brought = fetch(kind)
    requests = sandbox.requests[kind.method]
    assert requests > kind.source.requests(kind.series, [*brought.fetched])
    faults.mend()
    assert hashes(brought) == hashes(fetch(kind))
    assert sandbox.requests[kind.method] < 2 * requests
    assert others(brought, kind.first) == {("complete", "agrees")}
    assert brought.proof(kind.first).cross_check == CrossCheck.AGREES


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda row: [*row[:2], row[3] - 1, *row[3:]], "low above high"),
        (lambda row: [*row[:3], row[3] + 5, row[4]], "low above high"),
        (lambda row: [*row[:3], row[1] + 0.01, row[1] + 0.01], "low above open or close"),
        (lambda row: [*row[:3], 0.0, row[4]], "a value of 0 or less"),
        (lambda row: [*row[:3], -1.0, row[4]], "a value of 0 or less"),
        (lambda row: [*row[:2], 1e308, *row[3:]], "a value above 10,000"),
    ],
)
def test_impossible_values_that_are_returned_twice_are_kept_with_a_verdict(
    fetch: Fetch, sandbox: SandboxExchange, change: Change, what: str
) -> None:
    fetch_repeatedly(sandbox, MINUTES, AT, change)
    brought = fetch(MINUTES)
    proof = brought.proof(BROKEN)
    assert proof.state == DayState.COMPLETE
    assert f"impossible values, returned twice: {what} at 12:03 (resolution 60)" in proof.verdict
    assert others(brought) == {("complete", "agrees")}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"index_price": 0.0}, "an index price of 0 or less"),
        ({"prev_index_price": -7.0}, "an index price of 0 or less"),
        ({"interest_1h": -1e308}, "a rate of more than 0.1 an hour"),
        ({"interest_8h": 0.81}, "a rate of more than 0.1 an hour"),
        ({"index_price": 1e308}, "an index price above 1e+09"),
    ],
)
def test_impossible_funding_that_is_returned_twice_is_kept_with_a_verdict(
    fetch: Fetch, sandbox: SandboxExchange, change: dict[str, float], what: str
) -> None:
    fetch_repeatedly(sandbox, INVERSE, HOUR_AT, lambda row: row | change)
    proof = fetch(INVERSE).proof(BROKEN)
    assert proof.state == DayState.COMPLETE
    assert f"impossible values, returned twice: {what} at 12:00" in proof.verdict


def test_an_hour_that_disagrees_with_its_minutes_twice_is_complete_and_says_so(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    fetch_repeatedly(sandbox, HOURS, HOUR_AT, lambda row: [*row[:2], row[2] + 1, *row[3:]])
    brought = fetch(HOURS)
    proof = brought.proof(BROKEN)
    assert proof.state == DayState.COMPLETE
    assert proof.cross_check == CrossCheck.DISAGREES
    output = "hours and their minutes disagree, returned twice: at 12:00 its high is "
    assert proof.verdict.startswith(output)
    assert others(brought) == {("complete", "agrees")}


def test_funding_that_disagrees_with_its_sum_twice_is_complete_and_says_so(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    change = {"interest_8h": 0.001, "prev_index_price": 70_000.0}
    fetch_repeatedly(sandbox, INVERSE, HOUR_AT, lambda row: row | change)
    brought = fetch(INVERSE)
    proof = brought.proof(BROKEN)
    assert proof.state == DayState.COMPLETE
    assert proof.cross_check == CrossCheck.DISAGREES
    assert "interest_8h and its hours disagree, returned twice: at 12:00" in proof.verdict
    assert "index prices of neighbouring hours disagree, returned twice: at 12:00" in proof.verdict
    assert others(brought) == {("complete", "agrees")}


@each_kind
def test_a_row_of_which_no_two_responses_say_the_same_fails_its_day_alone(
    fetch: Fetch, sandbox: SandboxExchange, kind: Kind
) -> None:
    times = 0

    def change(row: Any) -> Any:
        nonlocal times
        times += 1
        if isinstance(row, dict):
            return row | {"interest_1h": times / 1e3}
        return [*row[:2], row[2] + times, *row[3:]]

    fetch_repeatedly(sandbox, kind, HOUR_AT, change)
    brought = fetch(kind)
    assert list(brought.failed) == [BROKEN]
    output = "no two responses agree on the row of 2024-04-03T12:00Z"
    assert output in str(brought.failed[BROKEN])
    assert others(brought) == {("complete", "agrees")}
    planned = kind.source.requests(kind.series, [*brought.fetched, BROKEN])
    assert sandbox.requests[kind.method] <= planned + 2 * 6


def test_a_witness_that_denies_most_rows_is_given_up_with_one_warning(
    fetch: Fetch, sandbox: SandboxExchange, caplog: pytest.LogCaptureFixture
) -> None:
    def amended(result: dict[str, Any]) -> dict[str, Any]:
        rows = result["data"]
        is_hourly = len(rows) > 1 and rows[1][0] - rows[0][0] == 3_600_000
        if not is_hourly:
            return result
        return result | {"data": [[*row[:2], row[2] + 0.5, *row[3:]] for row in rows]}

    sandbox.amend(DATA, amended)
    kind = Kind(MINUTES.source, "BTC", date(2024, 1, 1), date(2024, 4, 8), 60_000)
    brought = fetch(kind)
    assert not brought.failed
    assert {proved.proof.state for proved in brought.proved.values()} == {DayState.COMPLETE}
    for proved in brought.proved.values():
        assert proved.proof.cross_check == CrossCheck.DISAGREES
        assert "hours and their minutes disagree, " in proved.proof.verdict
        assert "and 23 more" in proved.proof.verdict
    assert caplog.text.count("further responses confirm them") == 1
    planned = kind.source.requests("BTC", [*brought.fetched])
    assert sandbox.requests[DATA] <= planned + 40


def test_a_day_with_rows_that_no_witness_has_is_not_cross_checked(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    """Funding's first seven hours, and an hour with a missing minute."""
    began = date(2019, 4, 30)
    brought = fetch(replace(INVERSE, first=began, last=date(2019, 5, 3)))
    assert brought.proof(began).cross_check == CrossCheck.NONE
    assert others(brought, began) == {("complete", "agrees")}
    sandbox.volatility_index.omit("BTC", AT, AT + 60_000)
    gapped = fetch(MINUTES)
    assert gapped.proof(BROKEN).state == DayState.GAPPED
    assert gapped.proof(BROKEN).cross_check == CrossCheck.NONE
    assert others(gapped) == {("complete", "agrees")}


@pytest.mark.parametrize("kind", [MINUTES, INVERSE], ids=["minutes", "hours"])
def test_a_cross_check_takes_no_request_where_everything_agrees(
    fetch: Fetch, sandbox: SandboxExchange, kind: Kind
) -> None:
    days = [*fetch(kind).fetched]
    assert sandbox.requests[kind.method] == kind.source.requests(kind.series, days)


def test_recorded_funding_agrees_with_its_witness() -> None:
    rows = rates(recorded("funding_rate_history"))
    assert not any(flags.any() for flags in EightHours(is_linear=False).impossible(rows).values())
    for comparison in EightHours(is_linear=False).compared([rows]):
        assert comparison.count in (17, 23)
        assert not comparison.disagreements


@pytest.mark.parametrize("name", ["interest_1h", "interest_8h", "index_price", "prev_index_price"])
def test_a_tenth_more_in_any_recorded_value_is_found(name: str) -> None:
    """Where that is more than eight hours may be off."""
    rows = rates(recorded("funding_rate_history"))
    places = [n for n in range(8, 23) if abs(rows[name][n]) / 10 > FUNDING_TOLERANCE]
    assert len(places) > 12
    for place in places:
        raised = {**rows, name: rows[name].copy()}
        raised[name][place] *= 1.1
        found = EightHours(is_linear=False).compared([raised])
        assert any(comparison.disagreements for comparison in found), place


def test_minutes_within_an_hour_that_change_places_are_found_where_opens_follow_closes(
    fetch: Fetch, sandbox: SandboxExchange, faults: Faults
) -> None:
    faults.corrupt_where("values_swapped_within_an_hour", one_of(MINUTES))
    brought = fetch(MINUTES)
    faults.mend()
    assert hashes(brought) == hashes(fetch(MINUTES))


def test_a_minute_that_opens_elsewhere_is_no_disagreement_and_soon_no_reason_to_request(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    """Here 1 of 2,501 opens at another price; not verified against the exchange."""

    def elsewhere(row: list[float]) -> list[float]:
        number = row[0] // 60_000
        is_it = number % 2_501 == 0 and number % 60 != 0
        return [row[0], round((row[2] + row[3]) / 2 + 0.001, 3), *row[2:]] if is_it else row

    sandbox.amend(DATA, lambda result: result | {"data": list(map(elsewhere, result["data"]))})
    kind = replace(MINUTES, first=date(2024, 1, 1))
    brought = fetch(kind)
    assert others(brought, kind.first) == {("complete", "agrees")}
    planned = kind.source.requests("BTC", [*brought.fetched])
    assert planned < sandbox.requests[DATA] <= planned + 3 * 14


@each_kind
def test_each_twice_trusts_no_response_that_another_one_does_not_confirm(
    opened: Callable[..., Exchange],
    warehouse: Warehouse,
    sandbox: SandboxExchange,
    faults: Faults,
    kind: Kind,
) -> None:
    """Not even if it passes every comparison of a witness."""

    def conserving(row: Any) -> Any:
        if isinstance(row, dict):
            return row | {"interest_1h": row["interest_1h"] + 1e-9}
        return [*row[:2], row[2], row[3] + 0.001, row[4]]

    exchange = opened()
    exchange.each_twice = True
    fetching = Fetching(exchange, warehouse, kind.source)
    true = hashes(fetching(kind.series, kind.first, kind.last))
    requests = sandbox.requests[kind.method]
    assert requests >= 2 * sum(
        len(sampling_grid.windows(true)) for sampling_grid in kind.source.sampling_grids
    )
    is_one, amended = one_of(kind), []

    def corrupt(result: Any) -> Any:
        rows = result["data"] if isinstance(result, dict) else result
        if not is_one(kind.method, Reply(200, {"result": result})):
            return result
        middle = len(rows) // 2
        amended.append(middle)
        changed = [*rows[:middle], conserving(rows[middle]), *rows[middle + 1 :]]
        return result | {"data": changed} if isinstance(result, dict) else changed

    sandbox.amend(kind.method, corrupt)
    assert hashes(fetching(kind.series, kind.first, kind.last)) == true
    assert len(amended) == 1
