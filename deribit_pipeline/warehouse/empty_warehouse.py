"""An empty warehouse in memory: what a warehouse that does not exist yet reads as."""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from deribit_pipeline.errors import WarehouseError, first_line
from deribit_pipeline.warehouse import schema
from deribit_pipeline.warehouse.place import Connection


@contextmanager
def empty_warehouse() -> Iterator[Connection]:
    """An empty warehouse in memory, as it was before once the block ends."""
    try:
        with _empty(tuple(schema.without_comments())).cursor() as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.begin()  # closing rolls it back
            yield connection
    except duckdb.Error as error:
        raise WarehouseError(first_line(error)) from error


@functools.lru_cache(maxsize=1)
def _empty(statements: tuple[str, ...]) -> Connection:
    """The process's DuckDB with an empty warehouse: creating it takes 40 ms."""
    connection = duckdb.connect()
    for statement in statements:
        connection.execute(statement)
    return connection


os.register_at_fork(before=_empty.cache_clear)  # the threads of a DuckDB do not survive a fork
