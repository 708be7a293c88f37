"""Helpers for open DuckDB connections, to a file or a lake."""

import errno
import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from deribit_pipeline.domain.tables import Table, quoted
from deribit_pipeline.errors import InputError
from deribit_pipeline.warehouse.place import Connection

logger = logging.getLogger(__name__)

_LITTLE_MEMORY = "64MB"

DISK_FULL = "No space left on device"
"""The error text of DuckDB for a full disk."""

# DuckDB's error text if rows neither fit into memory nor on the disk of its temporary files, of
# whose free space it takes no more than nine tenths.
_NO_ROOM_BESIDE = "failed to offload data block"


@contextmanager
def writing_to(file: Path) -> Iterator[None]:
    """Raise OSError if the disk of a file or folder that DuckDB writes outside the warehouse is
    full: it may differ from the warehouse's disk."""
    try:
        yield
    except duckdb.IOException as error:
        if DISK_FULL in str(error) and str(file) in str(error):
            raise OSError(errno.ENOSPC, DISK_FULL, str(file)) from error
        raise


@contextmanager
def committed(connection: Connection) -> Iterator[None]:
    """Commit the open transaction when the block ends, or roll it back when that raises."""
    try:
        yield
        connection.commit()
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: Connection) -> None:
    """Roll back the open transaction, if there still is one."""
    try:
        connection.rollback()
    except duckdb.Error as error:  # a failure, or a commit, has closed it
        logger.debug("Nothing to roll back: %s", error)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise the exception of a signal handler that interrupted a statement: DuckDB wraps it in a
    RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        if error.__cause__ is None or isinstance(error.__cause__, Exception):
            raise
        raise error.__cause__ from None


@contextmanager
def query_errors() -> Iterator[None]:
    """Raise InputError for an error in a query that a user wrote, with all of DuckDB's hints."""
    try:
        yield
    except duckdb.Error as error:
        raise InputError(f"The query cannot be run: {error}") from error


@contextmanager
def within_memory(connection: Connection) -> Iterator[None]:
    """Let DuckDB use little memory for a file in the block: up to its limit, which is most of the
    machine's memory, it keeps what it wrote and read. For a lake it needs more."""
    with _limited(connection, _LITTLE_MEMORY), connection.cursor() as settings:
        settings.execute("set threads = 1")  # each of them has buffers of its own
        try:
            yield
        finally:
            settings.execute("reset threads")


@contextmanager
def sorting_within_memory(connection: Connection, folder: Path, memory: str) -> Iterator[None]:
    """Limit DuckDB's memory, to such as 64MB, while it sorts rows of a file in the block. What
    exceeds it goes into `folder`, which DuckDB creates when it needs it, and which is removed
    afterwards. Raises OSError if the disk of `folder` is full.

    The number of threads is not changed, because it changes how sums of volumes are rounded.
    """
    connection.execute(f"set temp_directory = {quoted(str(folder))}")
    try:
        with writing_to(folder), _limited(connection, memory):
            yield
    except duckdb.OutOfMemoryException as error:
        if _NO_ROOM_BESIDE not in str(error):
            raise
        raise OSError(errno.ENOSPC, DISK_FULL, str(folder)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _limited(connection: Connection, memory: str) -> Iterator[None]:
    with connection.cursor() as settings:  # the transaction of the block may fail
        settings.execute(f"set memory_limit = '{memory}'")
        try:
            yield
        finally:
            settings.execute("reset memory_limit")


def has_table(connection: Connection, name: str) -> bool:
    """Whether the file has a table: one of an older version, read without migration, may not."""
    return bool(
        connection.execute(
            "select 1 from duckdb_tables() "
            "where database_name = current_database() and table_name = $name",
            {"name": name},
        ).fetchall()
    )


def insert_rows(connection: Connection, table: Table, rows: Iterable[Sequence[object]]) -> None:
    """Insert rows of a table in one statement, column by column: twenty times faster than one by
    one."""
    columns = list(zip(*rows, strict=True))
    if columns:
        names = [column.name for column in table.columns]
        values = ", ".join(f"unnest(${name})" for name in names)
        connection.execute(
            f"insert into {table.name} ({', '.join(names)}) select {values}",
            dict(zip(names, map(list, columns), strict=True)),
        )
