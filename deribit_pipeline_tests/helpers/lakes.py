"""Lakes for tests: filled from a file, changed by hand, inspected by their locks and
disconnected."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import duckdb
import psycopg2

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake
from deribit_pipeline.domain.tables import quoted
from deribit_pipeline.lake.attached import attachable
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse import schema
from deribit_pipeline.warehouse.place import Connection


def copy(file: Path, lake: Lake) -> None:
    """Make a lake with the contents of a file."""
    tables = [table.name for table in schema.TABLES if table is not schema.WAREHOUSE_INFO]
    with (
        duckdb.connect(str(file), read_only=True) as source,
        warehouse_at(lake, Environment.SANDBOX).writing() as connection,
    ):
        for name in tables:
            connection.register("rows", source.execute(f"from {name}").to_arrow_table())
            connection.execute(f"insert into {name} by name from rows")
            connection.unregister("rows")


@contextmanager
def by_hand(lake: Lake) -> Iterator[Connection]:
    """The lake, attached without this project."""
    with attachable(lake) as connection:
        connection.execute(f"attach {quoted(lake.address)} as lake (data_path {quoted(lake.data)})")
        connection.execute("use lake")
        connection.execute("set TimeZone = 'UTC'")
        yield connection


def requested(catalog: str, statement: str, *values: object) -> list[tuple[object, ...]]:
    """The result of a query to the catalog's PostgreSQL."""
    with closing(psycopg2.connect(catalog)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


_LOCKS = (
    "from pg_locks where locktype = 'advisory' and granted = %s and database = "
    "(select oid from pg_database where datname = current_database())"
)


def locks(catalog: str, *, granted: bool) -> list[int]:
    """The processes of PostgreSQL, one for each lock that is held or awaited."""
    return [cast(int, pid) for (pid,) in requested(catalog, f"select pid {_LOCKS}", granted)]


def cut_locks(catalog: str) -> None:
    """Terminate every connection that holds a lock."""
    requested(catalog, f"select pg_terminate_backend(pid, 5000) {_LOCKS}", True)
