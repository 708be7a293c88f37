"""The interface of a lake's catalog, besides what DuckLake does with it: PostgreSQL, or a file."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Protocol

Lock = AbstractContextManager[Callable[[], None]]
"""Held for as long as the block lasts; the yielded function verifies that it still is. Raises
LakeAway, also there, and WarehouseError once patience ends."""


class Catalog(Protocol):
    """The catalog of one lake, and its locks. Waits for each as long as its store has patience."""

    def exists(self) -> bool:
        """Whether the catalog is there. Raises WarehouseError if that cannot be determined."""

    def require_makeable(self) -> None:
        """Raise WarehouseUnusable if nothing is there, and nothing could be created."""

    def make(self) -> None:
        """Create an empty catalog, unless DuckLake does when it attaches it. Raises
        WarehouseUnusable."""

    def keep_private(self) -> None:
        """Restrict access to this user, where files and not a server decide."""

    def alone(self) -> Lock:
        """An exclusive lock on the lake."""

    def beside(self, series: Collection[str]) -> Lock:
        """An exclusive lock on the series, beside writers of others if the catalog allows them."""
