"""Invented rows of any dataset, written as by a run, and read again."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proofs import FetchedDay, Provenance
from deribit_pipeline.domain.rows import Columns, keys_of, rows_hash, some_of
from deribit_pipeline.engine.proved_days import DayWriter
from deribit_pipeline.engine.row_reads import rows_of
from deribit_pipeline.warehouse.warehouse import Warehouse

DAY, NAME = date(2024, 1, 1), "BTC-PERPETUAL"
CAME = datetime(2024, 2, 1, tzinfo=UTC)


def any_rows(dataset: Dataset, count: int) -> Columns:
    """Rows of any table, in the types of its columns; every third value of a nullable column is
    null."""
    table = dataset.table
    numbers = np.arange(count)
    made: Columns = {}
    for column in table.columns_but(table.key[0]):
        is_null = column.is_nullable & (numbers % 3 == 0)
        if column.type == "timestamptz":
            made[column.name] = np.datetime64("2024-01-01", "ms") + numbers * 1_001
        elif column.type == "date":
            made[column.name] = np.full(count, np.datetime64("2024-01-01", "D"))
        elif column.type == "double":
            made[column.name] = np.where(is_null, np.nan, numbers / 3)
        elif column.type in ("varchar", "json"):
            text = '{{"n": {}}}' if column.type == "json" else "x {} ü"
            values = [None if null else text.format(n) for n, null in enumerate(is_null.tolist())]
            made[column.name] = np.array(values, dtype=object)
        else:
            made[column.name] = numbers.astype(np.uint8 if column.type == "utinyint" else np.int64)
    order = np.argsort(keys_of(dataset, made), kind="stable")
    return some_of(made, order)


def write(warehouse: Warehouse, *days: FetchedDay, dataset: Dataset = FUNDING_RATES) -> list[Any]:
    """Write like a run; returns what must be confirmed first."""

    def provenance(run_id: str) -> Provenance:
        return Provenance(Environment.SANDBOX, "a test", run_id)

    with warehouse.writing() as connection:
        return list(
            DayWriter(dataset, provenance).write(connection, "a run", NAME, days).unconfirmed
        )


def assert_read_as_written(warehouse: Warehouse, dataset: Dataset) -> None:
    """Write a day of invented rows, and check that it is read back to the last bit."""
    returned = any_rows(dataset, 1 if dataset.at == "delivery_date" else 50)
    assert write(warehouse, FetchedDay(NAME, DAY, returned, CAME), dataset=dataset) == []
    with warehouse.reading() as connection:
        again = rows_of(connection, dataset, NAME, DAY)
    assert list(again) == list(returned)
    assert rows_hash(again) == rows_hash(returned)
