"""A lake's catalog in a SQLite file, for one machine: any number of processes read it at any time,
and writers take turns.

SQLite commits only one of two transactions that began from the same state, and rolls the other
back: so a writer holds a lock from before its transaction until after its commit. It is a lock of
another file, and nothing here opens the catalog: closing a file drops all locks of the process on
it, also those of DuckDB's SQLite.
"""

import fcntl
import os
import random
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from deribit_pipeline.domain.location import LocalLake
from deribit_pipeline.lake.attached import make_catalog
from deribit_pipeline.lake.catalog import Lock
from deribit_pipeline.lake.lake_errors import unusable
from deribit_pipeline.lake.lock_attempts import attempts
from deribit_pipeline.warehouse.whole_files import require_file, require_room, whole_file

_LOOKING_UP = 0.04  # seconds, at most, between two attempts to lock


class SqliteCatalog:
    """The catalog of a lake of one machine; see `Catalog`. Waits `patience` seconds for locks."""

    def __init__(self, lake: LocalLake, patience: float, given_up: threading.Event) -> None:
        self._lake = lake
        # Links are resolved: processes that use different links must take the same lock.
        self._path = Path(os.path.realpath(lake.catalog))
        self._patience = patience
        self._given_up = given_up
        self._is_private = False

    def exists(self) -> bool:
        try:
            require_file(self._path)
            is_there = self._path.exists()
        except OSError as error:
            raise unusable(self._lake, error.strerror, "set DERIBIT_WAREHOUSE to a file") from error
        # A user who may only read cannot create SQLite's write-ahead log, or would then own it.
        places = self._path, self._path.parent
        if is_there and not all(os.access(each, os.W_OK) for each in places):
            raise unusable(
                self._lake,
                "SQLite writes its log beside it",
                "let this user write the file and its folder, also to read it",
            )
        return is_there

    def require_makeable(self) -> None:
        try:
            require_room(self._path)
        except OSError as error:
            raise unusable(self._lake, error.strerror, "make its folder writable") from error

    def make(self) -> None:
        """Under another name first, as the process may be killed meanwhile."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self.alone():
                if self._path.exists():
                    return
                for log in ("-wal", "-shm"):  # of a removed catalog: SQLite would replay it
                    self._path.with_name(self._path.name + log).unlink(missing_ok=True)
                with whole_file(self._path, replacing=False) as new:
                    make_catalog(replace(self._lake, catalog=str(new)))
                if self._is_private:
                    self.keep_private()
        except OSError as error:
            raise unusable(self._lake, error.strerror, "make its folder writable") from error

    def keep_private(self) -> None:
        self._is_private = True
        for place, mode in ((self._path, 0o600), (Path(self._lake.data), 0o700)):
            if place.exists():
                place.chmod(mode)

    @contextmanager
    def alone(self) -> Iterator[Callable[[], None]]:
        with ExitStack() as held:
            # Who comes later waits at the gate: a busy writer could otherwise lock others out.
            with self._locked("gate"):
                held.enter_context(self._locked("lock"))
            yield lambda: None  # the lock of a running process is not lost

    def beside(self, series: Collection[str]) -> Lock:
        return self.alone()

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        try:  # the file is never removed: the next process would lock another one
            lock = os.open(f"{self._path}.{name}", os.O_RDONLY | os.O_CREAT, 0o666)
        except OSError as error:
            remedy = f"let this user read the file .{name} beside it"
            raise unusable(self._lake, error.strerror, remedy) from error
        try:
            for _ in attempts(self._lake, self._patience, self._given_up):
                with suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                self._given_up.wait(random.uniform(0, _LOOKING_UP))
            yield
        finally:
            os.close(lock)
