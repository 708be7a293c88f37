"""A warehouse with rows of an account, and its copies, are readable by their owner only."""

import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from deribit_pipeline.datasets.account import TRANSACTION_LOG
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.engine import migration
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.backup_copy import back_up
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse

DAY = date(2024, 3, 10)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def backfill(settings: Settings, warehouse: Warehouse) -> Callable[..., None]:
    """Backfills a day of an account, or of candles."""

    def run(is_of_account: bool) -> None:
        keyed = replace(settings, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        dataset = TRANSACTION_LOG if is_of_account else CANDLES[Resolution.HOUR_1]
        name = "BTC" if is_of_account else "BTC-PERPETUAL"
        with open_exchange(keyed) as exchange:
            outcome = ForegroundBackfill(exchange, warehouse).backfill(
                dataset, Job("a run", {name: [DAY]})
            )
        assert not outcome.failures

    return run


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "held before"])
def test_a_file_with_rows_of_an_account_is_the_owners_alone(
    backfill: Callable[..., None], warehouse: Warehouse, tmp_path: Path, is_there: bool
) -> None:
    assert isinstance(warehouse.location, Path)
    if is_there:
        backfill(False)
        assert mode(warehouse.location) & 0o077
    backfill(True)
    back_up(warehouse, tmp_path / "backup.duckdb")
    moved = Warehouse(tmp_path / "moved.duckdb", Environment.SANDBOX)
    assert migration.migrate(warehouse, moved).is_proved
    for path in (warehouse.location, tmp_path / "backup.duckdb", tmp_path / "moved.duckdb"):
        assert mode(path) == 0o600, path
