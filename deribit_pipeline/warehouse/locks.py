"""Who may write to a lake at this moment: advisory locks of the catalog's PostgreSQL.

DuckLake settles two commits at once by itself where both add rows, so it would keep a day that two
workers wrote twice; and of two that delete from one file it can lose the first's deletions
(measured on DuckLake 1.0, duckdb 1.5.5: a file that had deletions before held its rows twice
afterwards). So those who only add write beside each other, each alone in its series; whoever
deletes, changes or compacts is alone in the lake. A lock ends with its connection, so that no dead
worker holds one for longer than PostgreSQL takes to notice.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import connection as PostgresConnection  # noqa: N812 - it is a class

from deribit_pipeline.errors import WarehouseError

# Seconds after which a wait looks up, to see whether it should go on.
_LOOKING_UP = 1

# A worker whose machine is gone is noticed after 25 s, instead of PostgreSQL's two hours.
_KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_OPTIONS = " ".join(
    [f"-c tcp_{name}={value}" for name, value in _KEEPALIVES.items()]
    + [f"-c lock_timeout={_LOOKING_UP}s"]
)


class LostConnection(Exception):
    """PostgreSQL cannot be reached, or was away for a moment."""


class Locks:
    """The locks of one lake; `catalog` is its connection string. Waits `patience` seconds."""

    def __init__(self, catalog: str, name: str, patience: float, given_up: threading.Event) -> None:
        self._catalog = catalog
        self._name = name
        self._patience = patience
        self._given_up = given_up

    @contextmanager
    def alone(self) -> Iterator[Callable[[], None]]:
        """Alone in the lake for as long as the block lasts; call what it yields to hear that this
        is still so. Raises LostConnection, also there, and WarehouseError when patience ends."""
        with self._connected() as connection:
            self._take(connection, "pg_advisory_lock", "lake")
            yield lambda: _require_alive(connection)

    @contextmanager
    def beside(self, series: Collection[str]) -> Iterator[Callable[[], None]]:
        """Alone in the series, beside others in the lake; as `alone` otherwise."""
        with self._connected() as connection:
            self._take(connection, "pg_advisory_lock_shared", "lake")
            for name in sorted(series):  # in one order, so that no two wait for each other
                self._take(connection, "pg_advisory_lock", f"series {name}")
            yield lambda: _require_alive(connection)

    @contextmanager
    def _connected(self) -> Iterator[PostgresConnection]:
        connection = connected(self._catalog, _OPTIONS)
        try:
            yield connection
        finally:
            connection.close()

    def _take(self, connection: PostgresConnection, function: str, what: str) -> None:
        until = time.monotonic() + self._patience
        while True:
            try:
                with connection.cursor() as cursor:
                    cursor.execute(f"select {function}(%s)", (_key(what),))
                return
            except LockNotAvailable as error:
                if self._given_up.is_set() or time.monotonic() > until:
                    raise WarehouseError(
                        f"{self._name} was held by other workers for {self._patience:.0f} s: the "
                        "same command goes on from what is kept."
                    ) from error
            except psycopg2.Error as error:
                raise LostConnection(first_line_of(error)) from error


def connected(catalog: str, options: str = "") -> PostgresConnection:
    """A connection to the catalog's PostgreSQL without transactions. Raises LostConnection."""
    try:
        connection = psycopg2.connect(
            catalog, options=options, connect_timeout=10, application_name="deribit-pipeline",
            **_KEEPALIVES,
        )  # fmt: skip
    except psycopg2.Error as error:
        raise LostConnection(first_line_of(error)) from error
    connection.autocommit = True
    return connection


def first_line_of(error: BaseException) -> str:
    """What PostgreSQL says, on one line."""
    return (str(error).splitlines() or [type(error).__name__])[0].strip()


def _require_alive(connection: PostgresConnection) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
    except psycopg2.Error as error:
        raise LostConnection(first_line_of(error)) from error


def _key(what: str) -> int:
    """The number that PostgreSQL knows a lock by; its locks are a database's own."""
    digest = hashlib.blake2b(f"deribit-pipeline {what}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
