"""The warehouse's file: opened late, closed at once, never another's."""

import errno
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import tenacity

from deribit_pipeline.domain import Environment
from deribit_pipeline.errors import WarehouseError, WarehouseUnusable
from deribit_pipeline.warehouse import schema

logger = logging.getLogger(__name__)

PATIENCE = 120.0
"""Seconds to wait for another process to let go of the file."""


class _Busy(Exception):
    """Another process, or a connection of another mode, holds the file at this moment."""


class Warehouse:
    """The DuckDB file at `path`, which belongs to one `environment`.

    DuckDB lets one process write at a time and shuts all others out meanwhile, so nothing keeps
    the file open longer than one transaction needs, and everyone waits a little for their turn.
    """

    def __init__(self, path: Path, environment: Environment, *, patience: float = PATIENCE) -> None:
        self.path = path
        self.environment = environment
        self._patience = patience

    def check(self) -> None:
        """Raise WarehouseError where the file, or the folder it would be made in, cannot serve."""
        if self.path.exists():
            for path in (self.path, self.path.parent):  # DuckDB's log of a write stands beside it
                if not os.access(path, os.W_OK):
                    raise self._unwritable(PermissionError(errno.EACCES, "Permission denied"))
            with self.reading():
                return
        folder = next(folder for folder in self.path.absolute().parents if folder.exists())
        if not folder.is_dir():
            raise WarehouseUnusable(
                f"The warehouse {self.path} cannot be made: {folder} is not a folder."
            )
        probe = folder / f".{self.path.name}.probe"
        try:
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise self._unwritable(error) from error

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection; a file that does not exist reads as an empty warehouse."""
        if not self.path.exists():
            with self._open(":memory:", read_only=False) as connection:
                self._settle(connection)
                yield connection
            return
        with self._open(str(self.path), read_only=True) as connection:
            version = self._version(connection)
            if version == schema.SCHEMA_VERSION:
                yield connection
                return
        with self.writing():  # brings the file to this version
            pass
        with self._open(str(self.path), read_only=True) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One transaction: durable when the block ends, undone when it raises."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        with self._open(str(self.path), read_only=False) as connection:
            connection.begin()
            try:
                self._settle(connection)
                yield connection
                connection.commit()
            except BaseException:
                _roll_back(connection)
                raise

    def _settle(self, connection: duckdb.DuckDBPyConnection) -> None:
        version = self._version(connection)
        if version is None:
            for statement in schema.ddl():
                connection.execute(statement)
            connection.execute(
                "insert into warehouse_info values ($environment, $version)",
                {"environment": str(self.environment), "version": schema.SCHEMA_VERSION},
            )
        elif version < schema.SCHEMA_VERSION:
            migrate(connection, version, schema.MIGRATIONS)
            logger.info("Brought %s to version %d", self.path, schema.SCHEMA_VERSION)

    def _version(self, connection: duckdb.DuckDBPyConnection) -> int | None:
        """The version of the schema in the file; None where it holds nothing at all yet."""
        names = {
            name
            for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()
        }
        if not names:
            return None
        if schema.WAREHOUSE_INFO.name not in names:
            raise WarehouseUnusable(
                f"{self.path} is a database of another program: point DERIBIT_WAREHOUSE elsewhere."
            )
        # Fetched to the end: in DuckDB 2 an unfinished result keeps its connection to itself.
        [(environment, version)] = connection.execute(
            "select environment, schema_version from warehouse_info"
        ).fetchall()
        if environment != self.environment:
            raise WarehouseUnusable(
                f"{self.path} is the warehouse of {environment}, and DERIBIT_ENV is "
                f"{self.environment}: they never mix, so set DERIBIT_WAREHOUSE or DERIBIT_ENV."
            )
        if version > schema.SCHEMA_VERSION:
            raise WarehouseUnusable(
                f"{self.path} has version {version} of the tables and this program knows "
                f"{schema.SCHEMA_VERSION}: upgrade deribit-pipeline."
            )
        return int(version)

    @contextmanager
    def _open(self, path: str, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Busy),
            stop=tenacity.stop_after_delay(self._patience),
            wait=tenacity.wait_random_exponential(multiplier=0.02, max=1.0),
            reraise=True,
        )
        try:
            connection = retrying(self._connection, path, read_only)
        except _Busy as error:
            raise WarehouseError(
                f"{self.path} was held by another process for {self._patience:.0f} s: {error}"
            ) from error
        try:
            connection.execute("set TimeZone = 'UTC'")
            yield connection
        except duckdb.Error as error:
            raise WarehouseError(f"{self.path}: {_first_line(error)}") from error
        finally:
            connection.close()

    def _connection(self, path: str, read_only: bool) -> duckdb.DuckDBPyConnection:
        try:
            return duckdb.connect(path, read_only=read_only)
        except duckdb.Error as error:
            message = _first_line(error)
            if "Could not set lock" in message or "different configuration" in message:
                raise _Busy(message) from error
            raise WarehouseUnusable(
                f"{self.path} cannot be opened as a DuckDB file: {message}"
            ) from error

    def _unwritable(self, error: OSError) -> WarehouseUnusable:
        return WarehouseUnusable(
            f"The warehouse {self.path} cannot be written ({error.strerror}): make its folder "
            "writable, or set DERIBIT_WAREHOUSE."
        )


def migrate(
    connection: duckdb.DuckDBPyConnection, version: int, migrations: Mapping[int, tuple[str, ...]]
) -> None:
    """Bring an older file to the newest version, in the transaction that is open."""
    for newer in sorted(number for number in migrations if number > version):
        for statement in migrations[newer]:
            connection.execute(statement)
        connection.execute(
            "update warehouse_info set schema_version = $version", {"version": newer}
        )


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.rollback()
    except duckdb.Error as error:  # the failure that brought us here has closed the transaction
        logger.debug("Nothing to roll back: %s", error)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]
