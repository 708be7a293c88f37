"""Connections to the PostgreSQL of a lake's catalog, for its locks and the rate limit beside it."""

import re
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PostgresConnection  # noqa: N812 - it is a class
from psycopg2.extensions import parse_dsn

from deribit_pipeline.errors import SettingsError

# A server that disappears is detected within the seconds in which a signal must end a command,
# because libpq cannot be interrupted; the connection string takes precedence over these values.
_PARAMETERS = {
    "connect_timeout": "2",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "2000",
    "fallback_application_name": "deribit-pipeline",
}

# PostgreSQL's messages for a connection that it refuses permanently: psycopg2 exposes no code.
_REFUSED = re.compile(
    "authentication failed|does not exist|no pg_hba.conf entry|no password supplied|"
    "permission denied"
)


class CatalogUnreachable(Exception):
    """The connection failed; the message states why, without address and password.

    `is_refusal`: PostgreSQL responded, and a retry would not help.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.is_refusal = bool(_REFUSED.search(reason))


def connect(catalog: str, options: str = "") -> PostgresConnection:
    """A connection without transactions to the database that a connection string of libpq names.

    `options` are command-line options for the server, besides those of the string. Raises
    CatalogUnreachable, and SettingsError for a malformed string.
    """
    parameters = _PARAMETERS | _parsed(catalog)
    parameters["options"] = f"{parameters.get('options', '')} {options}".strip()
    try:
        connection = psycopg2.connect(**parameters)
    except psycopg2.Error as error:
        # Without the cause, which may repeat a password.
        raise CatalogUnreachable(_libpq_message(error)) from None
    connection.autocommit = True
    return connection


def _parsed(catalog: str) -> dict[str, Any]:
    try:
        return dict(parse_dsn(catalog))
    except psycopg2.ProgrammingError:
        # libpq repeats what it cannot parse, which may be a password.
        raise SettingsError(
            "DERIBIT_WAREHOUSE has a connection string that libpq cannot parse: write "
            "ducklake:postgres: and key=value pairs, or postgresql://user@host/database."
        ) from None


def _libpq_message(error: Exception) -> str:
    """The reason of the network or server for a failed connection, without the address: a malformed
    password may be parsed, and repeated, as part of it."""
    reasons = re.findall(r"(?:failed|to address): (?:FATAL: +)?(.+)", str(error))
    return str(reasons[-1]) if reasons else "its connection string is not understood"
