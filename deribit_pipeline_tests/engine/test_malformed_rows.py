"""A malformed row leaves only its own day unproved, and its time is named."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from deribit_pipeline.datasets.account import SETTLEMENT_HISTORY, TRANSACTION_LOG, USER_TRADES
from deribit_pipeline.datasets.account import wire as methods
from deribit_pipeline.datasets.delivery_prices import DELIVERY_PRICES
from deribit_pipeline.datasets.historical_volatility import HISTORICAL_VOLATILITY
from deribit_pipeline.datasets.index_prices import INDEX_PRICES
from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.rows import rows_hash
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.source import FailedDays, source_of
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.account_owner import owner_of
from deribit_pipeline_tests.helpers.fetched_prices import CHART, DELIVERIES, VOLATILITY
from deribit_pipeline_tests.helpers.fetched_settlements import BY_CURRENCY

Row = Any
Change = Callable[[Row], Row]


@dataclass(frozen=True)
class Kind:
    """Days of a dataset, one of which has a malformed row; and how to find its rows."""

    dataset: Dataset
    method: str
    series: str
    first: date
    last: date
    corrupted: date
    name: str = ""  # of the list of rows in a result; empty: the result is the list

    @property
    def days(self) -> list[date]:
        return list(days_between(self.first, self.last))


KINDS = [
    Kind(SETTLEMENTS, BY_CURRENCY, "BTC", date(2024, 3, 25), date(2024, 4, 4),
         date(2024, 3, 29), "settlements"),
    Kind(DELIVERY_PRICES, DELIVERIES, "btc_usd", date(2024, 3, 25), date(2024, 4, 4),
         date(2024, 3, 29), "data"),
    Kind(HISTORICAL_VOLATILITY, VOLATILITY, "BTC", date(2024, 3, 27), date(2024, 4, 9),
         date(2024, 4, 2)),
    Kind(INDEX_PRICES, CHART, "btc_usd", date(2024, 4, 8), date(2024, 4, 10), date(2024, 4, 9)),
    Kind(TRANSACTION_LOG, methods.LOG, "BTC", date(2024, 3, 13), date(2024, 3, 18),
         date(2024, 3, 15), "logs"),
    Kind(USER_TRADES, methods.TRADES, "BTC", date(2024, 3, 8), date(2024, 3, 13),
         date(2024, 3, 10), "trades"),
    Kind(SETTLEMENT_HISTORY, methods.SETTLEMENTS, "BTC", date(2024, 3, 5), date(2024, 3, 13),
         date(2024, 3, 10), "settlements"),
]  # fmt: skip
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.dataset.name)


@pytest.fixture
def fetched(
    settings: Settings, sandbox: SandboxExchange, warehouse: Warehouse
) -> Iterator[Callable[[Kind], dict[date, FetchedDay | str]]]:
    """The days of a kind, or why they failed."""
    with owner_of(settings, sandbox) as owner:
        yield lambda kind: owner.exchange.run(brought(owner.exchange, warehouse, kind))


async def brought(
    exchange: Exchange, warehouse: Warehouse, kind: Kind
) -> dict[date, FetchedDay | str]:
    found: dict[date, FetchedDay | str] = {}
    source = source_of(kind.dataset)
    async for piece in source.fetch(exchange, warehouse, kind.series, kind.days):
        if isinstance(piece, FailedDays):
            found |= dict.fromkeys(piece.days, str(piece.error))
        else:
            found[piece.day] = piece
    assert sorted(found) == kind.days
    return found


def day_of(row: Row) -> date:
    if isinstance(row, dict) and "date" in row:
        return date.fromisoformat(row["date"])
    at = row["timestamp"] if isinstance(row, dict) else row[0]
    return datetime.fromtimestamp(at / 1000, UTC).date()


def corrupt(sandbox: SandboxExchange, kind: Kind, change: Callable[[Row], Sequence[Row]]) -> None:
    """Apply `change` to the second row of the day in each response that contains it."""
    found: list[Row] = []

    def corrupted(result: Any) -> Any:
        rows = list(result[kind.name] if kind.name else result)
        of_day = [n for n, row in enumerate(rows) if day_of(row) == kind.corrupted]
        same = [n for n in of_day if not found or rows[n] == found[0]]
        if len(of_day) > 1 and not found:
            same = of_day[1:]
        for n in same[:1]:
            found[:] = [rows[n]]
            most = len(rows)
            rows[n : n + 1] = change(rows[n])
            if kind.dataset is SETTLEMENTS:  # the page limit; the next page has the rest
                rows = rows[:most]
        return result | {kind.name: rows} if kind.name else rows

    sandbox.amend(kind.method, corrupted)


def value_is(value: object) -> Change:
    """Change the first number of the row."""

    def change(row: Row) -> Row:
        if isinstance(row, list):
            return [row[0], value]
        for name in ("index_price", "delivery_price", "change"):
            if name in row:
                return row | {name: value}
        raise AssertionError(row)

    return change


@each_kind
@pytest.mark.parametrize(
    "change",
    [value_is("soon"), value_is(True), value_is([]), lambda row: None, lambda row: "row"],
    ids=["text", "boolean", "list", "null", "no-row"],
)
def test_a_malformed_row_costs_its_own_day_alone_and_is_named(
    fetched: Callable[[Kind], dict[date, FetchedDay | str]], sandbox: SandboxExchange, kind: Kind,
    change: Change,
) -> None:  # fmt: skip
    sound = fetched(kind)
    corrupt(sandbox, kind, lambda row: [change(row)])
    days = fetched(kind)
    why = days.pop(kind.corrupted)
    assert isinstance(why, str)
    assert "is malformed: " in why
    if kind.dataset is SETTLEMENT_HISTORY and change({"change": 0}) in (None, "row"):
        # Its time is unknown, except that it was between the trades of the neighbouring days.
        assert {day for day, piece in days.items() if isinstance(piece, str)} == {
            kind.corrupted - timedelta(days=1), kind.corrupted + timedelta(days=1)
        }  # fmt: skip
        return
    assert f"{kind.corrupted}T" in why
    for day, piece in days.items():
        assert isinstance(piece, FetchedDay), piece
        former = sound[day]
        assert isinstance(former, FetchedDay)
        assert rows_hash(piece.rows) == rows_hash(former.rows)


@each_kind
def test_rows_that_are_equal_in_every_field_are_one_row_with_a_warning(
    fetched: Callable[[Kind], dict[date, FetchedDay | str]], sandbox: SandboxExchange, kind: Kind,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    sound = fetched(kind)
    assert "were repeated" not in caplog.text
    corrupt(sandbox, kind, lambda row: [row, row])
    for day, piece in fetched(kind).items():
        former = sound[day]
        assert isinstance(piece, FetchedDay), piece
        assert isinstance(former, FetchedDay)
        assert rows_hash(piece.rows) == rows_hash(former.rows)
    assert f"1 {kind.dataset.rows} of {kind.dataset.name} were repeated, equal" in caplog.text


@each_kind
def test_rows_of_one_key_with_different_values_are_refused(
    fetched: Callable[[Kind], dict[date, FetchedDay | str]], sandbox: SandboxExchange, kind: Kind
) -> None:
    corrupt(sandbox, kind, lambda row: [row, value_is(7.0)(row)])
    days = fetched(kind)
    why = days.pop(kind.corrupted)
    assert isinstance(why, str)
    assert "is malformed: it was returned twice, with different values" in why
    assert all(isinstance(piece, FetchedDay) for piece in days.values())


@pytest.mark.parametrize("kind", [KINDS[1], KINDS[2], KINDS[3]], ids=lambda kind: kind.method)
def test_a_value_that_is_null_because_it_is_not_there_yet_leaves_the_day_open(
    fetched: Callable[[Kind], dict[date, FetchedDay | str]], sandbox: SandboxExchange, kind: Kind,
    clock: Clock,
) -> None:  # fmt: skip
    clock.now = datetime(2024, 4, 10, 7, 30, 20, tzinfo=UTC)

    def with_null(result: Any) -> Any:
        if isinstance(result, list):
            return [*result[:-1], [result[-1][0], None]]
        today = {"date": "2024-04-10", "delivery_price": None}
        rows = [today, *result["data"]]
        if len(rows) > 800:  # a page holds no more
            rows = rows[:-1]
        return result | {"data": rows, "records_total": result["records_total"] + 1}

    sandbox.amend(kind.method, with_null)
    today = replace(kind, first=date(2024, 4, 9), last=date(2024, 4, 10))
    for day, piece in fetched(today).items():
        assert isinstance(piece, FetchedDay), piece
        assert piece.is_over == (day.day == 9)


@each_kind
def test_a_row_that_is_malformed_once_costs_nothing(
    fetched: Callable[[Kind], dict[date, FetchedDay | str]], sandbox: SandboxExchange, kind: Kind
) -> None:
    turns = iter([lambda row: [None]])
    corrupt(sandbox, kind, lambda row: next(turns, lambda row: [row])(row))
    assert all(isinstance(piece, FetchedDay) for piece in fetched(kind).values())
