"""A warehouse of a fortnight and what changes it; a spool with recorded trades."""

import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.exchange.session import Exchange, spool_of
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.demo_rows import hold_fortnight
from deribit_pipeline_tests.helpers.processes import name_warehouse
from deribit_pipeline_tests.helpers.recorded_reads import Backfill
from deribit_pipeline_tests.helpers.recorded_trades import (
    DAY,
    NAME,
    NOW_MS,
    START_MS,
    STREAM,
    TODAY,
    Trade,
    TradeRecording,
    published_on,
)

Plant = Callable[..., None]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fortnight") / "warehouse.duckdb"
    hold_fortnight(Warehouse(path, Environment.SANDBOX))
    return path


@pytest.fixture
def fortnight(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    path = shutil.copy(original, tmp_path / "warehouse.duckdb")
    name_warehouse(monkeypatch, path, tmp_path)
    return Warehouse(path, Environment.SANDBOX)


@pytest.fixture
def change(fortnight: Warehouse) -> Plant:
    def change(*statements: str) -> None:
        with fortnight.writing() as connection:
            for statement in statements:
                connection.execute(statement)

    return change


@pytest.fixture
def spool(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """The spool that the reader finds."""
    name_warehouse(monkeypatch, settings.warehouse, tmp_path)
    monkeypatch.setenv("DERIBIT_SPOOL", str(settings.spool))
    spool = spool_of(settings)
    with spool.recording():
        pass
    return spool


@pytest.fixture
def recording(spool: Spool) -> Iterator[TradeRecording]:
    recording = TradeRecording(spool, STREAM, START_MS)
    yield recording
    recording.close()


@pytest.fixture
def published(sandbox: SandboxExchange) -> list[Trade]:
    """The trades of both days until now."""
    return [*published_on(sandbox, DAY), *published_on(sandbox, TODAY, until_ms=NOW_MS)]


@pytest.fixture
def backfill(opened: Callable[..., Exchange], warehouse: Warehouse, spool: Spool) -> Backfill:
    exchange = opened()

    def backfill(*days: date, of: Dataset = TRADES) -> None:
        outcome = ForegroundBackfill(exchange, warehouse).backfill(
            of, Job("a run", {NAME: list(days)})
        )
        assert outcome.failures == {}

    with warehouse.writing():
        pass  # an empty warehouse
    return backfill
