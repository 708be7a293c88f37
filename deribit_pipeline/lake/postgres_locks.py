"""Write locks of a lake: advisory locks in the catalog's PostgreSQL.

DuckLake commits two concurrent transactions if both add rows, so it would store a day twice that
two workers wrote; and of two that delete from one file it can lose the first's deletions (measured
on DuckLake 1.0, duckdb 1.5.5: a file that had deletions before contained its rows twice
afterwards). So writers that only add rows work concurrently, each with a lock on its series; a
writer that deletes, updates or compacts has an exclusive lock on the lake. A lock ends with its
connection, so a dead worker holds one for no longer than PostgreSQL takes to detect that.
"""

import hashlib
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import connection as PostgresConnection  # noqa: N812 - it is a class

from deribit_pipeline.domain.location import Lake
from deribit_pipeline.lake.lock_attempts import attempts
from deribit_pipeline.lake.postgres_queries import answered, connected

_LOCK = "select pg_advisory_lock(%s)"
_LOCK_SHARED = "select pg_advisory_lock_shared(%s)"
_UNLOCK_SHARED = "select pg_advisory_unlock_shared(%s)"

# Seconds after which a waiting lock request times out, to check whether to continue.
_LOOKING_UP = 1

# A worker whose machine is gone is detected after 25 s, instead of PostgreSQL's two hours.
_OPTIONS = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 "
    f"-c lock_timeout={_LOOKING_UP}s"
)


class PostgresLocks:
    """The locks of one lake in PostgreSQL. Waits `patience` seconds for each."""

    def __init__(self, lake: Lake, patience: float, given_up: threading.Event) -> None:
        self._lake = lake
        self._patience = patience
        self._given_up = given_up

    @contextmanager
    def alone(self) -> Iterator[Callable[[], None]]:
        """See `Catalog`."""
        with connected(self._lake, _OPTIONS) as connection:
            # New writers are kept out meanwhile; otherwise a stream of them could block this one
            # forever.
            self._take(connection, _LOCK, "gate")
            self._take(connection, _LOCK, "lake")
            yield lambda: _require_alive(connection)

    @contextmanager
    def beside(self, series: Collection[str]) -> Iterator[Callable[[], None]]:
        """See `Catalog`."""
        with connected(self._lake, _OPTIONS) as connection:
            self._take(connection, _LOCK_SHARED, "gate")
            self._take(connection, _LOCK_SHARED, "lake")
            answered(connection, _UNLOCK_SHARED, _key("gate"))
            for name in sorted(series):  # in a fixed order, to avoid deadlocks
                self._take(connection, _LOCK, f"series {name}")
            yield lambda: _require_alive(connection)

    def _take(self, connection: PostgresConnection, statement: str, what: str) -> None:
        for _ in attempts(self._lake, self._patience, self._given_up):
            with suppress(LockNotAvailable):
                answered(connection, statement, _key(what))
                return


def _require_alive(connection: PostgresConnection) -> None:
    answered(connection, "select 1")


def _key(what: str) -> int:
    """The number of a lock in PostgreSQL, whose advisory locks are per database."""
    digest = hashlib.blake2b(f"deribit-pipeline {what}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
