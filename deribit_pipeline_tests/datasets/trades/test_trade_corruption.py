"""One wrong response among many over a long range leaves no wrong trade in a complete day."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.rows import rows_hash
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.trade_faults import CHANGES
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.fetched_trades import NAME, TradesFetched
from deribit_pipeline_tests.helpers.mutations import each_of_both

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 20)
LONG = 5_000
"""Responses with at least this many trades belong to a chunk of the days."""


@pytest.fixture
def source(
    opened: Callable[..., Exchange], warehouse: Warehouse, sandbox: SandboxExchange
) -> TradesFetched:
    return TradesFetched(opened(patience=2.0), warehouse, sandbox)


@pytest.fixture(scope="module")
def true_days() -> dict[str, dict[date, str]]:
    return {}


def trades_of(reply: Reply) -> list[dict[str, Any]]:
    result = reply.body.get("result")
    return result.get("trades") or [] if isinstance(result, dict) else []


def one_response(place: int, count: int = 1) -> Callable[[str, Reply], bool]:
    """Matches the chunk at a place in the order of requests, `count` times."""
    chunks: list[int] = []

    def where(method: str, reply: Reply) -> bool:
        if len(trades_of(reply)) < LONG:
            return False
        chunks.append(1)
        return place < len(chunks) <= place + count

    return where


def true_hashes(source: TradesFetched, cache: dict[str, dict[date, str]]) -> dict[date, str]:
    if NAME not in cache:
        cache[NAME] = {
            day: rows_hash(piece.rows)
            for day, piece in source.fetched(FIRST, LAST).items()
            if isinstance(piece, FetchedDay)
        }
        assert len(cache[NAME]) == 20
    return cache[NAME]


@each_of_both("fault, place", list(CHANGES), [0, 2])
def test_one_corrupted_response_leaves_no_wrong_trade(
    source: TradesFetched,
    faults: Faults,
    true_days: dict[str, dict[date, str]],
    fault: str,
    place: int,
) -> None:
    truth = true_hashes(source, true_days)
    faults.corrupt_where(fault, one_response(place))
    fetched = source.fetched(FIRST, LAST)
    assert fetched.keys() == truth.keys()
    for day, piece in fetched.items():
        assert isinstance(piece, FetchedDay), (day, piece)
        assert rows_hash(piece.rows) == truth[day], day
        assert piece.verdict == ""
