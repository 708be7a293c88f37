"""Trades that are cut and compared with candles in pieces give what the whole day gives."""

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets.trades.hours import Hours, hourly, kind_of
from deribit_pipeline.datasets.trades.trade_numbers import NO_TRADES
from deribit_pipeline.datasets.trades.values import late_numbers, out_of_order
from deribit_pipeline.domain import pieces
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.rows import Columns, Pieces, Rows, rows_hash, some_of
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.fetched_trades import NAME, TradesFetched

CHART = "public/get_tradingview_chart_data"
DAY = date(2024, 3, 2)
COUNT = 1_000

seeds = pytest.mark.parametrize("seed", range(10))
sizes = pytest.mark.parametrize("size", [7, 150])


def some_trades(seed: int) -> Columns:
    """A day of trades, a few of them earlier than one with a lower number. Prices are powers of two
    and amounts integers, so that no sum is rounded."""
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(0, 24 * 3_600_000, COUNT))
    times[random.integers(0, COUNT, 20)] -= random.integers(0, 40_000_000, 20)
    numbers = np.cumsum(random.integers(1, 4, COUNT))
    blocks = np.array([None, "BLOCK-1"], object)
    return {name: np.resize(values, COUNT) for name, values in NO_TRADES.items()} | {
        "trade_seq": numbers,
        "traded_at": np.datetime64(DAY, "ms") + np.maximum(times, 0),
        "price": 2.0 ** random.integers(-3, 4, COUNT),
        "amount": random.integers(1, 9, COUNT) * 10.0,
        "block_trade_id": blocks[(random.random(COUNT) < 0.1).astype(int)],
        "combo_id": blocks[(random.random(COUNT) < 0.1).astype(int)],
    }


def in_pieces(monkeypatch: pytest.MonkeyPatch, rows: Columns, size: int) -> Rows:
    monkeypatch.setattr(pieces, "PIECE", size)
    found = Pieces()
    for first in range(0, COUNT, 40):
        found.append(some_of(rows, slice(first, first + 40)))
    assert isinstance(found.rows(), Pieces)
    return found.rows()


@seeds
@sizes
@pytest.mark.parametrize("way", [(True, True), (False, True), (False, False)])
def test_candles_of_pieces_are_those_of_all_trades(
    monkeypatch: pytest.MonkeyPatch, seed: int, size: int, way: tuple[bool, bool]
) -> None:
    rows, kind = some_trades(seed), kind_of(NAME, "future")
    expected = hourly(rows, kind, way)
    found = hourly(in_pieces(monkeypatch, rows, size), kind, way)
    assert values_of(found) == values_of(expected)


def values_of(hours: Hours) -> list[Any]:
    candles = hours.candles
    return [candles.opened_at.tolist(), candles.values.tolist(), hours.begin_idle.tolist()]


@seeds
@sizes
def test_trades_out_of_order_are_found_across_pieces(
    monkeypatch: pytest.MonkeyPatch, seed: int, size: int
) -> None:
    rows = some_trades(seed)
    expected = rows["trade_seq"][out_of_order(rows["trade_seq"], rows["traded_at"])]
    assert len(expected)
    found = late_numbers(in_pieces(monkeypatch, rows, size))
    assert found.tolist() == expected.tolist()


def nothing(source: TradesFetched) -> None:
    pass


def omit(source: TradesFetched) -> None:
    first = source.numbers(DAY).start + 1_000
    source.sandbox.trades.omit(NAME, first, first + 300)


def change_hours(source: TradesFetched) -> None:
    """Candles of two hours differ from their trades."""

    def amended(chart: dict[str, Any]) -> dict[str, Any]:
        high = np.array(chart["high"])
        high[np.isin(np.array(chart["ticks"]) // 3_600_000 % 24, [5, 17])] += 100
        return chart | {"high": high}

    source.sandbox.amend(CHART, amended)


@pytest.mark.parametrize("change", [nothing, omit, change_hours])
def test_a_day_that_is_fetched_in_pieces_is_the_whole_day(
    opened: Callable[..., Exchange],
    warehouse: Warehouse,
    sandbox: SandboxExchange,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[TradesFetched], None],
) -> None:
    source = TradesFetched(opened(patience=2.0), warehouse, sandbox)
    change(source)
    whole = source.fetched(DAY, DAY)[DAY]
    monkeypatch.setattr(pieces, "PIECE", 150)
    parts = source.fetched(DAY, DAY)[DAY]
    assert isinstance(whole, FetchedDay)
    assert isinstance(parts, FetchedDay)
    assert isinstance(parts.rows, Pieces)
    assert rows_hash(parts.rows) == rows_hash(whole.rows)
    assert without_rows(parts) == without_rows(whole)


def without_rows(day: FetchedDay) -> list[Any]:
    """Everything else that the source found."""
    assert day.expected is not None
    return [day.expected.tolist(), day.verdict, day.cross_check, day.is_over, day.is_listed]
