"""A warehouse in one DuckDB file: opened as late as possible, closed at once."""

import errno
import logging
import os
import threading
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import tenacity

from deribit_pipeline.domain.tables import quoted
from deribit_pipeline.errors import WarehouseError, WarehouseUnusable, first_line
from deribit_pipeline.warehouse.attached_file import attached_file
from deribit_pipeline.warehouse.connections import DISK_FULL, committed, interruptible
from deribit_pipeline.warehouse.foreign import foreign_file
from deribit_pipeline.warehouse.holders import OWN, Busy, Waiting, is_busy, was_alone
from deribit_pipeline.warehouse.place import SOURCE, Change, Connection, Result
from deribit_pipeline.warehouse.whole_files import require_file, require_room, whole_file

logger = logging.getLogger(__name__)

REMEDY = "remove it and its .wal, and put a backup in its place or backfill anew"

# DuckDB's error texts for a file that is truncated or corrupted.
_DAMAGE = ("Could not read enough bytes", "Corrupt", "Failed to load metadata pointer")

# DuckDB's other error texts for a file that it cannot open, and what to do: the file may be intact,
# so nothing is to be removed.
_HINDRANCES = {
    "Permission denied": "let this user read it, or set DERIBIT_WAREHOUSE",
    "Is a directory": "it is a folder, so set DERIBIT_WAREHOUSE to a file",
    "version number": "another version of DuckDB wrote it, so upgrade duckdb",
    "newer version": "a newer version of DuckDB wrote it, so upgrade duckdb",
    "not a valid DuckDB database file": "another program wrote it, or its beginning is lost, so "
    "set DERIBIT_WAREHOUSE to another file, or put a backup in its place",
}


OWNER_ONLY = 0o600
"""The mode of a file that other users must not read."""


