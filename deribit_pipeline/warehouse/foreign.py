"""A DuckDB file from an untrusted source: its tables are read, and nothing in it is executed."""

import functools
from collections.abc import Sequence

import duckdb

from deribit_pipeline.domain.tables import quoted
from deribit_pipeline.errors import WarehouseUnusable
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.schema import TABLES

_NAME = "held"

# Queried from outside the file's database, where its macros are not found.
_IN_THE_WAY = f"""
    select 'view ' || view_name from duckdb_views()
    where database_name = '{_NAME}' and view_name in $tables
    union all
    select 'macro ' || function_name from duckdb_functions()
    where database_name = '{_NAME}' and not internal and function_name in $own
    order by all
"""


def foreign_file(path: str) -> Connection:
    """A connection that reads the tables of the file at an absolute path, without access to other
    files or extensions.

    Raises WarehouseUnusable if a view has the name of a table, or a macro that of a DuckDB
    function, and duckdb.Error if the file cannot be opened.
    """
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    try:
        connection.execute(f"attach {quoted(path)} as {_NAME} (type duckdb, read_only)")
        connection.execute("set enable_external_access = false")
        found = connection.execute(
            _IN_THE_WAY,
            {"tables": [table.name for table in TABLES], "own": _own_functions()},
        ).fetchall()
        if found:
            raise WarehouseUnusable(
                f"{path} has the {found[0][0]}, which would be run in the place of a table or of a "
                "function: it is not a warehouse as this program makes it, and is not read."
            )
        connection.execute(f"use {_NAME}")
    except BaseException:
        connection.close()
        raise
    return connection


@functools.lru_cache(maxsize=1)
def _own_functions() -> Sequence[str]:
    """The names of DuckDB's own functions: listing them takes 25 ms, and a migration opens a file a
    hundred times."""
    with duckdb.connect() as connection:
        found = connection.execute("select distinct function_name from duckdb_functions()")
        return [name for (name,) in found.fetchall()]
