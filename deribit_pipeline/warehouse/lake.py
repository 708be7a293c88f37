"""A warehouse in a DuckLake: catalog in PostgreSQL, Parquet in a folder or on object storage."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import duckdb
import tenacity

from deribit_pipeline.errors import WarehouseError, WarehouseUnusable
from deribit_pipeline.location import Lake
from deribit_pipeline.warehouse.attached import NAME, attach_to, attachable, attached, forget
from deribit_pipeline.warehouse.file import committed
from deribit_pipeline.warehouse.lake_errors import Conflict, error_of
from deribit_pipeline.warehouse.locks import LakeAway, Locks, asked, connected
from deribit_pipeline.warehouse.store import SOURCE, Change, Connection, Result

logger = logging.getLogger(__name__)


class LakeStore:
    """The DuckLake that `lake` names. Any number of processes write to it at once."""

    def __init__(self, lake: Lake, patience: float) -> None:
        self.lake = lake
        self._patience = patience
        self._given_up = threading.Event()
        self._is_made = False
        self.locks = Locks(lake, patience, self._given_up)

    def give_up(self) -> None:
        self._given_up.set()

    def takes(self, statement: str) -> bool:
        return not statement.startswith("comment on macro")  # DuckLake 1.0 keeps none of these

    layout = (
        # An instrument's days stand together, and no number of instruments makes more files.
        "alter table candles set partitioned by (bucket(32, instrument_name))",
        "alter table candles set sorted by (instrument_name, resolution, opened_at)",
        "alter table trades set partitioned by (bucket(32, instrument_name))",
        "alter table trades set sorted by (instrument_name, trade_seq)",
        "alter table candles_rebuilt set sorted by (instrument_name, opened_at)",
        # Half the bytes of the default, for the same time to read (`make bench-scale`).
        f"call {NAME}.set_option('parquet_compression', 'zstd')",
        f"call {NAME}.set_option('parquet_version', 2)",
    )

    def snapshot_at(self, connection: Connection, moment: datetime) -> int | None:
        # Of `lake.snapshots()`, DuckDB would read each one with all that it changed.
        [(snapshot,)] = connection.execute(
            f"select max(snapshot_id) from __ducklake_metadata_{NAME}.ducklake_snapshot "
            "where snapshot_time <= $moment",
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
        # Asked before each write, which itself waits while PostgreSQL is away: what was there once
        # is not asked for again.
        if not self._is_made:
            with connected(self.lake) as connection:
                [(self._is_made,)] = asked(
                    connection, "select to_regclass('ducklake_metadata') is not null"
                )
        return self._is_made

    def require_makeable(self) -> None:
        self._make_folder()
        with self._named(), attachable(self.lake) as connection:
            self._require_data(connection)

    def require_writable(self) -> None:
        with self._opened() as connection:
            self._require_data(connection)

    def make(self, fill: Change[None]) -> None:
        self._make_folder()
        with self.writing() as connection:
            self._require_no_files(connection)
            fill(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with ExitStack() as stack:
            yield self._trying(LakeAway)(lambda: stack.enter_context(self._opened()))

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self._transaction(self.locks.alone()) as connection:
            yield connection

    def write(self, change: Change[Result], series: Collection[str]) -> Result:
        is_alone = False

        def attempt() -> Result:
            nonlocal is_alone
            if is_alone:
                with self._transaction(self.locks.alone()) as connection:
                    return change(connection)
            is_alone = True  # should this attempt fail
            with self._transaction(self.locks.beside(series)) as connection:
                return change(cast(Connection, _OnlyAdding(connection, self.lake)))

        return self._trying(Conflict, LakeAway)(attempt)

    @contextmanager
    def attached_to(self, connection: Connection) -> Iterator[None]:
        with self._named():
            attach_to(connection, self.lake, SOURCE)
        try:
            yield
        except duckdb.Error as error:
            if self.lake.catalog and self.lake.catalog in str(error):
                raise error_of(self.lake, error) from None
            raise

    def _trying(self, *again: type[WarehouseError]) -> tenacity.Retrying:
        """What calls something until it raises none of these, or patience ends."""
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(again),
            stop=tenacity.stop_after_delay(self._patience)
            | tenacity.stop_when_event_set(self._given_up),
            sleep=tenacity.sleep_using_event(self._given_up),
            wait=_wait,
            before_sleep=_say_why,
            reraise=True,
        )

    @contextmanager
    def _transaction(
        self, lock: AbstractContextManager[Callable[[], None]]
    ) -> Iterator[Connection]:
        """A transaction under a lock, which is known to be held until the commit begins."""
        with lock as require_held, self._opened() as connection, committed(connection):
            yield connection
            require_held()

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        """A connection with a transaction begun, which whoever wants it kept must commit."""
        with self._named(), attached(self.lake).cursor() as connection:
            try:
                connection.begin()
                connection.execute(f"use {NAME}")  # the first that asks PostgreSQL
                connection.execute("set TimeZone = 'UTC'")
                yield connection
            finally:
                # DuckDB 1.5.5 ends the process when a connection is closed with a transaction open
                # whose connection to PostgreSQL is gone.
                with contextlib.suppress(duckdb.Error):  # of one that has ended
                    connection.rollback()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Raise what DuckDB raises as this project's errors, without the passwords in it."""
        try:
            yield
        except duckdb.Error as error:
            if isinstance(error, duckdb.FatalException | duckdb.InternalException):
                forget()  # such a DuckDB answers nothing any more
            raise error_of(self.lake, error) from None
        except RuntimeError as error:
            # So DuckDB puts it when a signal's handler raised in the middle of a statement.
            if error.__cause__ is None or isinstance(error.__cause__, Exception):
                raise
            raise error.__cause__ from None

    def _require_data(self, connection: Connection) -> None:
        """Raise WarehouseUnusable where the place of the Parquet files is out of reach."""
        if self.lake.is_on_object_storage:
            connection.execute("from glob($1)", [f"{self.lake.data}.probe/*"]).fetchall()
        elif not os.access(self.lake.data, os.W_OK):
            raise WarehouseUnusable(
                f"The folder {self.lake.data} is not there or read-only: set "
                "DERIBIT_WAREHOUSE_DATA to the one that all machines share."
            )

    def _require_no_files(self, connection: Connection) -> None:
        """Raise WarehouseUnusable where the Parquet files of another lake are: maintenance would
        take them for left over, and remove them."""
        [(tables,)] = connection.execute(
            "select count(*) from duckdb_tables() where database_name = current_database()"
        ).fetchall()
        if tables:  # somebody else has made this very lake meanwhile
            return
        if connection.execute(
            "from glob($1) limit 1", [f"{self.lake.data}**/*.parquet"]
        ).fetchall():
            raise WarehouseUnusable(
                f"{self.lake.data} holds files of another lake: set DERIBIT_WAREHOUSE_DATA to an "
                "empty place."
            )

    def _make_folder(self) -> None:
        if self.lake.is_on_object_storage:
            return
        try:
            Path(self.lake.data).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WarehouseUnusable(
                f"The folder {self.lake.data} cannot be made ({error.strerror}): set "
                "DERIBIT_WAREHOUSE_DATA to one that can."
            ) from error


class _OnlyAdding:
    """A connection of somebody who writes beside others, and so may add rows and nothing else."""

    def __init__(self, connection: Connection, lake: Lake) -> None:
        self._connection = connection
        self._lake = lake

    def execute(self, statement: str, *rest: Any) -> Connection:
        if statement.split(None, 1)[0].lower() in ("delete", "update", "merge"):
            raise Conflict(self._lake, "rows were to be replaced")
        return self._connection.execute(statement, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _wait(state: tenacity.RetryCallState) -> float:
    """Alone at once after a conflict; what is away is waited for."""
    if state.outcome is not None and isinstance(state.outcome.exception(), Conflict):
        return 0.0
    return float(tenacity.wait_random_exponential(multiplier=0.1, max=5.0)(state))


def _say_why(state: tenacity.RetryCallState) -> None:
    if state.outcome is not None and isinstance(state.outcome.exception(), LakeAway):
        logger.warning("Trying again: %s", state.outcome.exception())
