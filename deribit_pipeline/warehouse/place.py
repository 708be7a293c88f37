"""The interface of a store for the tables: a file, or a lake."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, TypeVar

import duckdb

from deribit_pipeline.domain.location import Location

Connection = duckdb.DuckDBPyConnection
"""An open database with the schema of `warehouse.schema`."""

Result = TypeVar("Result")

Change = Callable[[Connection], Result]
"""Reads and writes in an open transaction of its caller; may be called again after a rollback."""


SOURCE = "source"
"""The name of a store within the DuckDB of another one that reads it."""


class Store(Protocol):
    """Where the tables are. Its str omits credentials."""

    def exists(self) -> bool:
        """Whether anything is there. Raises WarehouseError if that cannot be determined."""

    def keep_private(self) -> None:
        """Restrict access to this user, also for what is created later; for a lake, its database
        and folder decide."""

    def require_makeable(self) -> None:
        """Raise WarehouseUnusable if nothing is there, and nothing could be created."""

    def require_writable(self) -> None:
        """Raise WarehouseUnusable if it is known not to be writable."""

    def make(self, fill: Change[None]) -> None:
        """Create it with what `fill` writes, whole or not at all; one that another process created
        is kept."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that reads one consistent state, for as long as the block lasts."""

    def writing(self) -> AbstractContextManager[Connection]:
        """One exclusive write transaction: durable when the block ends, rolled back when it
        raises."""

    def write(self, change: Change[Result], series: Collection[str]) -> Result:
        """The result of `change` in one transaction that has exclusive write access to these
        series."""

    def attached_to(self, connection: Connection) -> AbstractContextManager[None]:
        """Attach this store to another DuckDB as `SOURCE`, also after the block, until it is
        detached.

        There must be no concurrent writer: a caller that is `reading` ensures that. An error within
        the block is reported as an error of this store.
        """

    def takes(self, statement: str) -> bool:
        """Whether a statement of the schema applies to this kind of store."""

    def snapshot_at(self, connection: Connection, moment: datetime) -> int | None:
        """The version at an instant, as the number for `at (version => …)`; None if the store keeps
        no history."""

    def forget_the_past(self) -> None:
        """Start the store's history now, if it keeps any."""

    @property
    def location(self) -> Location:
        """Where it is; the str omits credentials."""

    @property
    def layout(self) -> tuple[str, ...]:
        """Options and statements for a new store, besides the schema."""

    @property
    def identity(self) -> str:
        """An identity that does not depend on the spelling of the location."""

    @property
    def size(self) -> int:
        """Bytes."""

    def give_up(self) -> None:
        """Stop waiting for locks: whoever waits fails at once. Thread-safe."""
