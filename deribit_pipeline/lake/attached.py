"""A DuckDB to which a lake is attached: one per process and lake, shared by all its users."""

import functools
import threading

import duckdb

from deribit_pipeline.domain.location import LAKE, LOCAL_LAKE, Lake, LocalLake
from deribit_pipeline.domain.tables import quoted
from deribit_pipeline.lake import extensions
from deribit_pipeline.warehouse.place import Connection

NAME = "lake"
"""The name of the attached DuckLake within DuckDB."""

# What each kind of catalog needs of DuckDB. A SQLite file is attached only if it is a catalog:
# otherwise DuckLake would make tables in the file of another program.
_EXTENSIONS = {LAKE: "postgres_scanner", LOCAL_LAKE: "sqlite_scanner"}
_OPTIONS = {LAKE: (), LOCAL_LAKE: ("create_if_not_exists false",)}

_attaching = threading.Lock()


def attached(lake: Lake) -> Connection:
    """The process's DuckDB with the lake attached: loading its extensions takes 0.2 s."""
    with _attaching:
        return _attach(lake)


def forget() -> None:
    """Attach again on the next use."""
    _attach.cache_clear()


@functools.lru_cache(maxsize=2)  # a migration uses two
def _attach(lake: Lake) -> Connection:
    connection = attachable(lake)
    try:
        connection.execute(_attaches(lake, NAME, *_OPTIONS[lake.prefix]))
    except duckdb.Error:
        connection.close()
        raise
    return connection


def attach_to(connection: Connection, lake: Lake, name: str) -> None:
    """Attach the lake to another DuckDB under a name."""
    _prepare(connection, lake)
    connection.execute(_attaches(lake, name, "read_only", *_OPTIONS[lake.prefix]))


def make_catalog(lake: LocalLake) -> None:
    """Create the SQLite file of a lake's catalog, without tables of this project."""
    with attachable(lake) as connection:
        # With SQLite's other journals, readers and writers block each other. The file keeps it.
        connection.execute(_attaches(lake, NAME, "meta_journal_mode 'wal'"))


def attachable(lake: Lake) -> Connection:
    """A DuckDB with everything needed to attach the lake. Raises WarehouseUnusable."""
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    _prepare(connection, lake)
    return connection


def _prepare(connection: Connection, lake: Lake) -> None:
    extensions.load(connection, _EXTENSIONS[lake.prefix], "ducklake")
    if lake.is_on_object_storage:
        extensions.load(connection, "httpfs")
        connection.execute(_secret(connection, lake))


def _attaches(lake: Lake, name: str, *options: str) -> str:
    given = ", ".join((f"data_path {quoted(lake.data)}", *options))
    return f"attach {quoted(lake.address)} as {name} ({given})"


def _secret(connection: Connection, lake: Lake) -> str:
    """The statement that gives DuckDB access to the object store."""
    storage = lake.storage
    if storage.key_id and storage.secret:
        given = {"key_id": storage.key_id, "secret": storage.secret, "session_token": storage.token}
    else:
        extensions.load(connection, "aws")
        # A role's keys are valid for about an hour, and a process may run for longer.
        given = {"provider": "credential_chain", "refresh": "auto"}
    given |= {"region": storage.region}
    if storage.endpoint:
        scheme, _, host = storage.endpoint.rstrip("/").partition("://")
        given |= {"endpoint": host, "url_style": "path", "use_ssl": str(scheme == "https").lower()}
    options = ", ".join(f"{name} {quoted(value)}" for name, value in given.items() if value)
    # For every path of the store: a process uses one store, whatever lakes are attached.
    return f"create or replace secret store (type s3, {options})"
