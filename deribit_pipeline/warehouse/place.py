"""What the tables need of the place that they are in: a file, or a lake."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, TypeVar

import duckdb

from deribit_pipeline.domain.location import Location

Connection = duckdb.DuckDBPyConnection
"""An open database; the schema is that of `warehouse.schema`."""

Result = TypeVar("Result")

Change = Callable[[Connection], Result]
"""Reads and writes in one transaction that somebody else opened; may be called again, when what it
did was undone."""


SOURCE = "source"
"""What a store is called within the DuckDB of another, which reads it."""


class Store(Protocol):
    """Where the tables are. As text it says so, without credentials."""

    def exists(self) -> bool:
        """Whether anything is there. Raises WarehouseError where that cannot be told."""

    def keep_private(self) -> None:
        """Let this user alone read it, also what is made later; of a lake, its places decide."""

    def require_makeable(self) -> None:
        """Raise WarehouseUnusable where nothing is there, and nothing could be made."""

    def require_writable(self) -> None:
        """Raise WarehouseUnusable where what is there is seen not to be writable."""

    def make(self, fill: Change[None]) -> None:
        """Make it with what `fill` writes, whole or not at all; somebody else's stays."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that sees one moment, for as long as the block lasts."""

    def writing(self) -> AbstractContextManager[Connection]:
        """One transaction, in which nobody else writes: durable when the block ends, undone when
        it raises."""

    def write(self, change: Change[Result], series: Collection[str]) -> Result:
        """The result of `change` in one transaction, in which nobody else writes these series."""

    def attached_to(self, connection: Connection) -> AbstractContextManager[None]:
        """Let another DuckDB read this as `SOURCE`, also after the block, until it detaches it.

        Nobody must be writing to it: who is `reading` sees to that. What fails in here while the
        block lasts is said to have failed here.
        """

    def takes(self, statement: str) -> bool:
        """Whether a statement of the schema is for this kind of store."""

    def snapshot_at(self, connection: Connection, moment: datetime) -> int | None:
        """What was there at a moment, by the number that `at (version => …)` takes; None where
        nothing keeps it."""

    def forget_the_past(self) -> None:
        """Let the history that is kept of it begin now, where any is."""

    @property
    def location(self) -> Location:
        """Where it is, without credentials as text."""

    @property
    def layout(self) -> tuple[str, ...]:
        """What a new store is told of its tables besides the schema."""

    @property
    def identity(self) -> str:
        """What tells it apart from all others, however it is spelled."""

    @property
    def size(self) -> int:
        """Bytes."""

    def give_up(self) -> None:
        """Wait for others no more: whoever does fails at once. From any thread."""
