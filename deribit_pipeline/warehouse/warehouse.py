"""A warehouse of one environment: created, checked, migrated, read and written."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from datetime import datetime
from pathlib import Path

import duckdb

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.tables import Table
from deribit_pipeline.errors import WarehouseError, WarehouseUnusable
from deribit_pipeline.warehouse import schema
from deribit_pipeline.warehouse.empty_warehouse import empty_warehouse
from deribit_pipeline.warehouse.file import REMEDY, FileStore
from deribit_pipeline.warehouse.migrations import (
    HASHED_SINCE,
    MADE_BY_MIGRATIONS,
    MIGRATIONS,
    READABLE,
)
from deribit_pipeline.warehouse.nothing_there import nothing_at
from deribit_pipeline.warehouse.place import Change, Connection, Result, Store

logger = logging.getLogger(__name__)

PATIENCE = 120.0
"""Seconds to wait for locks that other processes hold."""


class Warehouse:
    """The warehouse in a file, or in a store of another kind, which belongs to one `environment`. A
    file that `is_foreign`, from an untrusted source, is only read, and none of its views and macros
    are executed. `hash_proofs` adds the hashes to the proofs of an older version; without it such a
    warehouse is not migrated. `opening.warehouse_at` passes all of it."""

    def __init__(
        self,
        place: Path | Store,
        environment: Environment,
        *,
        patience: float = PATIENCE,
        is_foreign: bool = False,
        hash_proofs: Change[None] | None = None,
    ) -> None:
        if isinstance(place, Path):
            place = FileStore(place, patience, is_foreign=is_foreign)
        self._store: Store = place
        self.location = self._store.location
        self.environment = environment
        self._hash_proofs = hash_proofs
        self._is_of_any = False

    def __str__(self) -> str:
        return str(self.location)

    def give_up(self) -> None:
        """Stop waiting for locks: whoever waits fails at once. Thread-safe."""
        self._store.give_up()

    def pinned(self) -> "Warehouse":
        """The same warehouse, which raises WarehouseError once another file, or none, is at its
        place."""
        if not isinstance(self._store, FileStore):
            return self
        made = copy(self)
        made._store = self._store.pinned()
        return made

    def of_any_environment(self) -> "Warehouse":
        """The same warehouse, to be read whatever its environment is: once it is read,
        `environment` is that."""
        made = copy(self)
        made._is_of_any = True
        return made

    def in_file(self, path: Path) -> "Warehouse":
        """Another warehouse of the same environment, in a file."""
        return Warehouse(path, self.environment, hash_proofs=self._hash_proofs)

    def require_there(self) -> None:
        """Raise WarehouseError if nothing is there."""
        if not self.exists():
            raise WarehouseError(nothing_at(self.location))

    def exists(self) -> bool:
        """Whether anything is there. Raises WarehouseError if that cannot be determined."""
        return self._store.exists()

    def is_same_as(self, other: "Warehouse") -> bool:
        """Whether both are the same, however their locations are spelled; both must exist."""
        return self._store.identity == other._store.identity

    @property
    def size(self) -> int:
        """Bytes."""
        return self._store.size

    def keep_private(self) -> None:
        """Restrict the file to this user, because it will hold rows of an account."""
        self._store.keep_private()

    def check(self) -> None:
        """Raise WarehouseError if it cannot be used, or could not be created."""
        if not self.exists():
            self._store.require_makeable()
            return
        self._store.require_writable()
        with self.reading():
            pass

    @contextmanager
    def reading(self, *, as_it_is: bool = False) -> Iterator[Connection]:
        """A connection that reads one consistent state; a missing warehouse reads as an empty one.

        One of an older version is migrated to this one, unless it is to be read `as_it_is`.
        """
        if not self.exists():
            with empty_warehouse() as connection:
                yield connection
            return
        with self._store.reading() as connection:
            version = self._version(connection)
            is_current = version == schema.SCHEMA_VERSION and not _absent(connection, schema.ADDED)
            if is_current or (as_it_is and version):
                yield connection
                return
        self._require_upgradable(version)
        with self.writing():  # migrates it to this version
            pass
        with self._store.reading() as connection:
            yield connection

    def _require_upgradable(self, version: int | None) -> None:
        try:
            self._store.require_writable()
        except WarehouseUnusable as error:
            raise WarehouseUnusable(
                f"{self} has version {version} of the tables, must be brought to version "
                f"{schema.SCHEMA_VERSION} and cannot be written: make it and its folder writable, "
                "or name a duplicate of it in DERIBIT_WAREHOUSE."
            ) from error

    def require(self) -> None:
        """Raise WarehouseUnusable if this is no warehouse of this environment; it is not changed,
        even if it is of an older version."""
        with self._store.reading() as connection:
            if self._version(connection) is None:
                raise WarehouseUnusable(f"{self} is an empty database and no warehouse.")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One exclusive write transaction: durable when the block ends, rolled back when it
        raises."""
        self._make_where_missing()
        with self._store.writing() as connection:
            self._bring_up_to_date(connection)
            yield connection

    def write(self, change: Change[Result], series: Collection[str]) -> Result:
        """The result of `change` in one transaction that has exclusive write access to these
        series.

        In a store with concurrent writers, it is called again after a rollback.
        """
        self._make_where_missing()

        def whole(connection: Connection) -> Result:
            self._bring_up_to_date(connection)
            return change(connection)

        return self._store.write(whole, series)

    def attached_to(self, connection: Connection) -> AbstractContextManager[None]:
        """Attach this warehouse to another's connection as `SOURCE`, also after the block, until it
        is detached. Only within `reading`, which keeps writers of a file away."""
        return self._store.attached_to(connection)

    def snapshot_at(self, connection: Connection, moment: datetime) -> int | None:
        """The version at an instant, as the number for `at (version => …)`; None if the store keeps
        no history, such as a file."""
        return self._store.snapshot_at(connection, moment)

    def forget_the_past(self) -> None:
        """Start the history of a lake now; a file has none."""
        self._store.forget_the_past()

    def _make_where_missing(self) -> None:
        if not self.exists():
            self._store.make(self._bring_up_to_date)

    def _bring_up_to_date(self, connection: Connection) -> None:
        version = self._version(connection)
        if version is None:
            self._execute(connection, [*schema.ddl(), *self._store.layout])
            connection.execute(
                "insert into warehouse_info values ($environment, $version)",
                {"environment": str(self.environment), "version": schema.SCHEMA_VERSION},
            )
            return
        if version < schema.SCHEMA_VERSION:
            self._require_readable(version)
            kept = [table for table in schema.TABLES if table.name not in MADE_BY_MIGRATIONS]
            self._execute(connection, [table.ddl() for table in _absent(connection, kept)])
            migrate(connection, version, MIGRATIONS)
            if version < HASHED_SINCE:
                if self._hash_proofs is None:
                    raise WarehouseUnusable(f"{self} has version {version} of the tables.")
                self._hash_proofs(connection)
            logger.info("Brought %s to version %d", self, schema.SCHEMA_VERSION)
        absent = _absent(connection, schema.ADDED)
        if absent or version < schema.SCHEMA_VERSION:
            self._execute(connection, [table.ddl() for table in absent] + schema.describing())

    def _require_readable(self, version: int) -> None:
        if version not in READABLE:
            raise WarehouseUnusable(
                f"{self} has version {version} of the tables, which no release of deribit-pipeline "
                "wrote and this one cannot read: name another file, and backfill into it."
            )

    def _execute(self, connection: Connection, statements: list[str]) -> None:
        for statement in statements:
            if self._store.takes(statement):
                connection.execute(statement)

    def _version(self, connection: Connection) -> int | None:
        """The version of the schema; None if the store is empty."""
        try:
            # Fetched completely: in DuckDB 2 an unfinished result blocks its connection.
            info = connection.execute(
                "select environment, schema_version from warehouse_info"
            ).fetchall()
        except duckdb.CatalogException:  # queried only now: listing a lake's tables is slow
            if not connection.execute(
                "select 1 from duckdb_tables() where database_name = current_database() limit 1"
            ).fetchall():
                return None
            raise WarehouseUnusable(
                f"{self} is a database of another program: point DERIBIT_WAREHOUSE elsewhere."
            ) from None
        if len(info) != 1:
            raise WarehouseUnusable(f"{self} does not state what it is: {REMEDY}.")
        [(environment, version)] = info
        if self._is_of_any:
            self.environment = Environment(environment)
        if environment != self.environment:
            raise WarehouseUnusable(
                f"{self} is the warehouse of {environment}, and DERIBIT_ENV is "
                f"{self.environment}: they never mix, so set DERIBIT_WAREHOUSE or DERIBIT_ENV."
            )
        if version > schema.SCHEMA_VERSION:
            raise WarehouseUnusable(
                f"{self} has version {version} of the tables and this program supports "
                f"{schema.SCHEMA_VERSION}: upgrade deribit-pipeline."
            )
        return int(version)


def _absent(connection: Connection, tables: Sequence[Table]) -> list[Table]:
    """The missing tables: they were added after the warehouse was created."""
    if not tables:
        return []
    found = connection.execute(
        "select table_name from duckdb_tables() where database_name = current_database()"
    ).fetchall()
    held = {name for (name,) in found}
    return [table for table in tables if table.name not in held]


def migrate(
    connection: Connection, version: int, migrations: Mapping[int, tuple[str, ...]]
) -> None:
    """Migrate older tables to the newest version, in the open transaction."""
    for newer in sorted(number for number in migrations if number > version):
        for statement in migrations[newer]:
            connection.execute(statement)
        connection.execute(
            "update warehouse_info set schema_version = $version", {"version": newer}
        )
