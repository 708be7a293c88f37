"""Warehouses of former versions, as files that a test may change."""

import csv
import lzma
from pathlib import Path

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse.warehouse import Warehouse

_HERE = Path(__file__).parent


def golden(version: int, folder: Path) -> Warehouse:
    """The warehouse of that version, unpacked into the folder."""
    path = folder / f"golden_{version}.duckdb"
    path.write_bytes(lzma.decompress((_HERE / f"version_{version}.duckdb.xz").read_bytes()))
    return warehouse_at(path, Environment.SANDBOX)


def golden_days(version: int) -> list[tuple[str, ...]]:
    """Its days, as `golden.make.hashes` writes them."""
    with (_HERE / f"version_{version}.csv").open(newline="") as file:
        return [tuple(row) for row in csv.reader(file)]
