"""What DuckDB says of a lake, as errors of this project: worth another try, or what to do."""

import re

import duckdb

from deribit_pipeline.errors import WarehouseError, WarehouseUnusable
from deribit_pipeline.location import Lake
from deribit_pipeline.warehouse.file import first_line
from deribit_pipeline.warehouse.locks import LakeAway, without_secrets

# How DuckDB says that a commit came after another's that it does not go with.
_CONFLICT = "Transaction conflict"

# How it says that PostgreSQL or the object store was away for a moment.
_AWAY = (
    "Unable to connect", "Failed to execute query", "Failed to query", "server closed",
    "terminating connection", "HTTP", "Could not establish connection", "Failed to commit",
    "from DuckLake: Current transaction is aborted",
)  # fmt: skip

# How the object store says that asking again would not help.
_REFUSED = re.compile("HTTP (code )?40[134]|Secret Validation Failure")

_DISK_FULL = "No space left on device"


class Conflict(WarehouseError):
    """Others were in the way: alone, the same may succeed."""

    def __init__(self, lake: Lake, reason: str) -> None:
        super().__init__(
            f"{lake} was being written by others too ({reason}): the same command goes on from "
            "what is kept."
        )


def error_of(lake: Lake, error: duckdb.Error) -> WarehouseError:
    """The error that says what DuckDB said, without the passwords in it."""
    said, message = str(error), without_secrets(lake, first_line(error))
    if _CONFLICT in said:
        return Conflict(lake, message)
    if _DISK_FULL in said:
        return WarehouseError(
            f"{lake} cannot be written, the disk of {lake.data} is full ({message}): "
            "make room, and the same command goes on from what is kept."
        )
    if "does not match existing data path" in said:
        return WarehouseUnusable(
            f"{lake} keeps its files elsewhere than DERIBIT_WAREHOUSE_DATA says "
            f"({message}): set it to where they are."
        )
    if "catalog version mismatch" in said:
        return WarehouseUnusable(
            f"{lake} is of another version of DuckLake than duckdb {duckdb.__version__} "
            f"knows ({message}): see that all machines run the same version of it."
        )
    if _REFUSED.search(said):
        return WarehouseUnusable(
            f"{lake}: the store of {lake.data} refuses ({message}): see that its "
            "bucket is there, and that the key of AWS_ACCESS_KEY_ID may read and write it."
        )
    if any(sign in said for sign in _AWAY):
        return LakeAway(lake, message)
    return WarehouseError(f"{lake}: {message}")