class FileStore:
    """The DuckDB file at `path`.

    DuckDB lets one process write at a time and locks all others out meanwhile, so the file is kept
    open for no longer than one transaction needs, and others wait briefly.
    """

    layout: tuple[str, ...] = ()

    def __init__(self, path: Path, patience: float, *, is_foreign: bool = False) -> None:
        self.path = path
        self._is_foreign = is_foreign
        self._is_private = False
        self._patience = patience
        self._given_up = threading.Event()
        self._is_pinned = False
        self._pin: tuple[int, int] | None = None  # the file's device and inode

    def pinned(self) -> "FileStore":
        """The same file, which raises an error once another file, or none, is at its path. If there
        is none yet, it is the first one found there."""
        if self._is_pinned:
            return self
        made = FileStore(self.path, self._patience, is_foreign=self._is_foreign)
        made._given_up, made._is_pinned = self._given_up, True
        return made

    def _require_same(self) -> None:
        """Raise WarehouseError where the pinned file is no longer there."""
        if not self._is_pinned:
            return
        try:
            there = self.path.stat()
            found = (there.st_dev, there.st_ino)
        except OSError:
            found = None
        if self._pin is None:
            self._pin = found
        elif found != self._pin:
            what = "replaced" if found else "removed"
            raise WarehouseError(
                f"{self.path} was {what} by another program while this command ran: what was "
                "written before is not in it, and the same command again goes on from what is "
                "there now."
            )

    @property
    def location(self) -> Path:
        return self.path

    def give_up(self) -> None:
        self._given_up.set()

    def forget_the_past(self) -> None:
        pass

    def keep_private(self) -> None:
        self._is_private = True
        try:
            if self.path.exists():
                self.path.chmod(OWNER_ONLY)
        except OSError as error:
            raise self._unwritable(error) from error

    def takes(self, statement: str) -> bool:
        return True

    def snapshot_at(self, connection: Connection, moment: datetime) -> int | None:
        return None

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def identity(self) -> str:
        return str(self.path.resolve())

    def require_writable(self) -> None:
        for path in (self.path, self.path.parent):  # DuckDB's write-ahead log is beside it
            if not os.access(path, os.W_OK):
                raise self._unwritable(PermissionError(errno.EACCES, "it is read-only"))

    def require_makeable(self) -> None:
        try:
            require_file(self.path)
            require_room(self.path)
        except OSError as error:
            raise self._unwritable(error) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._open(self.path, read_only=True) as connection:
            connection.begin()
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self._open(self.path, read_only=False) as connection:
            connection.begin()
            with committed(connection):
                yield connection

    def write(self, change: Change[Result], series: Collection[str]) -> Result:
        with self.writing() as connection:
            return change(connection)

    @contextmanager
    def attached_to(self, connection: Connection) -> Iterator[None]:
        path = _as_path(self.path)
        try:
            connection.execute(f"attach {quoted(path)} as {SOURCE} (read_only)")
            yield
        except duckdb.Error as error:
            if path in str(error):
                raise self._failed(error) from error
            raise

    def make(self, fill: Change[None]) -> None:
        """Create the file under another name first: a full disk, or the end of this process, would
        leave a partial file, which cannot be opened."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with (
                whole_file(self.path, replacing=False) as made,
                self._open(made, read_only=False) as connection,
            ):
                if self._is_private:
                    made.chmod(OWNER_ONLY)
                connection.begin()  # otherwise each statement is written to the disk separately
                with committed(connection):
                    fill(connection)
                # Closing would not report a file that could not be completed.
                connection.execute("checkpoint").fetchall()
        except OSError as error:
            raise self._unwritable(error) from error

    @contextmanager
    def _open(self, path: Path, *, read_only: bool) -> Iterator[Connection]:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Busy),
            stop=tenacity.stop_after_delay(self._patience)
            | tenacity.stop_when_event_set(self._given_up),
            sleep=tenacity.sleep_using_event(self._given_up),
            wait=tenacity.wait_random_exponential(multiplier=0.02, max=1.0),
            before_sleep=Waiting(self.path),
            reraise=True,
        )
        try:
            with interruptible():
                opened = retrying(self._opened, path, read_only)
        except Busy as error:
            raise WarehouseError(
                f"{self.path} was held for {self._patience:.0f} s: {error.holder} has it open. "
                "Close it there, and run this again."
            ) from error
        try:
            with interruptible(), opened as connection:
                connection.execute("set TimeZone = 'UTC'")
                yield connection
        except duckdb.Error as error:
            raise self._failed(error) from error
        finally:
            OWN.leave(path)
        if path == self.path:
            self._require_same()  # as at the beginning: committed data must stay

    def _opened(self, path: Path, read_only: bool) -> AbstractContextManager[Connection]:
        if path == self.path:
            self._require_same()
        try:
            require_file(path)  # opening a pipe would block forever
        except OSError as error:
            raise WarehouseUnusable(
                f"The warehouse {self.path} cannot be opened ({error.strerror}): set "
                "DERIBIT_WAREHOUSE to a file."
            ) from error
        if path.exists() and not path.stat().st_size:
            # DuckDB would treat it as a new database: lost days would go unnoticed.
            raise WarehouseUnusable(f"{self.path} is empty, which no warehouse ever is: {REMEDY}.")
        before = OWN.of(path)
        OWN.enter(path)
        try:
            if self._is_foreign:
                return foreign_file(_as_path(path))
            return attached_file(_as_path(path), read_only=read_only)
        except BaseException as error:
            OWN.leave(path)
            if not isinstance(error, duckdb.Error):
                raise
            message = first_line(error)
            if DISK_FULL in message:
                raise self._failed(error) from error
            if is_busy(message):
                busy = Busy(message)
                if busy.is_here and was_alone(before, OWN.of(path)):
                    raise WarehouseError(
                        f"{self.path} is open in this process, in a connection of your own, and "
                        "DuckDB opens no file in two modes at once: close that connection first."
                    ) from error
                raise busy from error
            raise WarehouseUnusable(
                f"{self.path} cannot be opened as a DuckDB file ({message}): {_remedy(message)}."
            ) from error

    def _failed(self, error: duckdb.Error) -> WarehouseError:
        message = first_line(error)
        if DISK_FULL in message:
            return WarehouseError(
                f"{self.path} cannot be written, its disk is full ({message}): make room, and the "
                "same command goes on from what is kept."
            )
        if any(sign in message for sign in _DAMAGE):
            return WarehouseUnusable(f"{self.path} is damaged ({message}): {REMEDY}.")
        return WarehouseError(f"{self.path}: {message}")

    def exists(self) -> bool:
        """Whether there is a file. Raises WarehouseUnusable if that cannot be determined."""
        try:
            is_there = self.path.exists()
        except OSError as error:  # a name that is too long, a folder that may not be entered
            raise WarehouseUnusable(
                f"The warehouse {self.path} cannot be reached ({error.strerror}): set "
                "DERIBIT_WAREHOUSE."
            ) from error
        self._require_same()
        return is_there

    def _unwritable(self, error: OSError) -> WarehouseUnusable:
        return WarehouseUnusable(
            f"The warehouse {self.path} cannot be written ({error.strerror}): make its folder "
            "writable, or set DERIBIT_WAREHOUSE."
        )


def _as_path(path: Path) -> str:
    """The path in a form that DuckDB takes literally: it interprets `~`, `name:…` and `:memory:` at
    the beginning of a name."""
    return str(path.absolute())


def _remedy(message: str) -> str:
    """What to do about a file that DuckDB does not open, by its error message."""
    if any(sign in message for sign in _DAMAGE):
        return REMEDY
    for sign, remedy in _HINDRANCES.items():
        if sign in message:
            return remedy
    return "check that it can be read, or set DERIBIT_WAREHOUSE to another file"
