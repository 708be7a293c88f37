"""Faults of the exchange, mixed and one by one: every dataset stores correct rows, or no proof."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import FAULTS, Faults, Where
from deribit_pipeline.sandbox.row_faults import CHANGES, is_rows
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import HELD_UNTIL, Clock
from deribit_pipeline_tests.helpers.dataset_backfills import SOME, Backfills, Some, contradictions

SHARE = 0.2
Truth = Callable[[Some, int], Path]

COUNTED = ("funding_rates", "trades")
"""Datasets whose responses are compared with neighbours and numbers, however often one is wrong."""

PLAUSIBLE = {name for name in CHANGES if name not in ("rows_repeated", "rows_unordered")}
"""Faults of rows that no single response shows, unless its rows are on a grid or are counted."""

each_dataset = pytest.mark.parametrize("name", SOME)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Makes warehouses with the rows of an exchange without faults."""
    made: dict[tuple[str, int], Path] = {}

    def make(some: Some, days: int) -> Path:
        key = (some.dataset.name, days)
        if key not in made:
            path = tmp_path_factory.mktemp("truth") / "warehouse.duckdb"
            with serving(SandboxExchange(Clock(HELD_UNTIL), per_second=0)) as url:
                backfills = Backfills(
                    Settings(
                        Environment.SANDBOX, url, warehouse=path, requests_per_second=1_000_000.0
                    )
                )
                for outcome in backfills(some, days):
                    assert_all_is_settled(outcome)
            made[key] = path
        return made[key]

    return make


def assert_all_is_settled(outcome: Outcome) -> None:
    assert outcome.failures == {}
    assert len(outcome.proofs) == outcome.requested
    assert DayState.OPEN not in outcome.days_by_state


def survives(settings: Settings, truth: Truth, faults: Faults, name: str, days: int) -> None:
    """Backfill with the faults, and once more without them."""
    some, backfills = SOME[name], Backfills(settings)
    true = truth(some, days)
    steps = [dataset.name for dataset in some.steps]
    outcomes = backfills(some, days, timeout=1.0)
    faults.mend()
    for outcome in outcomes:
        requested = {(series, day) for series, wanted in some.days(days).items() for day in wanted}
        assert outcome.proofs.keys() | outcome.failures.keys() == requested
        assert not outcome.proofs.keys() & outcome.failures.keys()
        assert all(outcome.failures.values())
    assert contradictions(settings.warehouse, true, *steps) == []
    assert verify(backfills.warehouse).findings == []
    for outcome in backfills(some, days):
        assert_all_is_settled(outcome)
    assert contradictions(settings.warehouse, true, *steps) == []
    assert contradictions(true, settings.warehouse, *steps) == []
    assert verify(backfills.warehouse).findings == []


def every_fifth_of_a_method(corrupted: set[str]) -> Where:
    """Every fifth response of a method, but no row a second time; adds the rows to `corrupted`.

    Where two responses confirm each other, as nothing else does, they are right by definition if
    both have the same rows or none of them (see "Not promised" in docs/guarantees.md). Pages of
    several series come in any order, so that only the rows show what was corrupted before.
    """
    responses = Counter[str]()

    def where(method: str, reply: Reply) -> bool:
        responses[method] += 1
        rows = {repr(row) for row in spoilable_rows(reply)}
        if responses[method] % 5 != 1 or rows & corrupted:
            return False
        corrupted.update(rows)
        return True

    return where


def spoilable_rows(reply: Reply) -> list[Any]:
    """The rows of a response that a fault of rows changes."""
    result = reply.body.get("result")
    lists = result.values() if isinstance(result, dict) else [result]
    return next((rows for rows in lists if is_rows(rows)), [])


@each_dataset
def test_faults_mixed_leave_no_dataset_wrong_and_nothing_unsaid(
    settings: Settings, truth: Truth, faults: Faults, name: str
) -> None:
    quick = ["503_html", "502", "reset", "truncated", "other_listing", *CHANGES]
    rates = dict.fromkeys(quick, SHARE / len(quick))
    faults.corrupt_shares(rates, seed=1)
    survives(settings, truth, faults, name, SOME[name].few)


@pytest.mark.parametrize(
    ("name", "days", "fault", "is_corrupted"),
    [
        # Its first point may cover only a part of its span, in every response.
        ("index_prices", 3, "rows_repeated", lambda rows: len(rows) > 500),
        # The hours of weeks need several windows, which are compared with their neighbours.
        ("volatility_index", 20, "rows_of_another", lambda rows: is_hourly(rows)),
    ],
    ids=["index_prices", "volatility_index"],
)
def test_a_fault_that_comes_twice_in_a_row(
    settings: Settings,
    truth: Truth,
    faults: Faults,
    name: str,
    days: int,
    fault: str,
    is_corrupted: Callable[[Any], bool],
) -> None:
    firsts = list[float]()

    def twice(_: str, reply: Reply) -> bool:
        """Matches two responses to the first window of each of the two series."""
        rows = rows_of(reply)
        if not rows or not is_corrupted(rows):
            return False
        stamps = [row[0] for row in rows]  # the second response is for a wider window
        if firsts and firsts[0] not in stamps:
            return False
        firsts.append(stamps[0])
        return len(firsts) <= 4

    faults.corrupt_where(fault, twice)
    survives(settings, truth, faults, name, days)
    assert len(firsts) >= 4


def is_hourly(rows: list[list[float]]) -> bool:
    return len(rows) > 48 and rows[1][0] - rows[0][0] == 3_600_000


def rows_of(reply: Reply) -> list[list[float]]:
    """The rows of a response, if they are arrays."""
    result = reply.body.get("result")
    rows = result.get("data") if isinstance(result, dict) else result
    return rows if is_rows(rows) and isinstance(rows[0], list) else []


@pytest.mark.torture
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (name, fault)
        for name, some in SOME.items()
        for fault in ("truncated", "testnet", "other_listing", *CHANGES)
        if not some.before  # made of stored rows, without a request
        # A trade is in one response only: a plausible time is stored as returned.
        and (name, fault) != ("trades", "rows_off_grid")
    ],
)
def test_a_fault_that_corrupts_a_fifth_of_the_responses_of_a_dataset(
    settings: Settings, truth: Truth, faults: Faults, name: str, fault: str
) -> None:
    if fault not in PLAUSIBLE or name in COUNTED:
        faults.corrupt_shares({fault: SHARE}, seed=0)
        survives(settings, truth, faults, name, SOME[name].many)
        return
    corrupted = set[str]()
    faults.corrupt_where(fault, every_fifth_of_a_method(corrupted))
    survives(settings, truth, faults, name, SOME[name].many)
    assert corrupted


@pytest.mark.torture
@each_dataset
@pytest.mark.parametrize("seed", range(3))
def test_all_faults_mixed_corrupt_a_fifth_of_the_responses_of_a_dataset(
    settings: Settings, truth: Truth, faults: Faults, name: str, seed: int
) -> None:
    rates = dict.fromkeys(FAULTS, SHARE / len(FAULTS))
    faults.corrupt_shares(rates, seed)
    survives(settings, truth, faults, name, SOME[name].many)
