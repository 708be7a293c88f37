"""The warehouse's file: opened late, closed at once, never another's."""

import errno
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import tenacity

from deribit_pipeline.domain import Environment
from deribit_pipeline.errors import WarehouseError, WarehouseUnusable
from deribit_pipeline.warehouse import schema
from deribit_pipeline.warehouse.migrations import MIGRATIONS
from deribit_pipeline.warehouse.whole import whole_file

logger = logging.getLogger(__name__)

PATIENCE = 120.0
"""Seconds to wait for another process to let go of the file."""


# How DuckDB says that another process holds the file, or another thread of this one.
_BUSY = ("Could not set lock", "different configuration", "Unique file handle conflict")

_DISK_FULL = "No space left on device"

_REMEDY = "remove it and its .wal, and put a backup in its place or backfill anew"

# How DuckDB says that the bytes of a file are not those that it wrote: cut short, or changed.
_DAMAGE = ("Could not read enough bytes", "Corrupt", "Failed to load metadata pointer")


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
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Wait for other processes no more: whoever does fails at once. From any thread."""
        self._given_up.set()

    def check(self) -> None:
        """Raise WarehouseError where the file, or the folder it would be made in, cannot serve."""
        if self.exists():
            for path in (self.path, self.path.parent):  # DuckDB's log of a write stands beside it
                if not os.access(path, os.W_OK):
                    raise self._unwritable(PermissionError(errno.EACCES, "it is read-only"))
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
            probe.unlink(missing_ok=True)  # another process may try the same
        except OSError as error:
            raise self._unwritable(error) from error

    @contextmanager
    def reading(self, *, as_it_is: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection; a file that does not exist reads as an empty warehouse.

        A file of an older version is brought to this one, unless it is to be left `as_it_is`.
        """
        if not self.exists():
            with self._open(":memory:", read_only=False) as connection:
                self._bring_up_to_date(connection)
                yield connection
            return
        with self._open(str(self.path), read_only=True) as connection:
            version = self._version(connection)
            if version == schema.SCHEMA_VERSION or (as_it_is and version):
                yield connection
                return
        with self.writing():  # brings the file to this version
            pass
        with self._open(str(self.path), read_only=True) as connection:
            yield connection

    def require(self) -> None:
        """Raise WarehouseUnusable where the file is no warehouse of this environment, and leave it
        as it is, of an older version too."""
        with self._open(str(self.path), read_only=True) as connection:
            if self._version(connection) is None:
                raise WarehouseUnusable(f"{self.path} is an empty database and no warehouse.")

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One transaction: durable when the block ends, undone when it raises."""
        if not self.exists():
            self._make()
        with self._open(str(self.path), read_only=False) as connection:
            connection.begin()
            try:
                self._bring_up_to_date(connection)
                yield connection
                connection.commit()
            except BaseException:
                _roll_back(connection)
                raise

    def _make(self) -> None:
        """Make the file, elsewhere first: a disk that is full, or the end of this process, would
        leave half a file, which nothing could open any more."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with (
                whole_file(self.path, replacing=False) as made,
                self._open(str(made), read_only=False) as connection,
            ):
                self._bring_up_to_date(connection)
                # Closing would say nothing of a file that could not be finished.
                connection.execute("checkpoint").fetchall()
        except OSError as error:
            raise self._unwritable(error) from error

    def _bring_up_to_date(self, connection: duckdb.DuckDBPyConnection) -> None:
        version = self._version(connection)
        if version is None:
            for statement in schema.ddl():
                connection.execute(statement)
            connection.execute(
                "insert into warehouse_info values ($environment, $version)",
                {"environment": str(self.environment), "version": schema.SCHEMA_VERSION},
            )
        elif version < schema.SCHEMA_VERSION:
            migrate(connection, version, MIGRATIONS)
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
        said = connection.execute(
            "select environment, schema_version from warehouse_info"
        ).fetchall()
        if len(said) != 1:
            raise WarehouseUnusable(f"{self.path} does not say what it is: {_REMEDY}.")
        [(environment, version)] = said
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
            stop=tenacity.stop_after_delay(self._patience)
            | tenacity.stop_when_event_set(self._given_up),
            sleep=tenacity.sleep_using_event(self._given_up),
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
            with connection:
                connection.execute("set TimeZone = 'UTC'")
                yield connection
        except duckdb.Error as error:
            raise self._failed(error) from error
        except RuntimeError as error:
            # So DuckDB puts it when a signal's handler raised in the middle of a statement.
            if error.__cause__ is None or isinstance(error.__cause__, Exception):
                raise
            raise error.__cause__ from None

    def _connection(self, path: str, read_only: bool) -> duckdb.DuckDBPyConnection:
        if os.path.exists(path) and not os.path.getsize(path):
            # DuckDB would take it for a new database: days that were lost would pass unnoticed.
            raise WarehouseUnusable(f"{self.path} is empty, which no warehouse ever is: {_REMEDY}.")
        try:
            return duckdb.connect(path, read_only=read_only)
        except duckdb.Error as error:
            message = first_line(error)
            if _DISK_FULL in message:
                raise self._failed(error) from error
            if any(sign in message for sign in _BUSY):
                raise _Busy(message) from error
            raise WarehouseUnusable(
                f"{self.path} cannot be opened as a DuckDB file ({message}): {_REMEDY}."
            ) from error

    def _failed(self, error: duckdb.Error) -> WarehouseError:
        message = first_line(error)
        if _DISK_FULL in message:
            return WarehouseError(
                f"{self.path} cannot be written, its disk is full ({message}): make room, and the "
                "same command goes on from what is kept."
            )
        if any(sign in message for sign in _DAMAGE):
            return WarehouseUnusable(f"{self.path} is damaged ({message}): {_REMEDY}.")
        return WarehouseError(f"{self.path}: {message}")

    def exists(self) -> bool:
        """Whether there is a file. Raises WarehouseUnusable where that cannot be told."""
        try:
            return self.path.exists()
        except OSError as error:  # a name that is too long, a folder that may not be entered
            raise WarehouseUnusable(
                f"The warehouse {self.path} cannot be reached ({error.strerror}): set "
                "DERIBIT_WAREHOUSE."
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
    for statement in schema.describing():
        connection.execute(statement)


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.rollback()
    except duckdb.Error as error:  # the failure that brought us here has closed the transaction
        logger.debug("Nothing to roll back: %s", error)


def first_line(error: BaseException) -> str:
    """What DuckDB says, without the pointers and traces that may follow."""
    return str(error).splitlines()[0]
