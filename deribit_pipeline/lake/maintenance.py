"""Lake maintenance: merges small files, and expires old snapshots."""

from dataclasses import dataclass
from datetime import timedelta

from deribit_pipeline.domain.location import Lake
from deribit_pipeline.lake.attached import NAME
from deribit_pipeline.warehouse.schema import TABLES
from deribit_pipeline.warehouse.warehouse import Warehouse

KEEP = timedelta(days=30)
"""The default retention of snapshots for DuckLake's time travel."""

# How many merged files one step writes. All writers wait for a step, so it should take seconds:
# some 3 for a file of 32 MB.
_MADE_AT_ONCE = 2

# The size in bytes from which a file is large enough, and is not rewritten with every new day.
_LARGE = 64_000_000

# The deleted fraction from which a file is rewritten.
_DELETED = 0.3

# How long a file without a snapshot is kept: a reader may have started before, and a writer may not
# have committed its files yet.
_GRACE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Files:
    """The Parquet files of a table; `size` is in bytes."""

    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Maintained:
    """The files of a table before and after."""

    table: str
    before: Files
    after: Files


def maintain(warehouse: Warehouse, keep: timedelta = KEEP) -> list[Maintained]:
    """Flush inlined rows to files, merge small files, rewrite those with many deletions, expire the
    snapshots older than `keep` and remove files that no snapshot needs. Does nothing for a file.

    Each step is an exclusive transaction: if interrupted, the completed steps remain. Raises
    WarehouseError.
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
    """Rewrite the files of a table with many deletions, and merge small files."""
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
    """Whether a step had anything to do."""
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
