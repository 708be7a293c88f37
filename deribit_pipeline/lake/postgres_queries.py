"""The PostgreSQL of a lake's catalog, queried directly instead of through DuckDB."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, cast

import psycopg2
from psycopg2.extensions import connection as PostgresConnection  # noqa: N812 - it is a class

from deribit_pipeline.domain.location import Lake
from deribit_pipeline.errors import WarehouseUnusable, first_line
from deribit_pipeline.lake.lake_errors import away, without_secrets
from deribit_pipeline.lake.postgres_connection import CatalogUnreachable, connect


@contextmanager
def connected(lake: Lake, options: str = "") -> Iterator[PostgresConnection]:
    """A connection without transactions; `options` are for the server.

    Raises LakeAway, also in the block, and WarehouseUnusable if a retry would not help.
    """
    try:
        connection = connect(lake.catalog, options)
    except CatalogUnreachable as error:
        if error.is_refusal:
            raise WarehouseUnusable(
                f"{lake} is refused ({without_secrets(lake, str(error))}): check that the database "
                "exists, and accepts the user and password of DERIBIT_WAREHOUSE."
            ) from None
        raise away(lake, str(error)) from None
    try:
        with closing(connection):
            yield connection
    except psycopg2.Error as error:
        raise away(lake, first_line(error)) from error


def answered(connection: PostgresConnection, statement: str, *values: object) -> list[Any]:
    """The rows that PostgreSQL returns. Raises psycopg2.Error."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cast(list[Any], cursor.fetchall())
