"""What thousands of tests begin with, made once and copied."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from deribit_pipeline.defs import storage
from deribit_pipeline.warehouse.file import OWNER_ONLY, FileStore
from deribit_pipeline.warehouse.place import Change
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline.warehouse.whole_files import whole_file


@contextmanager
def duckdb_with_one_thread() -> Iterator[None]:
    """DuckDB divides no work among threads: its statements are small here, and each worker of the
    tests has a core."""
    connect = duckdb.connect

    def with_one_thread(*args: Any, config: Any = (), **named: Any) -> duckdb.DuckDBPyConnection:
        named["config"] = {"threads": 1, **dict(config)}
        return connect(*args, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duckdb, "connect", with_one_thread)
        yield


@contextmanager
def warehouses_made_once(folder: Path) -> Iterator[None]:
    """Create the file of an empty warehouse once for each environment, and copy it from then on:
    thousands of tests begin with one, and its 300 statements take longer than most of them. On a
    test's `disk` each warehouse is created."""
    make = FileStore.make

    def made(store: FileStore, fill: Change[None]) -> None:
        of = getattr(fill, "__self__", None)
        if not isinstance(of, Warehouse) or _device(store.path) != _device(folder):
            return make(store, fill)
        empty = folder / str(of.environment)
        if not empty.exists():
            make(FileStore(empty, 60.0), fill)
        return copied(store, empty)

    def copied(store: FileStore, empty: Path) -> None:
        try:
            store.path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(store.path, replacing=False) as path:
                shutil.copyfile(empty, path)
                if store._is_private:
                    path.chmod(OWNER_ONLY)
        except OSError as error:
            raise store._unwritable(error) from error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileStore, "make", made)
        yield


@contextmanager
def dagster_databases_made_once(databases: Path) -> Iterator[None]:
    """Create Dagster's databases once, and copy them from then on, except to a test's `disk`. Read
    the revisions of their schema once, too: each run has a database of its own."""
    create = storage.create_databases
    scripts, read = dict[str | None, ScriptDirectory](), ScriptDirectory.from_config

    def copied(folder: Path) -> None:
        if _device(folder) != _device(databases):
            return create(folder)
        if not databases.exists():
            create(databases)
        shutil.copytree(databases, folder)
        return None

    def read_once(config: Config) -> ScriptDirectory:
        folder = config.get_main_option("script_location")
        return scripts.get(folder) or scripts.setdefault(folder, read(config))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "create_databases", copied)
        patch.setattr(ScriptDirectory, "from_config", read_once)
        yield


def _device(path: Path) -> int:
    """The disk of a path, which need not exist."""
    return next(each for each in (path, *path.parents) if each.exists()).stat().st_dev
