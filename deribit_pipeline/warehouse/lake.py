"""A warehouse in a DuckLake: catalog in PostgreSQL, Parquet in a folder or on object storage."""

import functools
import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import duckdb
import tenacity

from deribit_pipeline.errors import WarehouseError, WarehouseUnusable
from deribit_pipeline.location import Lake
from deribit_pipeline.warehouse import extensions
from deribit_pipeline.warehouse.file import committed, first_line
from deribit_pipeline.warehouse.locks import LakeAway, Locks, asked, connected, without_secrets
from deribit_pipeline.warehouse.store import Change, Connection, Result
from deribit_pipeline.warehouse.tables import quoted

logger = logging.getLogger(__name__)

NAME = "lake"
"""What the attached DuckLake is called within DuckDB."""

# How DuckDB says that a commit came after another's that it does not go with.
_CONFLICT = "Transaction conflict"

# How it says that PostgreSQL or the object store was away for a moment.
_AWAY = (
    "Unable to connect", "Failed to execute query", "Failed to query", "server closed",
    "terminating connection", "HTTP", "Could not establish connection", "Failed to commit",
)  # fmt: skip

_DISK_FULL = "No space left on device"


class _Conflict(WarehouseError):
    """Others were in the way: alone, the same may succeed."""


class LakeStore:
    """The DuckLake that `lake` names. Any number of processes write to it at once."""

    def __init__(self, lake: Lake, patience: float) -> None:
        self.lake = lake
        self._patience = patience
        self._given_up = threading.Event()
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
    )

    @property
    def size(self) -> int:
        with self.reading() as connection:
            [(size,)] = connection.execute(
                f"select coalesce(sum(file_size_bytes + delete_file_size_bytes), 0) "
                f"from ducklake_table_info('{NAME}')"
            ).fetchall()
        return int(size)

    def exists(self) -> bool:
        with connected(self.lake) as connection:
            [(is_there,)] = asked(connection, "select to_regclass('ducklake_metadata') is not null")
        return bool(is_there)

    def require_makeable(self) -> None:
        self._make_folder()
        _attachable(self.lake)

    def require_writable(self) -> None:
        pass  # who may write is PostgreSQL's and the object store's to say

    def make(self, fill: Change[None]) -> None:
        self._make_folder()
        with self.writing() as connection:
            fill(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._opened() as connection:
            yield connection

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
                return change(cast(Connection, _OnlyAdding(connection)))

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((_Conflict, LakeAway)),
            stop=tenacity.stop_after_delay(self._patience)
            | tenacity.stop_when_event_set(self._given_up),
            sleep=tenacity.sleep_using_event(self._given_up),
            wait=_wait,
            before_sleep=_say_why,
            reraise=True,
        )
        return retrying(attempt)

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
        try:
            with _attached(self.lake).cursor() as connection:
                connection.execute(f"use {NAME}")
                connection.execute("set TimeZone = 'UTC'")
                connection.begin()
                yield connection
        except duckdb.Error as error:
            raise self._failed(error) from error
        except RuntimeError as error:
            # So DuckDB puts it when a signal's handler raised in the middle of a statement.
            if error.__cause__ is None or isinstance(error.__cause__, Exception):
                raise
            raise error.__cause__ from None

    def _failed(self, error: duckdb.Error) -> WarehouseError:
        said, message = str(error), without_secrets(self.lake, first_line(error))
        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            _attach.cache_clear()  # such a DuckDB answers nothing any more
        if _CONFLICT in said:
            return _Conflict(f"{self.lake}: {message}")
        if _DISK_FULL in said:
            return WarehouseError(
                f"{self.lake} cannot be written, the disk of {self.lake.data} is full ({message}): "
                "make room, and the same command goes on from what is kept."
            )
        if "does not match existing data path" in said:
            return WarehouseUnusable(
                f"{self.lake} keeps its files elsewhere than DERIBIT_WAREHOUSE_DATA says "
                f"({message}): set it to where they are."
            )
        if any(sign in said for sign in _AWAY):
            return LakeAway(self.lake, message)
        return WarehouseError(f"{self.lake}: {message}")

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

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, *rest: Any) -> Connection:
        if statement.split(None, 1)[0].lower() in ("delete", "update", "merge"):
            raise _Conflict("rows that others may be reading or changing are to be replaced")
        return self._connection.execute(statement, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _wait(state: tenacity.RetryCallState) -> float:
    """Alone at once after a conflict; what is away is waited for."""
    if state.outcome is not None and isinstance(state.outcome.exception(), _Conflict):
        return 0.0
    return float(tenacity.wait_random_exponential(multiplier=0.1, max=5.0)(state))


def _say_why(state: tenacity.RetryCallState) -> None:
    if state.outcome is not None and isinstance(state.outcome.exception(), LakeAway):
        logger.warning("Trying again: %s", state.outcome.exception())


_attaching = threading.Lock()


def _attached(lake: Lake) -> Connection:
    """The process's DuckDB to which the lake is attached: loading its extensions takes 0.2 s."""
    with _attaching:
        return _attach(lake)


@functools.cache
def _attach(lake: Lake) -> Connection:
    connection = _attachable(lake)
    try:
        connection.execute(
            f"attach {quoted('ducklake:postgres:' + lake.catalog)} as {NAME} "
            f"(data_path {quoted(lake.data)})"
        )
    except duckdb.Error:
        connection.close()
        raise
    return connection


def _attachable(lake: Lake) -> Connection:
    """A DuckDB that knows all it needs to attach the lake. Raises WarehouseUnusable."""
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    extensions.load(connection, "postgres_scanner", "ducklake")
    if lake.is_on_object_storage:
        extensions.load(connection, "httpfs")
        connection.execute(_secret(connection, lake))
    return connection


def _secret(connection: Connection, lake: Lake) -> str:
    """The statement by which DuckDB learns how to reach the object store."""
    storage = lake.storage
    if storage.key_id and storage.secret:
        said = {"key_id": storage.key_id, "secret": storage.secret, "session_token": storage.token}
    else:
        extensions.load(connection, "aws")
        said = {"provider": "credential_chain"}
    said |= {"region": storage.region}
    if storage.endpoint:
        scheme, _, host = storage.endpoint.rstrip("/").partition("://")
        said |= {"endpoint": host, "url_style": "path", "use_ssl": str(scheme == "https").lower()}
    options = ", ".join(f"{name} {quoted(value)}" for name, value in said.items() if value)
    return f"create secret (type s3, scope {quoted(lake.data)}, {options})"
