"""The exceptions of Dagster's databases."""

from contextlib import suppress

from sqlalchemy.exc import DBAPIError


def storage_errors() -> tuple[type[Exception], ...]:
    """The exceptions of Dagster's databases; those of the extra `postgres` if it is installed."""
    with suppress(ImportError):
        from dagster_postgres.utils import DagsterPostgresException

        return DBAPIError, OSError, DagsterPostgresException
    return DBAPIError, OSError
