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
from contextlib import closing, contextmanager
from typing import Any, cast

import psycopg2
from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import connection as PostgresConnection  # noqa: N812 - it is a class
from psycopg2.extensions import parse_dsn

from deribit_pipeline.errors import WarehouseError, WarehouseUnusable
from deribit_pipeline.location import Lake, said_by_libpq
from deribit_pipeline.warehouse.file import first_line

_LOCK = "select pg_advisory_lock(%s)"
_LOCK_SHARED = "select pg_advisory_lock_shared(%s)"
_UNLOCK_SHARED = "select pg_advisory_unlock_shared(%s)"

# Seconds after which a wait looks up, to see whether it should go on.
_LOOKING_UP = 1

# A worker whose machine is gone is noticed after 25 s, instead of PostgreSQL's two hours.
_KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_OPTIONS = " ".join(
    [f"-c tcp_{name}={value}" for name, value in _KEEPALIVES.items()]
    + [f"-c lock_timeout={_LOOKING_UP}s"]
)


class LakeAway(WarehouseError):
    """PostgreSQL or the object store cannot be reached at this moment."""

    def __init__(self, lake: Lake, reason: str) -> None:
        super().__init__(
            f"{lake} cannot be reached ({without_secrets(lake, reason)}): see that its PostgreSQL "
            "runs and takes the user and password of DERIBIT_WAREHOUSE, and its store the keys."
        )


class Locks:
    """The locks of one lake. Waits `patience` seconds for each."""

    def __init__(self, lake: Lake, patience: float, given_up: threading.Event) -> None:
        self._lake = lake
        self._patience = patience
        self._given_up = given_up

    @contextmanager
    def alone(self) -> Iterator[Callable[[], None]]:
        """Alone in the lake for as long as the block lasts; call what it yields to hear that this
        is still so. Raises LakeAway, also there, and WarehouseError when patience ends."""
        with connected(self._lake, _OPTIONS) as connection:
            # Nobody else comes in meanwhile, or those who come and go would keep us out for good.
            self._take(connection, _LOCK, "gate")
            self._take(connection, _LOCK, "lake")
            yield lambda: _require_alive(connection)

    @contextmanager
    def beside(self, series: Collection[str]) -> Iterator[Callable[[], None]]:
        """Alone in the series, beside others in the lake; as `alone` otherwise."""
        with connected(self._lake, _OPTIONS) as connection:
            self._take(connection, _LOCK_SHARED, "gate")
            self._take(connection, _LOCK_SHARED, "lake")
            asked(connection, _UNLOCK_SHARED, _key("gate"))
            for name in sorted(series):  # in one order, so that no two wait for each other
                self._take(connection, _LOCK, f"series {name}")
            yield lambda: _require_alive(connection)

    def _take(self, connection: PostgresConnection, statement: str, what: str) -> None:
        until = time.monotonic() + self._patience
        while True:
            try:
                asked(connection, statement, _key(what))
                return
            except LockNotAvailable as error:
                if self._given_up.is_set() or time.monotonic() > until:
                    raise WarehouseError(
                        f"{self._lake} was held by other workers for {self._patience:.0f} s: the "
                        "same command goes on from what is kept."
                    ) from error


@contextmanager
def connected(lake: Lake, options: str = "") -> Iterator[PostgresConnection]:
    """A connection to the catalog's PostgreSQL, without transactions. Raises LakeAway."""
    try:
        connection = psycopg2.connect(
            lake.catalog, options=options, connect_timeout=10, application_name="deribit-pipeline",
            **_KEEPALIVES,
        )  # fmt: skip
    except psycopg2.ProgrammingError:  # which may quote a part of the password, as others may
        raise WarehouseUnusable(
            "DERIBIT_WAREHOUSE names its PostgreSQL in no way that libpq understands: write "
            "ducklake:postgres: and key=value pairs, or postgresql://user@host/database."
        ) from None
    except psycopg2.Error as error:
        raise LakeAway(lake, said_by_libpq(error)) from None
    try:
        with closing(connection):
            connection.autocommit = True
            yield connection
    except psycopg2.Error as error:
        raise LakeAway(lake, first_line(error)) from error


def asked(connection: PostgresConnection, statement: str, *values: object) -> list[Any]:
    """The rows that PostgreSQL answers. Raises psycopg2.Error."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cast(list[Any], cursor.fetchall())


def _require_alive(connection: PostgresConnection) -> None:
    asked(connection, "select 1")


def without_secrets(lake: Lake, message: str) -> str:
    """What may be shown of a message that repeats the connection string."""
    password = parse_dsn(lake.catalog).get("password")
    message = message.replace(lake.catalog, lake.shown)
    return message.replace(password, "…") if password else message


def _key(what: str) -> int:
    """The number that PostgreSQL knows a lock by; its locks are a database's own."""
    digest = hashlib.blake2b(f"deribit-pipeline {what}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
