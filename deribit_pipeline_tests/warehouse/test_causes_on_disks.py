"""Errors of disks name the disk and the file."""

import shutil

import duckdb
import pytest

from deribit_pipeline.warehouse.connections import sorting_within_memory
from deribit_pipeline_tests.helpers.disks import Disk
from deribit_pipeline_tests.warehouse.golden.held import golden
from deribit_pipeline_tests.warehouse.test_bad_disks import WEEK, Run, run

__all__ = ["run"]  # a fixture


@pytest.mark.parametrize("format_name", ["csv", "parquet"])
def test_a_full_disk_of_an_export_is_not_called_the_warehouses(
    run: Run, disk: Disk, format_name: str
) -> None:
    run(*WEEK)
    disk.leave(50_000)
    to = disk.path / "out"
    options = ["--format", format_name, "--to", str(to)]
    complaint = run("export", *WEEK[1:], *options).complaint()
    assert complaint == f"Error: --to {to} cannot be written (No space left on device)."
    assert not list(disk.path.iterdir())


def test_a_full_disk_of_rows_that_are_sorted_is_not_called_a_lack_of_memory(disk: Disk) -> None:
    disk.leave(3_000_000)
    folder = disk.path / "sorted"
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        with (
            pytest.raises(OSError, match="No space left on device") as raised,
            sorting_within_memory(connection, folder, "16MB"),
        ):
            connection.execute(
                "select hash(range)::varchar as text from range(2_000_000) order by text"
            ).fetchall()
    assert raised.value.filename == str(folder)
    assert not folder.exists()


def test_an_older_version_on_a_read_only_disk_is_reported_as_one(run: Run, disk: Disk) -> None:
    held = golden(4, disk.path).location
    disk.set_read_only(True)
    for command in ("coverage", "verify"):
        complaint = run(command, warehouse=held).complaint()
        assert "has version 4 of the tables, must be brought to" in complaint
        assert "name a duplicate of it in DERIBIT_WAREHOUSE" in complaint
    copy = shutil.copy(held, "copy.duckdb")
    assert run("verify", warehouse=copy).code == 0
