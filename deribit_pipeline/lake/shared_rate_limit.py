"""The rate limit of several machines: token buckets as rows of one PostgreSQL table.

The table is in the database of the lake's catalog that these machines share, and uses that server's
clock, so that the clocks of the machines need not agree.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg2
from psycopg2.extensions import connection as PostgresConnection  # noqa: N812 - it is a class

from deribit_pipeline.errors import SettingsError, first_line
from deribit_pipeline.exchange.rate_limiter import RateLimitUnreachable, TokenBuckets
from deribit_pipeline.lake.postgres_connection import CatalogUnreachable, connect

TABLE = "public.deribit_pipeline_credits"
"""In the schema of DuckLake's tables, regardless of a user's search path."""

# If several sessions create a table at once, PostgreSQL fails all but one: so they take a lock.
_MAKE = f"""
select pg_advisory_xact_lock(hashtext('{TABLE}'));
create table if not exists {TABLE} (
    source text,
    pool text,
    full_at timestamptz not null,
    primary key (source, pool)
)
"""

# One statement, so that its row lock never waits for a round trip, even if a machine dies
# meanwhile. The clock is read under that lock; `greatest` ignores nulls.
_ADVANCE = f"""
insert into {TABLE} as held (source, pool, full_at)
values (%(source)s, %(pool)s, clock_timestamp() + make_interval(secs => %(at_least)s + %(by)s))
on conflict (source, pool) do update
set full_at = make_interval(secs => %(by)s) + greatest(
    case
        when held.full_at <= clock_timestamp() + make_interval(secs => %(at_most)s)
        then held.full_at
    end,
    clock_timestamp() + make_interval(secs => %(at_least)s)
)
returning cast(extract(epoch from full_at - clock_timestamp()) as double precision)
"""

# An abandoned session may hold the row forever; a signal waits for no longer than this.
_PATIENCE = "set statement_timeout = '2s'"


@contextmanager
def shared_buckets(catalog: str) -> Iterator[TokenBuckets]:
    """Token buckets in the database that the libpq connection string `catalog` names.

    They share one connection, opened on first use and again after it was lost.
    """
    database = _Database(catalog)
    try:
        yield lambda source, pool: _RowBucket(database, source, pool)
    finally:
        database.close()


class _RowBucket:
    """The token bucket of a source's pool in a database."""

    def __init__(self, database: "_Database", source: str, pool: str) -> None:
        self._database = database
        self._row: dict[str, object] = {"source": source, "pool": pool}

    async def advance(self, *, at_least: float, by: float, at_most: float) -> float:
        """See `TokenBucket`. Raises SettingsError if the string is malformed, or its user may not
        create or write the table."""
        change: dict[str, object] = {"at_least": at_least, "by": by, "at_most": at_most}
        return await self._database.advanced(self._row | change)


class _Database:
    """A connection with a thread for its queries, so that no event loop waits for the network."""

    def __init__(self, catalog: str) -> None:
        self._catalog = catalog
        self._connection: PostgresConnection | None = None
        self._thread = ThreadPoolExecutor(1, "credits")

    async def advanced(self, values: dict[str, object]) -> float:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._advanced, values)

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._disconnect()

    def _advanced(self, values: dict[str, object]) -> float:
        try:
            with self._connected().cursor() as cursor:
                try:
                    cursor.execute(_ADVANCE, values)
                except psycopg2.errors.UndefinedTable:
                    cursor.execute(_MAKE)
                    cursor.execute(_ADVANCE, values)
                [(full_in,)] = cursor.fetchall()
                return float(full_in)
        except psycopg2.ProgrammingError as error:
            raise SettingsError(
                f"The rate limit's table {TABLE} cannot be used ({first_line(error)}): let the "
                "user of DERIBIT_WAREHOUSE make it, read it and write it."
            ) from error
        except psycopg2.Error as error:
            self._disconnect()
            raise _unreachable(first_line(error)) from error
        except CatalogUnreachable as error:
            raise _unreachable(str(error)) from None

    def _connected(self) -> PostgresConnection:
        if self._connection is None:
            connection = connect(self._catalog)
            with connection.cursor() as cursor:
                cursor.execute(_PATIENCE)
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _unreachable(reason: str) -> RateLimitUnreachable:
    return RateLimitUnreachable(
        f"DERIBIT_WAREHOUSE's PostgreSQL, which keeps the rate limit, is out of reach: {reason}"
    )
