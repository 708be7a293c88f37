"""A warehouse of days of candles, written and read without an exchange."""

from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Location
from deribit_pipeline.domain.proof_tables import SERIES_PROOFS
from deribit_pipeline.domain.proofs import FetchedDay, ProvedDay, Provenance
from deribit_pipeline.domain.windows import day_window, moment64
from deribit_pipeline.engine.day_writes import write_days
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.engine.row_reads import rows_of
from deribit_pipeline.engine.series_proofs import written_sums
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse import schema
from deribit_pipeline.warehouse.warehouse import Warehouse

NAME, MINUTES, FIRST = "BTC-PERPETUAL", Resolution.MINUTE_1, date(2024, 1, 1)
DATASET = CANDLES[MINUTES]
FROM = Provenance(Environment.SANDBOX, "sandbox", "run-1")


@pytest.fixture
def file(location: Location) -> Warehouse:
    """The warehouse: a file in folders that do not exist yet, or a lake."""
    if isinstance(location, Path):
        location = location.parent / "deep" / "folder" / "w.duckdb"
    return warehouse_at(location, Environment.SANDBOX, patience=0.3)


def fetched(day: date = FIRST, absent: tuple[int, ...] = (), price: float = 1 / 3) -> FetchedDay:
    opened_at = moment64(day_window(day).start) + np.arange(1_440) * np.timedelta64(1, "m")
    whole = Candles(opened_at.astype("datetime64[ms]"), np.full((1_440, 6), price))
    is_absent = np.isin(np.arange(1_440), absent)
    as_of = datetime(2024, 2, 1, tzinfo=UTC)
    return FetchedDay(NAME, day, whole[~is_absent].columns, as_of, whole.opened_at)


def write(file: Warehouse, *days: FetchedDay) -> list[ProvedDay]:
    """Write like a backfill, taking stored days and proofs into account."""
    with file.writing() as connection:
        former = {proof.day: proof for proof in proofs_of(connection, DATASET)}
        proved = [
            prove(DATASET, day, rows_of(connection, DATASET, NAME, day.day), former.get(day.day))
            for day in days
        ]
        write_days(connection, DATASET, proved, FROM)
    return proved


def rows(file: Warehouse, query: str) -> list[tuple[object, ...]]:
    with file.reading() as connection:
        return connection.execute(query).fetchall()


def everything(file: Warehouse) -> dict[str, list[tuple[object, ...]]]:
    """The rows of each table; of the records of series, their sums."""
    with file.reading() as connection:
        return {
            table.name: connection.execute(f"from {table.name} order by all").fetchall()
            for table in schema.TABLES
        } | {SERIES_PROOFS.name: list(written_sums(connection).items())}


def forget_datasets(connection: duckdb.DuckDBPyConnection) -> None:
    """The file as of schema version 1: candles only, without the time since when they are held."""
    for view in schema.VIEWS:
        connection.execute(f"drop {view.kind} if exists {view.name}")
    for table in schema.TABLES:
        is_kept = table in (*CANDLES[Resolution.MINUTE_1].tables, schema.WAREHOUSE_INFO)
        if not is_kept or table.name == "candle_arrivals":
            connection.execute(f"drop table {table.name}")
