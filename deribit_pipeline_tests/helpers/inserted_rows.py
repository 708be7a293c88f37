"""Rows inserted directly into a warehouse, for tests of reading."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd

from deribit_pipeline.domain.tables import Column, Table
from deribit_pipeline.warehouse.warehouse import Warehouse


def hold_minutes(warehouse: Warehouse, name: str, first: date, prices: np.ndarray) -> None:
    """Insert days of one-minute candles, all complete. The prices are open, high, low and close;
    each minute trades 1 of base and 100,000 of quote currency."""
    made = pd.DataFrame(prices, columns=["open", "high", "low", "close"])
    with warehouse.writing() as connection:
        connection.register("made", made.assign(minute=np.arange(len(made))))
        connection.execute(
            """
            insert into candles
            select $name, '1', timezone('UTC', cast($first as timestamp)) + to_minutes(minute),
                   open, high, low, close, 1, 100_000
            from made
            """,
            {"name": name, "first": first},
        )
        connection.execute(
            """
            insert into candle_days
            select $name, '1', $first + cast(minute // 1_440 as integer), 'complete', count(*),
                   count(*), 0, 0, 'none', 0, $first + 365, 'sandbox', 'a test', 'a run', '',
                   'none', ''
            from made
            group by all
            """,
            {"name": name, "first": first},
        )


_ANYTHING = {
    "varchar": "x", "json": "[]", "date": date(2024, 1, 1),
    "timestamptz": datetime(2024, 1, 1, tzinfo=UTC), "cross_check": "none", "verdict": "",
}  # fmt: skip


def _anything(column: Column) -> object:
    return _ANYTHING.get(column.name, _ANYTHING.get(column.type, 1))


def hold(warehouse: Warehouse, table: Table, *rows: dict[str, object]) -> None:
    """Insert rows of any table; absent values are null, or any value of the type."""
    with warehouse.writing() as connection:
        for output in rows:
            assert set(output) <= {column.name for column in table.columns}
            row = {
                column.name: output.get(
                    column.name, None if column.is_nullable else _anything(column)
                )
                for column in table.columns
            }
            values = ", ".join(f"${name}" for name in row)
            connection.execute(f"insert into {table.name} values ({values})", row)
