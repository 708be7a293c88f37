"""DuckDB's errors about a lake, converted to errors of this project: retryable, or with a
remedy."""

import re

import duckdb

from deribit_pipeline.domain.location import Lake, LocalLake
from deribit_pipeline.errors import (
    Conflict,
    LakeAway,
    WarehouseError,
    WarehouseUnusable,
    first_line,
)
from deribit_pipeline.masking import masked, passwords_of
from deribit_pipeline.warehouse.connections import DISK_FULL

# DuckDB's message for a commit that conflicts with an earlier one.
_CONFLICT = "Transaction conflict"

# DuckDB's messages if the catalog or the object store is temporarily unreachable.
_AWAY = (
    "Unable to connect", "Failed to execute query", "Failed to query", "server closed",
    "terminating connection", "HTTP", "Could not establish connection", "Failed to commit",
    "from DuckLake: Current transaction is aborted", "database is locked",
)  # fmt: skip

# SQLite's messages about a catalog that it cannot use, and what to do.
_FOREIGN = "it is not the catalog of a lake, so set DERIBIT_WAREHOUSE to another file"
_UNUSABLE = {
    "creating a new DuckLake is explicitly disabled": _FOREIGN,
    "file is not a database": _FOREIGN,
    "Table with name ducklake_snapshot does not exist": _FOREIGN,  # removed, and made empty
    "disk image is malformed": "it is damaged, so put a backup of it and its files in their place",
    "unable to open database": "let this user read and write it and its folder",
    "readonly database": "let this user write it and its folder",
}
_CATALOG_FULL = "database or disk is full"

# Messages of the object store after which a retry would not help.
_REFUSED = re.compile("HTTP (code )?40[134]|Secret Validation Failure")


def away(lake: Lake, reason: str) -> LakeAway:
    """The error for an unreachable lake."""
    needs = "no other program locks it" if isinstance(lake, LocalLake) else "its PostgreSQL runs"
    return LakeAway(
        f"{lake} cannot be reached ({without_secrets(lake, reason)}): check that {needs}, and the "
        "object store, if its files are on one."
    )


def unusable(lake: Lake, reason: str | None, remedy: str) -> WarehouseUnusable:
    """The error for a catalog in a file that cannot be used."""
    return WarehouseUnusable(f"{lake} cannot be used ({reason}): {remedy}.")


def conflict(lake: Lake, reason: str) -> Conflict:
    """The error for a write that conflicted with another."""
    return Conflict(
        f"{lake} was being written by others too ({reason}): the same command continues from "
        "what is stored."
    )


def without_secrets(lake: Lake, message: str) -> str:
    """A message without the connection string and the store's keys, which it may repeat."""
    secrets = {*passwords_of(lake.catalog), lake.storage.secret, lake.storage.token}
    return masked(message.replace(lake.catalog, lake.shown), secrets)


def error_of(lake: Lake, error: duckdb.Error) -> WarehouseError:
    """DuckDB's error as an error of this project, without the passwords in it."""
    text, message = str(error), without_secrets(lake, first_line(error))
    if _CONFLICT in text:
        return conflict(lake, message)
    for sign, remedy in _UNUSABLE.items():
        if sign in text:
            return unusable(lake, message, remedy)
    if DISK_FULL in text or _CATALOG_FULL in text:
        where = lake.catalog if _CATALOG_FULL in text else lake.data
        return WarehouseError(
            f"{lake} cannot be written, the disk of {where} is full ({message}): "
            "make room, and the same command continues from what is stored."
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
