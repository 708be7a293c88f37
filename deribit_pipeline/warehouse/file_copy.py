"""All tables of an open warehouse, copied to a new file with views and comments."""

import contextlib
from pathlib import Path

import duckdb

from deribit_pipeline.domain.tables import quoted
from deribit_pipeline.errors import WarehouseError, first_line
from deribit_pipeline.warehouse import schema
from deribit_pipeline.warehouse.place import Connection


def copy_to_file(connection: Connection, made: Path, shown_as: Path) -> dict[str, int]:
    """Create the file `made` with all tables that the connection reads; returns the number of rows
    of each table.

    Raises WarehouseError, which names the file as `shown_as`.
    """
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
        # Closing would not report a file that could not be completed.
        connection.execute(f'checkpoint "{copy}"').fetchall()
    except duckdb.Error as error:
        if made.name not in str(error):
            raise
        raise WarehouseError(
            f"The backup {shown_as} cannot be written: {first_line(error)}. Nothing of it is left."
        ) from error
    finally:
        # The DuckDB that a lake is attached to stays open, and would keep the copy attached.
        with contextlib.suppress(duckdb.Error):
            connection.rollback()
        connection.execute(f'use "{source}"')
        connection.execute(f'detach database if exists "{copy}"')
    return counts
