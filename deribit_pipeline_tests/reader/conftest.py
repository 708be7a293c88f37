"""A warehouse of a fortnight, and what changes it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.demo_rows import hold_fortnight
from deribit_pipeline_tests.helpers.processes import name_warehouse

Plant = Callable[..., None]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fortnight") / "warehouse.duckdb"
    hold_fortnight(Warehouse(path, Environment.SANDBOX))
    return path


@pytest.fixture
def fortnight(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    path = shutil.copy(original, tmp_path / "warehouse.duckdb")
    name_warehouse(monkeypatch, path, tmp_path)
    return Warehouse(path, Environment.SANDBOX)


@pytest.fixture
def change(fortnight: Warehouse) -> Plant:
    def change(*statements: str) -> None:
        with fortnight.writing() as connection:
            for statement in statements:
                connection.execute(statement)

    return change
