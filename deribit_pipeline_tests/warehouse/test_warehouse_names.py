"""A warehouse is the file of exactly that name; removing one is advised only if it is damaged."""

from pathlib import Path

import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.engine.backup_copy import back_up
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.errors import WarehouseUnusable
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.written_warehouse import fetched, write

NAMES = ("~w.duckdb", "a:b.duckdb", ":memory:", "md:w", "w?x=1", "sqlite:w", "duckdb:w", "it's")


@pytest.mark.parametrize("name", NAMES)
def test_a_warehouse_is_the_file_of_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    warehouse = Warehouse(Path(name), Environment.SANDBOX)
    write(warehouse, fetched())
    assert (tmp_path / name).is_file()
    assert verify(warehouse).days == 1
    assert back_up(warehouse, Path(f"{name}.copy")).days == 1
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}.copy"}


def corrupted(path: Path, how: str) -> None:
    """Corrupt a warehouse so that DuckDB cannot open it."""
    data = path.read_bytes()
    path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how == "another program's":
        path.write_text("some notes, and nothing else\n" * 1_000)
    else:
        path.write_bytes(data[:4_100] + bytes(100) + data[4_200:])


@pytest.mark.parametrize(
    ("how", "advice"),
    [
        ("a folder", "(it is a folder): set DERIBIT_WAREHOUSE to a file"),
        ("another program's", "another program wrote it, or its beginning is lost"),
        ("damaged", "remove it and its .wal"),
    ],
)
def test_only_a_damaged_file_is_to_be_removed(how: str, advice: str, tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX)
    write(warehouse, fetched())
    corrupted(tmp_path / "w.duckdb", how)
    with pytest.raises(WarehouseUnusable) as caught:
        verify(warehouse)
    assert advice in str(caught.value)
    assert ("remove it" in str(caught.value)) == (how == "damaged")


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ("update warehouse_info set schema_version = 99", "upgrade deribit-pipeline"),
        ("update warehouse_info set environment = 'mainnet'", "set DERIBIT_WAREHOUSE or"),
    ],
)
def test_a_sound_file_of_another_kind_is_not_to_be_removed(
    change: str, advice: str, tmp_path: Path
) -> None:
    warehouse = Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX)
    write(warehouse, fetched())
    with warehouse.writing() as connection:
        connection.execute(change)
    with pytest.raises(WarehouseUnusable, match=advice) as caught:
        warehouse.check()
    assert "remove it" not in str(caught.value)
