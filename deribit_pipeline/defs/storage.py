"""Dagster's SQLite storage, safe to create from several processes at once.

On a fresh home the stock storage creates its databases in place. Two processes that do so at once
fail in several ways, and a crash leaves half a database behind. Here every Dagster process takes
the same lock, and the databases are created elsewhere and moved to their places when complete. It
relies on private names of dagster 1.13, as the event log does.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from deribit_pipeline.defs.event_log import BulkSqliteEventLogStorage
from deribit_pipeline.home import locked

# Moved in this order, so that a process that sees the last one sees all.
_FOLDERS = ("schedules", "history")


class SharedSqliteStorage(DagsterSqliteStorage):
    """The storage named in `dagster.yaml`; `base_dir` is DAGSTER_HOME, where the stock files
    are."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        home = Path(base_dir)
        with locked(home):
            if not (home / _FOLDERS[-1]).exists():
                _make_databases(home)
        super().__init__(base_dir, inst_data)
        self._event_log_storage = BulkSqliteEventLogStorage(str(home / "history" / "runs"))

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "SharedSqliteStorage":
        return cls(config_value["base_dir"], inst_data)


def _make_databases(home: Path) -> None:
    made = home / ".new"
    shutil.rmtree(made, ignore_errors=True)  # left by a crash
    create_databases(made)
    for folder in _FOLDERS:
        if not (home / folder).exists():
            (made / folder).rename(home / folder)
    shutil.rmtree(made)


def create_databases(folder: Path) -> None:
    """Create Dagster's databases in a new folder."""
    DagsterSqliteStorage.from_local(str(folder)).dispose()
