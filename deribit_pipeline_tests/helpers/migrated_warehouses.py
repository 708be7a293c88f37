"""Warehouses that are migrated, and the places that they are migrated to."""

from datetime import timedelta
from pathlib import Path

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from deribit_pipeline.datasets.registry import ROW_DATASETS
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.trades.table import RECORDER_SESSIONS
from deribit_pipeline.domain.dataset import SeriesKind
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake
from deribit_pipeline.domain.proof_tables import DATASET_REVISIONS, FAILED_DAYS
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.series_proofs import hashed_anew
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.exchange.session import spool_of
from deribit_pipeline.instruments.refresh import refresh
from deribit_pipeline.opening import open_exchange, warehouse_at
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import HELD_UNTIL, Clock
from deribit_pipeline_tests.helpers.command_line import Command, commands
from deribit_pipeline_tests.helpers.inserted_rows import hold
from deribit_pipeline_tests.helpers.spooled import Recordings
from deribit_pipeline_tests.helpers.written_warehouse import (
    FIRST,
    everything,
    fetched,
    write,
)


@pytest.fixture(scope="module")
def whole(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with rows of each dataset and in each table."""
    path = tmp_path_factory.mktemp("whole") / "w.duckdb"
    path.write_bytes(filled.read_bytes())
    warehouse = warehouse_at(path, Environment.SANDBOX)
    write(warehouse, fetched(), fetched(FIRST + timedelta(days=1), absent=(3, 4)))
    write(warehouse, fetched(price=0.5))
    yesterday = HELD_UNTIL.date() - timedelta(days=1)
    days = list(days_between(yesterday - timedelta(days=1), yesterday))
    sandbox = SandboxExchange(Clock(HELD_UNTIL), per_second=0)
    with serving(sandbox, Faults()) as url:
        settings = Settings(
            Environment.SANDBOX, url, CLIENT_ID, CLIENT_SECRET, path,
            requests_per_second=1_000_000.0, spool=path.parent / "spool",
        )  # fmt: skip
        spool = spool_of(settings)
        with spool.recording():
            recordings = Recordings(spool, sandbox, "BTC", timedelta(hours=1))
            recordings.record(slot for day in days for slot in recordings.slots(day))
        with open_exchange(settings) as exchange:
            backfill = ForegroundBackfill(exchange, warehouse)
            refresh(exchange, warehouse, "BTC")
            for dataset in ROW_DATASETS:
                series = ("BTC",) if dataset.currencies else ("btc_usd",)
                if dataset.series is SeriesKind.INSTRUMENT:
                    series = ("BTC-PERPETUAL",)
                backfill.backfill(dataset, Job("a run", dict.fromkeys(series, days)))
    revised = {"dataset": "trades", "series": "BTC-PERPETUAL", "day": yesterday}
    hold(warehouse, DATASET_REVISIONS, revised)
    hold(warehouse, FAILED_DAYS, revised)
    hold(warehouse, RECORDER_SESSIONS, {"stream": "future.BTC", "day": yesterday})
    with (
        warehouse.writing() as connection,
        hashed_anew(connection, TRADES, "BTC-PERPETUAL", [yesterday]),
    ):
        pass  # a revision belongs to the proof
    held = everything(warehouse)
    assert [name for name, some in held.items() if not some] == []
    assert verify(warehouse).findings == []
    return path


@pytest.fixture
def full(whole: Path, tmp_path: Path) -> Warehouse:
    path = tmp_path / "w.duckdb"
    path.write_bytes(whole.read_bytes())
    return warehouse_at(path, Environment.SANDBOX)


@pytest.fixture
def file(tmp_path: Path) -> Warehouse:
    """A warehouse of five days of candles, of which one is gapped and one was revised."""
    file = warehouse_at(tmp_path / "w.duckdb", Environment.SANDBOX)
    days = [FIRST + timedelta(days=number) for number in range(5)]
    write(file, *map(fetched, days[:3]), fetched(days[3], absent=(3, 4)), fetched(days[4]))
    write(file, fetched(price=0.5))
    return file


@pytest.fixture
def to(tmp_path: Path) -> Warehouse:
    return warehouse_at(tmp_path / "to.duckdb", Environment.SANDBOX)


@pytest.fixture
def lake(database: str, tmp_path: Path) -> Warehouse:
    return warehouse_at(Lake(database, f"{tmp_path}/lake/"), Environment.SANDBOX, patience=30)


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DERIBIT_ENV", "sandbox")
    return commands(capsys)


def in_pairs(url: str) -> str:
    """The same connection string, spelled otherwise."""
    return str(make_dsn(**parse_dsn(url)))
