"""The location of a lake's Parquet files: a folder, or a prefix on object storage."""

import logging
import os
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path, PurePosixPath

import duckdb

from deribit_pipeline.domain.location import Lake
from deribit_pipeline.errors import WarehouseUnusable
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.whole_files import require_room

logger = logging.getLogger(__name__)


class LakeFiles:
    """The Parquet files of a lake."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def require_makeable(self) -> None:
        """Raise WarehouseUnusable if the folder is missing and cannot be created."""
        if not self._lake.is_on_object_storage:
            try:
                require_room(Path(self._lake.data) / "main")  # where DuckLake puts the tables
            except OSError as error:
                raise self._unmakeable(error) from error

    def require_usable(self, connection: Connection) -> None:
        """Raise WarehouseUnusable if the location of the Parquet files is unreachable."""
        if self._lake.is_on_object_storage:
            _has_files(connection, f"{self._lake.data}.probe/*")
        elif not os.access(self._lake.data, os.W_OK):
            raise WarehouseUnusable(
                f"The folder {self._lake.data} is not there or read-only: set "
                "DERIBIT_WAREHOUSE_DATA to the one that all machines share."
            )

    def make(self) -> None:
        """Create the folder. Raises WarehouseUnusable."""
        if self._lake.is_on_object_storage:
            return
        try:
            Path(self._lake.data).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unmakeable(error) from error

    def taken(self, connection: Connection) -> str | None:
        """The lake's location or one above it, if it contains Parquet files and can be listed."""
        for place, files in _places(self._lake):
            try:
                if _has_files(connection, files):
                    return place
            except duckdb.HTTPException as error:
                if place == self._lake.data or error.status_code != HTTPStatus.FORBIDDEN:
                    raise
                logger.warning(
                    "The key may not list %s: whether it belongs to another lake, whose "
                    "maintenance would remove the files in %s, is unknown.",
                    place, self._lake.data,
                )  # fmt: skip
                break  # nor can the prefixes above it be listed
        return None

    def _unmakeable(self, error: OSError) -> WarehouseUnusable:
        return WarehouseUnusable(
            f"The folder {self._lake.data} cannot be made ({error.strerror}): set "
            "DERIBIT_WAREHOUSE_DATA to one that can."
        )


def _places(lake: Lake) -> Iterator[tuple[str, str]]:
    """The lake's location and all above it, each with the pattern of a lake's files."""
    yield lake.data, f"{lake.data}**/*.parquet"
    scheme, separator, rest = lake.data.rpartition("://")
    for parent in PurePosixPath(rest).parents:
        place = f"{scheme}{separator}{str(parent).rstrip('/')}/"
        if parent.name:
            yield place, f"{place}main/*/**/*.parquet"


def _has_files(connection: Connection, pattern: str) -> bool:
    return bool(connection.execute("from glob($1) limit 1", [pattern]).fetchall())
