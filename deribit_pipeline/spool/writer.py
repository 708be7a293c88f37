"""Writes the files of a stream: each entry is on the disk when `write` returns."""

import contextlib
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from deribit_pipeline.errors import SpoolError
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import Entry, packed

# A closed file is never written again.
_CLOSED = 0o444


class StreamWriter:
    """Appends to the file of the current hour of a stream. `written` counts bytes."""

    def __init__(self, spool: Spool, stream: str) -> None:
        self._spool = spool
        self._stream = stream
        self._hour: datetime | None = None
        self._file: int | None = None
        self._path: Path | None = None
        self.written = 0

    def write(self, moment: datetime, entries: Sequence[Entry]) -> None:
        """Append entries to the file of the hour of `moment`, and sync it.

        Raises SpoolError if that fails: then the entries are lost, and the next ones go to another
        file.
        """
        member = packed(entries)
        hour = moment.replace(minute=0, second=0, microsecond=0)
        try:
            if self._file is None or hour != self._hour:
                self.close()
                self._file, self._hour = self._begun(hour), hour
            self._append(self._file, member)
        except OSError as error:
            raise SpoolError(
                f"{self._spool} cannot be written ({error.strerror}): what is received meanwhile "
                "is lost."
            ) from error
        self.written += len(member)

    def close(self) -> None:
        """Close the file; a later entry of the same hour goes to another one."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                os.fchmod(file, _CLOSED)
            finally:
                os.close(file)

    def _append(self, file: int, member: bytes) -> None:
        end = os.lseek(file, 0, os.SEEK_CUR)
        try:
            left = memoryview(member)
            while left:
                left = left[os.write(file, left) :]
            os.fsync(file)
        except OSError:
            with contextlib.suppress(OSError):  # a reader skips what stays of the entries
                os.ftruncate(file, end)
                if not end and self._path:  # a disk may be full for days
                    self._path.unlink()
            self.close()
            raise

    def _begun(self, hour: datetime) -> int:
        """A new file, whose name is durable."""
        folder = self._spool.folder(self._stream, hour.date())
        folder.mkdir(parents=True, exist_ok=True)
        number, flags = 1, os.O_WRONLY | os.O_CREAT | os.O_EXCL
        while True:
            name = f"{hour:%H}.gz" if number == 1 else f"{hour:%H}-{number}.gz"
            try:
                file = os.open(folder / name, flags, 0o644)
            except FileExistsError:
                number += 1
                continue
            self._path = folder / name
            _sync_folder(folder)
            return file


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
