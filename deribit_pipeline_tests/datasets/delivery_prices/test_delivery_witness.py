"""Settlements, delivery prices and indexes of a day are compared with each other."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from deribit_pipeline.datasets.delivery_prices import DELIVERY_PRICES
from deribit_pipeline.datasets.index_prices import INDEX_PRICES
from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import CrossCheck, DayState, Proof
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.breaches import breaches
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.fetched_prices import CHART, DELIVERIES
from deribit_pipeline_tests.helpers.fetched_settlements import BY_CURRENCY

EXPIRY, YESTERDAY = date(2024, 3, 29), date(2024, 4, 9)

Backfill = Callable[..., Proof]


@pytest.fixture
def backfill(opened: Callable[..., Exchange], warehouse: Warehouse) -> Backfill:
    here = ForegroundBackfill(opened(), warehouse)

    def backfill(dataset: Dataset, series: str, day: date = EXPIRY) -> Proof:
        [proof] = here.backfill(dataset, Job("a run", {series: [day]})).proofs.values()
        assert isinstance(proof, Proof)
        assert proof.state is DayState.COMPLETE
        return proof

    return backfill


def corrupt(sandbox: SandboxExchange, method: str, name: str, column: str, by: float) -> None:
    """Every row of every response has another value."""

    def other(row: Any) -> Any:
        if isinstance(row, list):
            return [row[0], row[1] * by]
        return row | {column: row[column] * by}

    sandbox.amend(
        method,
        lambda result: (
            result | {name: [other(row) for row in result[name]]} if name else [*map(other, result)]
        ),
    )


def test_without_the_other_nothing_is_compared(backfill: Backfill) -> None:
    for dataset, series, day in (
        (SETTLEMENTS, "ETH", EXPIRY), (DELIVERY_PRICES, "btc_usd", EXPIRY),
        (INDEX_PRICES, "btc_usd", YESTERDAY),
    ):  # fmt: skip
        proof = backfill(dataset, series, day)
        assert (proof.cross_check, proof.verdict) == (CrossCheck.NONE, "")


@pytest.mark.parametrize("is_delivery_first", [True, False])
def test_what_expired_settles_at_the_delivery_price(
    backfill: Backfill, *, is_delivery_first: bool
) -> None:
    pair = [(DELIVERY_PRICES, "btc_usd"), (SETTLEMENTS, "BTC")]
    _, proof = [backfill(*one) for one in (pair if is_delivery_first else pair[::-1])]
    assert (proof.cross_check, proof.verdict) == (CrossCheck.AGREES, "")


def test_settlements_that_contradict_the_delivery_price_are_named(
    backfill: Backfill, sandbox: SandboxExchange, warehouse: Warehouse
) -> None:
    delivered = backfill(DELIVERY_PRICES, "btc_usd")
    corrupt(sandbox, BY_CURRENCY, "settlements", "index_price", 1.001)
    proof = backfill(SETTLEMENTS, "BTC")
    assert delivered.cross_check is CrossCheck.NONE
    assert proof.cross_check is CrossCheck.DISAGREES
    # A perpetual settles at the index of the moment, which is near the delivery price.
    assert "where the delivery price is" in proof.verdict
    assert "(21 of 22 disagree)" in proof.verdict
    rule = SETTLEMENTS.rules[1]
    with warehouse.reading() as connection:
        assert breaches(connection, rule, {}).count == 21


def test_a_perpetual_that_settles_far_from_the_delivery_price_is_named(
    backfill: Backfill, sandbox: SandboxExchange
) -> None:
    backfill(DELIVERY_PRICES, "btc_usd", YESTERDAY)
    corrupt(sandbox, BY_CURRENCY, "settlements", "index_price", 1.2)
    assert "of BTC-PERPETUAL, where" in backfill(SETTLEMENTS, "BTC", YESTERDAY).verdict


def test_a_delivery_price_that_contradicts_settlements_is_named(
    backfill: Backfill, sandbox: SandboxExchange
) -> None:
    backfill(SETTLEMENTS, "BTC")
    corrupt(sandbox, DELIVERIES, "data", "delivery_price", 1.001)
    proof = backfill(DELIVERY_PRICES, "btc_usd")
    assert proof.cross_check is CrossCheck.DISAGREES
    assert "where what expired settled at" in proof.verdict


@pytest.mark.parametrize(("by", "check"), [(1.0, CrossCheck.AGREES), (1.5, CrossCheck.DISAGREES)])
def test_an_index_is_held_against_its_delivery_price(
    backfill: Backfill, sandbox: SandboxExchange, by: float, check: CrossCheck
) -> None:
    backfill(DELIVERY_PRICES, "btc_usd", YESTERDAY)
    corrupt(sandbox, CHART, "", "", by)
    proof = backfill(INDEX_PRICES, "btc_usd", YESTERDAY)
    assert proof.cross_check is check
    assert ("before 08:00, and the delivery price" in proof.verdict) == (by != 1.0)
