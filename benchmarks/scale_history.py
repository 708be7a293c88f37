"""A long history of many instruments: made by the sandbox's generator, proved by the pipeline.

It goes into a warehouse of its own in memory, as a backfill writes it, and from there straight
into Parquet, of which any number of warehouses are filled.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import duckdb
from made_up import FIRST, MINUTES, SOURCE, fetched_day

from deribit_pipeline.datasets.candles import table as candle_tables
from deribit_pipeline.domain.tables import quoted
from deribit_pipeline.engine.day_writes import write_days
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.sandbox.known_listings import LISTINGS
from deribit_pipeline.sandbox.market import Market
from deribit_pipeline.warehouse import schema
from deribit_pipeline.warehouse.warehouse import Warehouse

_FILLED = (candle_tables.CANDLES, candle_tables.CANDLE_DAYS, candle_tables.CANDLE_ARRIVALS)

# Days that are proved before they are written together: 60 MB.
_TOGETHER = 500


def name_of(number: int) -> str:
    """What the instrument with this number is called."""
    return f"X{number:03}_USDC-PERPETUAL"


def write_history(folder: Path, instruments: int, days: int) -> None:
    """Write the candles of so many days from FIRST on, with their proofs, of each instrument."""
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(_write_one, folder, days), range(instruments)))


def fill(warehouse: Warehouse, folder: Path, instruments: int) -> None:
    """Write the history in a folder into a warehouse, an instrument after the other."""
    for number in range(instruments):
        with warehouse.writing() as connection:
            for table in _FILLED:
                file = quoted(str(folder / f"{table.name}-{number}.parquet"))
                connection.execute(f"insert into {table.name} by name from {file}")


def _write_one(folder: Path, days: int, number: int) -> None:
    model = LISTINGS[number % 2]
    market = Market(replace(model, instrument_name=name_of(number), created_ms=0))
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for statement in schema.ddl():
            connection.execute(statement)
        for start in range(0, days, _TOGETHER):
            offsets = range(start, min(start + _TOGETHER, days))
            fetched = (fetched_day(market, FIRST + timedelta(days=offset)) for offset in offsets)
            write_days(connection, MINUTES, [prove(MINUTES, day) for day in fetched], SOURCE)
        for table in _FILLED:
            file = quoted(str(folder / f"{table.name}-{number}.parquet"))
            connection.execute(f"copy {table.name} to {file}")
