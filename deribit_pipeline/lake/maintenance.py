"""What keeps a lake fast and small: few files, no history that nobody asks for."""

from dataclasses import dataclass
from datetime import timedelta

from deribit_pipeline.domain.location import Lake
from deribit_pipeline.lake.attached import NAME
from deribit_pipeline.warehouse.schema import TABLES
from deribit_pipeline.warehouse.warehouse import Warehouse

KEEP = timedelta(days=30)
"""How long snapshots are kept: so far back DuckLake's time travel goes."""

# Files that one step makes of small ones. Everybody else waits for a step, so it is to take
# seconds: some 3 for a file of 32 MB.
_MADE_AT_ONCE = 2

# Bytes from which on a file is large enough, and is not written anew with every day that comes.
_LARGE = 64_000_000

# A file is written anew once so much of it is deleted.
_DELETED = 0.3

# For so long a file that no snapshot needs stays: a reader may have begun before, and a writer may
# not have committed yet what it has written.
_GRACE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Files:
    """The Parquet files of a table; `size` is in bytes."""

    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Maintained:
    """A table before and after."""

    table: str
    before: Files
    after: Files


def maintain(warehouse: Warehouse, keep: timedelta = KEEP) -> list[Maintained]:
    """Write inlined rows into files, merge small files, write those anew of which much is deleted,
    expire the snapshots older than `keep` and remove what no snapshot needs; of a file, nothing.

    Each step is a transaction of its own, in which nobody else writes: ended anywhere, what was
    done stays. Raises WarehouseError.
    """
    if not isinstance(warehouse.location, Lake) or not warehouse.exists():
        return []
    before = _files(warehouse)
    for table in TABLES:
        _took_place(
            warehouse, f"call ducklake_flush_inlined_data('{NAME}', table_name => '{table.name}')"
        )
    _took_place(warehouse, _expires(keep))
    for table in TABLES:
        _merge(warehouse, table.name)
    for function in ("ducklake_cleanup_old_files", "ducklake_delete_orphaned_files"):
        _took_place(warehouse, f"call {function}('{NAME}', {_older_than(_GRACE)})")
    after = _files(warehouse)
    return [Maintained(table, before[table], after[table]) for table in before]


def _merge(warehouse: Warehouse, table: str) -> None:
    """Write the files of a table anew of which much is deleted, and make large ones of small."""
    of_table = f"'{NAME}', '{table}'"
    _took_place(
        warehouse, f"call ducklake_rewrite_data_files({of_table}, delete_threshold => {_DELETED})"
    )
    merges = (
        f"call ducklake_merge_adjacent_files({of_table}, "
        f"max_compacted_files => {_MADE_AT_ONCE}, max_file_size => {_LARGE})"
    )
    while _took_place(warehouse, merges):
        pass  # there may be more of them


def _expires(keep: timedelta) -> str:
    return f"call ducklake_expire_snapshots('{NAME}', {_older_than(keep)})"


def _older_than(age: timedelta) -> str:
    return f"older_than => now() - interval {int(age.total_seconds())} second"


def _took_place(warehouse: Warehouse, statement: str) -> bool:
    """Whether a step found anything to do."""
    with warehouse.writing() as connection:
        return bool(connection.execute(statement).fetchall())


def _files(warehouse: Warehouse) -> dict[str, Files]:
    with warehouse.reading() as connection:
        found = connection.execute(
            f"""
            select table_name, file_count + delete_file_count,
                   file_size_bytes + delete_file_size_bytes
            from ducklake_table_info('{NAME}')
            """
        ).fetchall()
    held = {table: Files(count, size) for table, count, size in found}
    return {table.name: held[table.name] for table in TABLES}
