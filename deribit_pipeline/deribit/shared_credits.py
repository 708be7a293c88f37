"""The rate limit of several machines: meters as rows of one PostgreSQL table.

They stand beside the catalog of the warehouse that the machines write together, on that server's
clock, so that machines whose clocks differ agree.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from deribit_pipeline.deribit.credits import Meters, MeterUnreachable
from deribit_pipeline.errors import SettingsError
from deribit_pipeline.location import said_by_libpq

TABLE = "public.deribit_pipeline_credits"
"""In the schema that DuckLake's own tables are in, whatever the search path of a user."""

# Of tables that several make at once, PostgreSQL makes one and fails the others: so they queue.
_MAKE = f"""
select pg_advisory_xact_lock(hashtext('{TABLE}'));
create table if not exists {TABLE} (
    source text,
    pool text,
    full_at timestamptz not null,
    primary key (source, pool)
)
"""

# One statement, so that its lock on the row lasts for no round trip, even to a machine that dies
# meanwhile. The clock is read under that lock; `greatest` passes over a null.
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

# A server that went away without a word is noticed in seconds; what the connection string says of
# these counts more.
_CONNECTION = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "fallback_application_name": "deribit-pipeline",
}

# A session that somebody forgot may hold the row for good.
_PATIENCE = "set statement_timeout = '10s'"


@contextmanager
def shared_meters(catalog: str) -> Iterator[Meters]:
    """Meters in the database that the libpq connection string `catalog` names.

    They share one connection, opened when it is first needed and anew after it was lost. Raises
    SettingsError where the string, or this installation, cannot serve.
    """
    database = _Database(catalog)
    try:
        yield lambda source, pool: _RowMeter(database, source, pool)
    finally:
        database.close()


class _RowMeter:
    """The meter of a source's pool in a database."""

    def __init__(self, database: "_Database", source: str, pool: str) -> None:
        self._database = database
        self._row: dict[str, object] = {"source": source, "pool": pool}

    async def advance(self, *, at_least: float, by: float, at_most: float) -> float:
        """See `Meter`. Raises SettingsError where the table cannot be made or written."""
        change: dict[str, object] = {"at_least": at_least, "by": by, "at_most": at_most}
        return await self._database.advanced(self._row | change)


class _Database:
    """A connection, and the thread that it lives on, so that no event loop waits for a network."""

    def __init__(self, catalog: str) -> None:
        try:
            import psycopg2
        except ImportError as error:
            raise SettingsError(
                "The rate limit of several machines is kept in PostgreSQL, for which psycopg2 is "
                "missing: pip install 'deribit-pipeline[ducklake]'."
            ) from error
        self._psycopg2 = psycopg2
        try:
            self._parameters = _CONNECTION | psycopg2.extensions.parse_dsn(catalog)
        except psycopg2.ProgrammingError:
            # libpq repeats what it does not understand, which may be a password.
            raise SettingsError(
                "DERIBIT_WAREHOUSE holds no connection string of PostgreSQL after "
                "`ducklake:postgres:`: write it as host=… dbname=… or postgresql://…."
            ) from None
        self._connection: Any = None
        self._thread = ThreadPoolExecutor(1, "credits")

    async def advanced(self, values: dict[str, object]) -> float:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._advanced, values)

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._disconnect()

    def _advanced(self, values: dict[str, object]) -> float:
        try:
            connection = self._connected()
            with connection.cursor() as cursor:
                try:
                    cursor.execute(_ADVANCE, values)
                except self._psycopg2.errors.UndefinedTable:
                    cursor.execute(_MAKE)
                    cursor.execute(_ADVANCE, values)
                [(full_in,)] = cursor.fetchall()
                return float(full_in)
        except (self._psycopg2.OperationalError, self._psycopg2.InterfaceError) as error:
            self._disconnect()
            raise _unreachable(_first_line(error)) from error
        except self._psycopg2.Error as error:
            raise SettingsError(
                f"The rate limit's table {TABLE} cannot be used ({_first_line(error)}): let the "
                "user of DERIBIT_WAREHOUSE make it, read it and write it."
            ) from error

    def _connected(self) -> Any:
        if self._connection is None:
            try:
                self._connection = self._psycopg2.connect(**self._parameters)
            except self._psycopg2.OperationalError as error:
                # Without its cause, which may repeat a password.
                raise _unreachable(said_by_libpq(error)) from None
            self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                cursor.execute(_PATIENCE)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _unreachable(reason: str) -> MeterUnreachable:
    return MeterUnreachable(
        f"DERIBIT_WAREHOUSE's PostgreSQL, which keeps the rate limit, is out of reach: {reason}"
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
