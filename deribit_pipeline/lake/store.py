"""A warehouse in a DuckLake: Parquet in a folder or on object storage, and a catalog of it."""

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any, cast

import duckdb
import tenacity

from deribit_pipeline.domain.location import Lake
from deribit_pipeline.errors import Conflict, LakeAway, WarehouseError, WarehouseUnusable
from deribit_pipeline.lake.attached import NAME, attach_to, attachable, attached, forget
from deribit_pipeline.lake.catalog import Catalog, Lock
from deribit_pipeline.lake.lake_errors import conflict, error_of, without_secrets
from deribit_pipeline.lake.lake_files import LakeFiles
from deribit_pipeline.warehouse.connections import committed, interruptible, roll_back
from deribit_pipeline.warehouse.place import SOURCE, Change, Connection, Result
from deribit_pipeline.warehouse.schema import TABLES

logger = logging.getLogger(__name__)

_AGAIN = "Retrying: %s"

_FIRST_PATIENCE = 15.0  # before the first response of the catalog: the address may be wrong

CatalogKind = Callable[[Any, float, threading.Event], Catalog]
"""Opens the catalog of a lake, with a patience in seconds and the event that ends it."""


class LakeStore:
    """The DuckLake at `lake`, with its catalog of type `kind`. Any number of processes may read and
    write it."""

    def __init__(self, lake: Lake, kind: CatalogKind, patience: float) -> None:
        self.location = self._lake = lake
        self._files = LakeFiles(lake)
        self._patience = patience
        self._given_up = threading.Event()
        self._is_made = False
        self._catalog = kind(lake, patience, self._given_up)

    def give_up(self) -> None:
        self._given_up.set()

    def forget_the_past(self) -> None:
        with self.writing() as connection:
            connection.execute(
                f"call ducklake_expire_snapshots('{NAME}', older_than => now())"
            ).fetchall()

    def keep_private(self) -> None:
        self._catalog.keep_private()

    def takes(self, statement: str) -> bool:
        return not statement.startswith("comment on macro")  # not supported by DuckLake 1.0

    layout = (
        *(f"alter table {table.name} set {how}" for table in TABLES for how in table.layout),
        # Half the bytes of the default, for the same reading time.
        f"call {NAME}.set_option('parquet_compression', 'zstd')",
        f"call {NAME}.set_option('parquet_version', 2)",
    )

    def snapshot_at(self, connection: Connection, moment: datetime) -> int | None:
        # `lake.snapshots()` would read each snapshot with all of its changes.
        [(snapshot,)] = connection.execute(
            f"select max(snapshot_id) from __ducklake_metadata_{NAME}.ducklake_snapshot "
            "where cast(snapshot_time as timestamptz) <= $moment",  # SQLite has texts
            {"moment": moment},
        ).fetchall()
        return None if snapshot is None else int(snapshot)

    @property
    def size(self) -> int:
        with self.reading() as connection:
            [(size,)] = connection.execute(
                f"select coalesce(sum(file_size_bytes + delete_file_size_bytes), 0) "
                f"from ducklake_table_info('{NAME}')"
            ).fetchall()
        return int(size)

    @property
    def identity(self) -> str:
        with self.reading() as connection:
            [(uuid,)] = connection.execute(
                f"select table_uuid from ducklake_table_info('{NAME}') "
                f"where table_name = 'warehouse_info'"
            ).fetchall()
        return str(uuid)

    def exists(self) -> bool:
        # Checked before each write, which waits while PostgreSQL is unreachable: once it exists, it
        # is not checked again.
        if not self._is_made:
            self._is_made = self._trying(LakeAway)(self._catalog.exists)
        return self._is_made

    def require_makeable(self) -> None:
        self._catalog.require_makeable()
        self._files.require_makeable()
        self._require_own_place()

    def require_writable(self) -> None:
        with self._opened() as connection:
            self._files.require_usable(connection)

    def make(self, fill: Change[None]) -> None:
        def attempt() -> None:
            self._require_own_place()
            self._catalog.make()
            with self.writing() as connection:
                fill(connection)

        self._files.make()
        self._trying(LakeAway)(attempt)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with ExitStack() as stack:
            yield self._trying(LakeAway)(lambda: stack.enter_context(self._opened()))

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self._transaction(self._catalog.alone()) as connection:
            yield connection

    def write(self, change: Change[Result], series: Collection[str]) -> Result:
        try:
            with self._transaction(self._catalog.beside(series)) as connection:
                return change(cast(Connection, _OnlyAdding(connection, self._lake)))
        except Conflict:
            pass
        except LakeAway as error:
            logger.warning(_AGAIN, error)

        def alone() -> Result:
            with self.writing() as connection:
                return change(connection)

        return self._trying(Conflict, LakeAway)(alone)

    @contextmanager
    def attached_to(self, connection: Connection) -> Iterator[None]:
        with self._named():
            attach_to(connection, self._lake, SOURCE)
        try:
            yield
        except duckdb.Error as error:
            if without_secrets(self._lake, str(error)) != str(error):
                raise error_of(self._lake, error) from None
            raise

    def _trying(self, *again: type[WarehouseError]) -> tenacity.Retrying:
        """A function that calls another until it raises none of these errors, or patience ends."""
        patience = self._patience if self._is_made else min(self._patience, _FIRST_PATIENCE)
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(again),
            stop=tenacity.stop_after_delay(patience) | tenacity.stop_when_event_set(self._given_up),
            sleep=tenacity.sleep_using_event(self._given_up),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=5.0),
            before_sleep=_say_why,
            reraise=True,
        )

    @contextmanager
    def _transaction(self, lock: Lock) -> Iterator[Connection]:
        """A transaction under a lock, which is verified to be held when the commit begins."""
        with lock as require_held, self._opened() as connection, committed(connection):
            yield connection
            require_held()

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        """A connection with an open transaction, which the caller must commit to keep its
        changes."""
        with self._named(), attached(self._lake).cursor() as connection:
            try:
                connection.begin()
                connection.execute(f"use {NAME}")  # the first statement that queries the catalog
                connection.execute("set TimeZone = 'UTC'")
                yield connection
            finally:
                # DuckDB 1.5.5 aborts the process when a connection is closed with an open
                # transaction whose connection to PostgreSQL is gone.
                roll_back(connection)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Convert DuckDB's errors to this project's, without the passwords in them."""
        try:
            with interruptible():
                yield
        except duckdb.Error as error:
            named = error_of(self._lake, error)
            is_dead = isinstance(error, duckdb.FatalException | duckdb.InternalException)
            if is_dead or isinstance(named, WarehouseUnusable):
                # A DuckDB after a fatal error must be replaced; after rejected keys, they are
                # looked up again.
                forget()
            raise named from None

    def _require_own_place(self) -> None:
        """Raise WarehouseUnusable if the location contains the Parquet files of another lake, or is
        within the location of one: maintenance of either would treat the other's files as
        orphaned, and remove them.

        Checked before DuckLake stores the location in the catalog, where it cannot be changed
        afterwards.
        """
        with self._named(), attachable(self._lake) as connection:
            taken = self._files.taken(connection)
        if taken is not None and not self._catalog.exists():  # another process created it meanwhile
            raise WarehouseUnusable(
                f"{taken} holds files of another lake: set DERIBIT_WAREHOUSE_DATA to an empty "
                "place that is not within it."
            )


class _OnlyAdding:
    """A connection for concurrent writers, which may therefore only add rows."""

    def __init__(self, connection: Connection, lake: Lake) -> None:
        self._connection = connection
        self._lake = lake

    def execute(self, statement: str, *rest: Any) -> Connection:
        self._require_adding(statement)
        return self._connection.execute(statement, *rest)

    def executemany(self, statement: str, *rest: Any) -> Connection:
        self._require_adding(statement)
        return self._connection.executemany(statement, *rest)

    def _require_adding(self, statement: str) -> None:
        if statement.split(None, 1)[0].lower() in ("delete", "update", "merge"):
            raise conflict(self._lake, "rows were to be replaced")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _say_why(state: tenacity.RetryCallState) -> None:
    if state.outcome is not None:
        logger.warning(_AGAIN, state.outcome.exception())
