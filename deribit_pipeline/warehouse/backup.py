"""A consistent copy of a warehouse, made while others work with it."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import duckdb

from deribit_pipeline.errors import InputError, WarehouseError, WarehouseUnusable, first_line
from deribit_pipeline.warehouse import account_tables, schema
from deribit_pipeline.warehouse.candle_tables import CANDLE_DAYS, CANDLES
from deribit_pipeline.warehouse.file import OWNER_ONLY
from deribit_pipeline.warehouse.tables import quoted
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline.warehouse.whole import whole_file


@dataclass(frozen=True, slots=True)
class Backup:
    """What a copy holds; `size` is in bytes."""

    days: int
    candles: int
    size: int


def back_up(warehouse: Warehouse, to: Path) -> Backup:
    """Copy the warehouse to `to`, which holds all of one moment, or is as it was before.

    The copy is a warehouse of its own, with views and comments too. Writers of a file wait for
    their turn meanwhile. Raises InputError where there is nothing to copy or `to` is no place for
    it, and WarehouseError where reading or writing fails.
    """
    if not warehouse.exists():
        raise InputError(f"{warehouse} does not exist: there is nothing to back up yet.")
    try:
        _require_replaceable(warehouse, to)
        with whole_file(to, replacing=True) as made:
            with warehouse.reading() as connection:
                counts = _copy(connection, made, to)
            if any(counts[table.name] for table in account_tables.TABLES):
                made.chmod(OWNER_ONLY)
            # Opened once more: what is to be relied on should be seen to open.
            Warehouse(made, warehouse.environment).require()
    except OSError as error:
        raise InputError(
            f"The backup {to} cannot be written ({error.strerror}): name a file in a folder that "
            "exists and can be written."
        ) from error
    days, candles = counts[CANDLE_DAYS.name], counts[CANDLES.name]
    return Backup(days, candles, to.stat().st_size)


def _require_replaceable(warehouse: Warehouse, to: Path) -> None:
    """Raise InputError where `to` is a file that a backup must not replace."""
    if not to.exists():
        return
    if isinstance(warehouse.location, Path) and to.samefile(warehouse.location):
        raise InputError(f"{to} is the warehouse itself: name another file for its backup.")
    try:
        Warehouse(to, warehouse.environment).require()
    except WarehouseUnusable as error:
        raise InputError(
            f"{to} exists and is no backup of a {warehouse.environment} warehouse: it is left as "
            "it is, so name another file."
        ) from error


def _copy(connection: duckdb.DuckDBPyConnection, made: Path, to: Path) -> dict[str, int]:
    """Make the new file and fill it; the rows that each table has."""
    counts: dict[str, int] = {}
    [(name,)] = connection.execute("select current_database()").fetchall()
    source, copy = (name.replace('"', '""'), made.name.replace('"', '""'))
    try:
        connection.execute(f'attach {quoted(str(made))} as "{copy}" (read_write)')
        connection.execute(f'use "{copy}"')
        for statement in schema.ddl():
            connection.execute(statement)
        for table in schema.TABLES:
            [(counts[table.name],)] = connection.execute(
                f'insert into {table.name} by name select * from "{source}".{table.name}'
            ).fetchall()
        connection.commit()
        # Closing would say nothing of a file that could not be finished.
        connection.execute(f'checkpoint "{copy}"').fetchall()
    except duckdb.Error as error:
        if made.name not in str(error):
            raise
        raise WarehouseError(
            f"The backup {to} cannot be written: {first_line(error)}. Nothing of it is left."
        ) from error
    finally:
        # The DuckDB that a lake is attached to lives on, and would keep the copy open.
        with contextlib.suppress(duckdb.Error):
            connection.rollback()
        connection.execute(f'use "{source}"')
        connection.execute(f'detach database if exists "{copy}"')
    return counts
