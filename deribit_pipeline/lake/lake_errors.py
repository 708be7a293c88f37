"""DuckDB's errors about a lake, converted to errors of this project: retryable, or with a
remedy."""

import re

import duckdb

from deribit_pipeline.domain.location import Lake
from deribit_pipeline.errors import (
    Conflict,
    LakeAway,
    WarehouseError,
    WarehouseUnusable,
    first_line,
)
from deribit_pipeline.lake import catalog_connection as catalog
from deribit_pipeline.masking import masked
from deribit_pipeline.warehouse.connections import DISK_FULL

# DuckDB's message for a commit that conflicts with an earlier one.
_CONFLICT = "Transaction conflict"

# DuckDB's messages if PostgreSQL or the object store is temporarily unreachable.
_AWAY = (
    "Unable to connect", "Failed to execute query", "Failed to query", "server closed",
    "terminating connection", "HTTP", "Could not establish connection", "Failed to commit",
    "from DuckLake: Current transaction is aborted",
)  # fmt: skip

# Messages of the object store after which a retry would not help.
_REFUSED = re.compile("HTTP (code )?40[134]|Secret Validation Failure")


def away(lake: Lake, reason: str) -> LakeAway:
    """The error for an unreachable lake."""
    return LakeAway(
        f"{lake} cannot be reached ({without_secrets(lake, reason)}): check that its PostgreSQL "
        "runs, and its object store where it has one."
    )


def conflict(lake: Lake, reason: str) -> Conflict:
    """The error for a write that conflicted with another."""
    return Conflict(
        f"{lake} was being written by others too ({reason}): the same command goes on from what "
        "is kept."
    )


def without_secrets(lake: Lake, message: str) -> str:
    """A message without the connection string and the store's keys, which it may repeat."""
    return masked(
        catalog.without_secrets(lake.catalog, lake.shown, message),
        (lake.storage.secret, lake.storage.token),
    )


def error_of(lake: Lake, error: duckdb.Error) -> WarehouseError:
    """DuckDB's error as an error of this project, without the passwords in it."""
    text, message = str(error), without_secrets(lake, first_line(error))
    if _CONFLICT in text:
        return conflict(lake, message)
    if DISK_FULL in text:
        return WarehouseError(
            f"{lake} cannot be written, the disk of {lake.data} is full ({message}): "
            "make room, and the same command goes on from what is kept."
        )
    if "does not match existing data path" in text:
        return WarehouseUnusable(
            f"{lake} keeps its files elsewhere than DERIBIT_WAREHOUSE_DATA says "
            f"({message}): set it to where they are."
        )
    if "catalog version mismatch" in text:
        return WarehouseUnusable(
            f"{lake} is of another version of DuckLake than duckdb {duckdb.__version__} "
            f"supports ({message}): check that all machines run the same version of it."
        )
    if _REFUSED.search(text):
        return WarehouseUnusable(
            f"{lake}: the store of {lake.data} rejects access ({message}): check that its "
            "bucket exists, and that the key of AWS_ACCESS_KEY_ID may read and write it."
        )
    if any(sign in text for sign in _AWAY):
        return away(lake, message)
    return WarehouseError(f"{lake}: {message}")
