"""Responses of rows on a grid: one malformed row affects only its day, and no row is trusted for
another."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets.funding_rates import wire as funding
from deribit_pipeline.datasets.volatility_index import wire as volatility_index
from deribit_pipeline.datasets.volatility_index.calls import get_volatility_index_data
from deribit_pipeline.datasets.volatility_index.wire import DATA
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.windows import day_window, to_ms
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.readings import Reading
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import recorded
from deribit_pipeline_tests.helpers.fetched_days import Fetching
from deribit_pipeline_tests.helpers.windowed_rows import (
    BROKEN,
    HOUR_AT,
    HOURS,
    INVERSE,
    LINEAR,
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

HOUR, DAY = 3_600_000, 86_400_000
ODD = (None, "x", "1.5", True, [], {}, float("inf"), float("nan"), 10**400)


@pytest.mark.parametrize(
    ("kind", "change", "what"),
    [
        (MINUTES, lambda row: [*row[:2], None, *row[3:]], "`high` must be a number, was None"),
        (MINUTES, lambda row: row[:4], "a candle must be"),
        (MINUTES, lambda row: None, "must be an array, was NoneType"),
        (HOURS, lambda row: ["", *row[1:]], "`timestamp` must be a number"),
        (INVERSE, lambda row: None, "must be an object, was NoneType"),
        (HOURS, lambda row: [*row[:4], "38.4"], "`close` must be a number, was '38.4'"),
        (INVERSE, lambda row: row | {"prev_index_price": None}, "`prev_index_price` must be"),
        (LINEAR, lambda row: row | {"interest_1h": True}, "`interest_1h` must be a number"),
    ],
)
def test_a_malformed_row_of_a_window_costs_its_own_day_alone_and_is_named(
    fetch: Fetch, sandbox: SandboxExchange, kind: Kind, change: Change, what: str
) -> None:
    fetch_repeatedly(sandbox, kind, HOUR_AT, change)
    brought = fetch(kind)
    assert list(brought.failed) == [BROKEN]
    error = str(brought.failed[BROKEN])
    assert "the row of 2024-04-03T12:00Z" in error
    assert what in error
    assert others(brought) == {("complete", "agrees")}


@each_kind
@pytest.mark.parametrize("fault", ["value_null", "value_row_twice"])
def test_a_row_that_is_malformed_or_repeated_once_costs_no_day(
    fetch: Fetch,
    faults: Faults,
    caplog: pytest.LogCaptureFixture,
    kind: Kind,
    fault: str,
) -> None:
    faults.corrupt_where(fault, one_of(kind))
    brought = fetch(kind)
    faults.mend()
    assert hashes(brought) == hashes(fetch(kind))
    assert ("1 row returned twice, with equal values" in caplog.text) == (
        fault == "value_row_twice"
    )


@each_kind
def test_a_row_that_is_always_repeated_with_equal_values_is_one_row(
    fetch: Fetch, sandbox: SandboxExchange, kind: Kind
) -> None:
    true = hashes(fetch(kind))
    sandbox.amend(
        kind.method,
        lambda result: (
            result | {"data": [*result["data"][:1], *result["data"]]}
            if isinstance(result, dict)
            else [*result[:1], *result]
        ),
    )
    assert hashes(fetch(kind)) == true


@each_kind
@pytest.mark.parametrize("number", [2, 3])
def test_no_request_is_repeated_with_the_same_bounds(
    opened: Callable[..., Exchange],
    warehouse: Warehouse,
    faults: Faults,
    monkeypatch: pytest.MonkeyPatch,
    kind: Kind,
    number: int,
) -> None:
    """Neither where a short range is requested twice, nor where rows are requested again. What a
    connection that fails makes necessary is no other request."""
    exchange = opened()
    requested: list[tuple[object, ...]] = []
    call = exchange.client.rpc.call

    async def noted(method: str, **params: object) -> Any:
        if method == kind.method:
            requested.append(tuple(params.values()))
        return await call(method, **params)

    monkeypatch.setattr(exchange.client.rpc, "call", noted)
    fetching = Fetching(exchange, warehouse, kind.source)
    faults.corrupt_where("values_swapped", one_of(kind, number))
    fetching(kind.series, kind.last - timedelta(days=6), kind.last)
    for fault in ("rows_of_another", "value_2_raised"):
        faults.corrupt_where(fault, one_of(kind, number))
    fetching(kind.series, kind.first, kind.last - timedelta(days=7))
    assert sorted(bounds for bounds in set(requested) if requested.count(bounds) > 1) == []


@each_kind
def test_rows_for_another_window_are_refused(
    fetch: Fetch, sandbox: SandboxExchange, kind: Kind
) -> None:
    """Rows of a month before the one that was requested, as a cache may return them."""
    month = 31 * 86_400_000

    def earlier(row: Any) -> Any:
        if isinstance(row, dict):
            return row | {"timestamp": row["timestamp"] - month}
        return [row[0] - month, *row[1:]]

    sandbox.amend(
        kind.method,
        lambda result: (
            result | {"data": list(map(earlier, result["data"]))}
            if isinstance(result, dict)
            else list(map(earlier, result))
        ),
    )
    brought = fetch(kind)
    assert not brought.proved
    assert all("rows of 20" in str(error) for error in brought.failed.values())


def test_candles_that_advance_by_a_millisecond_end_in_one_sentence(
    opened: Callable[..., Exchange], fetch: Fetch, sandbox: SandboxExchange
) -> None:
    sandbox.volatility_index.creeps = True
    exchange, window = opened(), day_window(MINUTES.last)
    with pytest.raises(DeribitBadPayload, match="did not end after 4 responses"):
        exchange.run(get_volatility_index_data(exchange.client, "BTC", "60", window))
    assert sandbox.requests[DATA] == 4
    brought = fetch(replace(MINUTES, first=MINUTES.last))
    assert not brought.proved
    assert "did not end after" in str(brought.failed[MINUTES.last])
    assert sandbox.requests[DATA] < 100


def test_a_perpetual_without_funding_yet_is_gapped_and_no_error(
    fetch: Fetch, sandbox: SandboxExchange, faults: Faults
) -> None:
    """Where another perpetual has funding: an exchange that has none at all may be down."""
    name, first = "SOL_USDC-PERPETUAL", date(2024, 4, 1)
    start = to_ms(day_window(first).start)
    sandbox.funding.omit(name, *range(start - 40 * DAY, start + 10 * DAY, HOUR))
    kind = replace(INVERSE, series=name, first=first)
    brought = fetch(kind)
    assert {proved.proof.state for proved in brought.proved.values()} == {DayState.GAPPED}
    assert not brought.failed
    faults.corrupt_where("rows_empty", lambda method, reply: method == kind.method)
    assert not fetch(kind).proved


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_whatever_a_row_has_in_it_the_others_are_read_exactly(odd: object) -> None:
    hours, candles = recorded("funding_rate_history"), recorded("volatility_index")["data"]
    for place in (0, 7, len(candles) - 1):
        for name in hours[0]:
            damaged = [*hours[:place], hours[place] | {name: odd}, *hours[place + 1 :]]
            assert_read_but_for(place, funding.reading(damaged), funding.reading(hours))
        for column in range(5):
            row = [*candles[place][:column], odd, *candles[place][column + 1 :]]
            damaged = {"data": [*candles[:place], row, *candles[place + 1 :]]}
            read = volatility_index.reading(damaged).reading
            assert_read_but_for(place, read, volatility_index.reading({"data": candles}).reading)


def assert_read_but_for(place: int, read: Reading, true: Reading) -> None:
    at = next(iter(true.rows))
    assert read.rows[at].tolist() == true.rows[at].tolist()
    assert list(read.malformed) == [int(read.rows[at][place].astype(np.int64))]
    for name in list(true.rows)[1:]:
        assert np.isnan(read.rows[name][place])
        assert np.delete(read.rows[name], place).tolist() == (
            np.delete(true.rows[name], place).tolist()
        )
