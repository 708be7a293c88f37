"""Impossible values: requested again, and if the exchange returns them again, stored with a
verdict."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from deribit_pipeline.datasets.account import TRANSACTION_LOG, USER_TRADES
from deribit_pipeline.datasets.account import wire as methods
from deribit_pipeline.datasets.delivery_prices import DELIVERY_PRICES
from deribit_pipeline.datasets.historical_volatility import HISTORICAL_VOLATILITY
from deribit_pipeline.datasets.index_prices import INDEX_PRICES
from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.plausible import with_impossible
from deribit_pipeline.domain.proofs import DayState, FetchedDay, ProvedDay
from deribit_pipeline.domain.rows import rows_hash
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.engine.source import source_of
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.account_owner import owner_of
from deribit_pipeline_tests.helpers.dataset_rows import any_rows
from deribit_pipeline_tests.helpers.fetched_prices import CHART, DELIVERIES, VOLATILITY
from deribit_pipeline_tests.helpers.fetched_settlements import BY_CURRENCY

DAY = date(2024, 4, 9)
PROVED = Callable[[Dataset, str, date], ProvedDay]


@dataclass(frozen=True)
class Case:
    """A value in the rows of a day: its place in the method's result, and its column name."""

    dataset: Dataset
    method: str
    series: str
    name: str
    column: str
    value: float
    day: date = DAY


def cases() -> Iterator[Case]:
    for value in (0.0, -5.0, 1e308):
        yield Case(DELIVERY_PRICES, DELIVERIES, "btc_usd", "data", "delivery_price", value)
        yield Case(INDEX_PRICES, CHART, "btc_usd", "", "price", value)
        yield Case(SETTLEMENTS, BY_CURRENCY, "BTC", "settlements", "index_price", value)
        yield Case(USER_TRADES, methods.TRADES, "BTC", "trades", "price", value, date(2024, 3, 10))
    for value in (-0.5, 1e308):
        yield Case(HISTORICAL_VOLATILITY, VOLATILITY, "BTC", "", "volatility", value)
        yield Case(SETTLEMENTS, BY_CURRENCY, "BTC", "settlements", "mark_price", value)
    yield Case(TRANSACTION_LOG, methods.LOG, "BTC", "logs", "balance", -1e308, date(2024, 3, 10))


each_case = pytest.mark.parametrize(
    "case", list(cases()), ids=lambda case: f"{case.dataset.name}-{case.column}-{case.value}"
)


@pytest.fixture
def proved(settings: Settings, sandbox: SandboxExchange, warehouse: Warehouse) -> Iterator[PROVED]:
    with owner_of(settings, sandbox) as owner:

        async def fetched(dataset: Dataset, series: str, day: date) -> FetchedDay:
            fetched = source_of(dataset).fetch(owner.exchange, warehouse, series, [day])
            [piece] = [piece async for piece in fetched]
            assert isinstance(piece, FetchedDay), piece
            return piece

        yield lambda dataset, series, day: prove(
            dataset, owner.exchange.run(fetched(dataset, series, day))
        )


def corrupt(sandbox: SandboxExchange, case: Case, times: int) -> None:
    """Change the first row of the day in this many of the next responses."""
    start = int((case.day - date(1970, 1, 1)).days) * 86_400_000
    left, chosen = [times], list[Any]()

    def stands(row: Any) -> bool:
        if isinstance(row, list):
            return start <= row[0] < start + 86_400_000
        if "date" in row:
            return bool(row["date"] == str(case.day))
        return bool(start <= row["timestamp"] < start + 86_400_000)

    def corrupted(result: Any) -> Any:
        rows = list(result[case.name] if case.name else result)
        for number, row in enumerate(rows):
            if not left[0] or not stands(row) or (chosen and row != chosen[0]):
                continue
            chosen[:] = [row]
            rows[number] = (
                [row[0], case.value] if isinstance(row, list) else row | {case.column: case.value}
            )
            left[0] -= 1
            break
        return result | {case.name: rows} if case.name else rows

    sandbox.amend(case.method, corrupted)


@each_case
def test_an_impossible_value_that_comes_once_is_never_held(
    proved: PROVED, sandbox: SandboxExchange, case: Case
) -> None:
    sound = proved(case.dataset, case.series, case.day)
    corrupt(sandbox, case, 1)
    again = proved(case.dataset, case.series, case.day)
    assert rows_hash(again.rows) == rows_hash(sound.rows)
    assert again.proof.verdict == sound.proof.verdict
    assert "impossible" not in sound.proof.verdict


@each_case
def test_an_impossible_value_that_the_exchange_repeats_is_kept_and_said(
    proved: PROVED, sandbox: SandboxExchange, case: Case
) -> None:
    corrupt(sandbox, case, 1_000)
    day = proved(case.dataset, case.series, case.day)
    assert day.proof.state is DayState.COMPLETE
    assert case.value in day.rows[case.column].tolist()
    assert "1 impossible value " in day.proof.verdict
    assert f"{case.column} {case.value!r} of {case.day}" in day.proof.verdict


@pytest.mark.parametrize(
    ("name", "is_given"),
    [("BTC-FS-25DEC26_PERP", False), ("BTC-PERPETUAL", True), ("BTC-29MAR24-42000-C", True)],
)
def test_what_a_combo_costs_may_be_negative(name: str, *, is_given: bool) -> None:
    rows = any_rows(USER_TRADES, 5)
    for column, values in rows.items():
        if values.dtype.kind == "f":
            values[:] = 1.0
        if column == "instrument_name":
            values[:] = name
    assert with_impossible(USER_TRADES, rows, "") == ""
    rows["price"][2:] = -1.0
    output = with_impossible(USER_TRADES, rows, "told late")
    assert output.startswith("told late; 3 impossible values, such as price -1.0") == is_given
