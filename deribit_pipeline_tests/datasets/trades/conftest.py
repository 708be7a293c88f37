"""What the tests of recorded trades use."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.recorded_trades import (
    DAY,
    NAME,
    NOW_MS,
    TODAY,
    Trade,
    published_on,
)
from deribit_pipeline_tests.helpers.requested_trades import RequestedTrades


@pytest.fixture
def requested(sandbox: SandboxExchange) -> RequestedTrades:
    return RequestedTrades(sandbox)


@pytest.fixture
def take_in(opened: Callable[..., Exchange], warehouse: Warehouse) -> Callable[..., Outcome]:
    exchange = opened()

    def take_in(*days: date, force: bool = False) -> Outcome:
        backfill = ForegroundBackfill(exchange, warehouse)
        return backfill.backfill(TRADES, Job("a run", {NAME: list(days)}), force=force)

    return take_in


@pytest.fixture
def around(sandbox: SandboxExchange) -> list[Trade]:
    """The trades from the evening before DAY until now."""
    before = published_on(sandbox, DAY - timedelta(days=1))[-700:]
    return [*before, *published_on(sandbox, DAY), *published_on(sandbox, TODAY, until_ms=NOW_MS)]
