"""The folder of a spool: one file for each stream and hour, of one environment and one recorder."""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.errors import InputError, SettingsError, SpoolError
from deribit_pipeline.spool.spool_entries import (
    Damage,
    Entry,
    read_entries,
    read_newest_first,
)

_MARK, _LOCK = "spool.json", ".recorder"

_FILE = re.compile(r"(?:[01][0-9]|2[0-3])(?:-[1-9][0-9]*)?\.gz")

INSTRUMENT_STATE = "instrument_state"
"""The streams of listings and expiries, beside those of trades."""


def stream_of(dataset: str, series: str) -> str:
    """The stream of a series of a dataset."""
    return f"{dataset}/{series}"


class Spool:
    """A spool: `<root>/<stream>/<day>/<hour>.gz`, and further files of an hour as `<hour>-2.gz`.

    A stream is a dataset and a series, such as `book_summaries/BTC`. A file is written by one
    process: after a restart within an hour another one begins. Days and hours are in UTC. Files of
    days that are proved in the warehouse are kept for `keep_days`; `every` is the recording
    interval of snapshots. `instruments` are those whose trades are kept until they are proved.
    """

    def __init__(
        self,
        root: Path,
        environment: Environment,
        *,
        keep_days: int,
        every: timedelta,
        instruments: tuple[str, ...] = (),
    ) -> None:
        self.root = root
        self.environment = environment
        self.keep_days = keep_days
        self.every = every
        self.instruments = instruments

    def __str__(self) -> str:
        return str(self.root.absolute())

    def exists(self) -> bool:
        """Whether anything was ever recorded. Raises SettingsError if it is another environment's,
        or no spool."""
        mark = self.root / _MARK
        try:
            text = mark.read_text()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise SpoolError(f"{mark.absolute()} cannot be read ({error.strerror}).") from error
        try:
            environment = json.loads(text)["environment"]
        except (ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"DERIBIT_SPOOL {self} is not a spool: {_MARK} in it is not readable."
            ) from error
        if environment != self.environment:
            raise SettingsError(
                f"DERIBIT_SPOOL {self} holds recordings of {environment}, and DERIBIT_ENV is "
                f"{self.environment}: use a folder for each environment."
            )
        return True

    @contextmanager
    def recording(self) -> Iterator[None]:
        """The spool for one recorder, as long as the block lasts; its folder is created if it is
        missing. Raises InputError if another process is recording into it."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not self.exists():
                if any(self.root.iterdir()):
                    raise SettingsError(
                        f"DERIBIT_SPOOL {self} is not a spool, and not empty: name another folder."
                    )
                new = self.root / f".{_MARK}.new"
                new.write_text(json.dumps({"environment": str(self.environment)}) + "\n")
                new.replace(self.root / _MARK)
            lock = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise SpoolError(
                f"DERIBIT_SPOOL {self} cannot be written ({error.strerror})."
            ) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InputError(
                    f"Process {self.recorder() or 'unknown'} is recording into {self} already: "
                    "one recorder is enough, and a second one needs another DERIBIT_SPOOL."
                ) from error
            os.truncate(lock, 0)
            os.write(lock, f"{os.getpid()}\n".encode())
            yield
        finally:
            os.close(lock)

    def recorder(self) -> int | None:
        """The process that records into it; None if none does."""
        try:
            with (self.root / _LOCK).open("r+") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(lock.read() or 0) or None
        except (OSError, ValueError):
            return None
        return None

    def folder(self, stream: str, day: date) -> Path:
        """The folder with the files of a stream's day."""
        return self.root / stream / f"{day}"

    def days(self, stream: str) -> list[date]:
        """The days of which a stream has files, in order."""
        days = map(_day_of, _names_in(self.root / stream))
        return sorted(day for day in days if day and self.files(stream, day))

    def streams(self) -> list[str]:
        """The streams that have any file."""
        folders = {day.parent for day in self.root.glob("*/*/????-??-??")}
        return sorted(str(folder.relative_to(self.root)) for folder in folders)

    def entries(self, stream: str, day: date, damage: Damage | None = None) -> Iterator[Entry]:
        """What was recorded of a stream on a day, in the order of recording."""
        for file in self.files(stream, day):
            yield from read_entries(file, damage)

    def files(self, stream: str, day: date) -> list[Path]:
        """The files of a stream's day in the order in which they were begun. Whatever else somebody
        put there is none."""
        folder = self.folder(stream, day)
        files = (folder / name for name in _names_in(folder) if _FILE.fullmatch(name))
        return sorted(files, key=_begun)

    def hours(self, stream: str, day: date) -> dict[int, list[Path]]:
        """The files of a stream's day by the hour in which they were begun, in order."""
        found: dict[int, list[Path]] = {}
        for file in self.files(stream, day):
            found.setdefault(_begun(file)[0], []).append(file)
        return found

    def remove(self, stream: str, day: date) -> None:
        """Remove the files of a day, which must be proved in the warehouse. Raises SpoolError."""
        folder = self.folder(stream, day)
        try:
            for file in self.files(stream, day):
                file.unlink(missing_ok=True)
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        except OSError as error:
            raise SpoolError(
                f"{folder.absolute()} cannot be removed ({error.strerror}): its recordings are "
                "proved in the warehouse and only take space."
            ) from error

    def newest_first(self, stream: str) -> Iterator[Entry]:
        """What was recorded of a stream, the newest entry first."""
        for day in reversed(self.days(stream)):
            for file in reversed(self.files(stream, day)):
                yield from read_newest_first(file)


def _names_in(folder: Path) -> list[str]:
    """What a folder has; nothing if it is none, or was removed meanwhile. Raises SpoolError."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SpoolError(f"{folder.absolute()} cannot be read ({error.strerror}).") from error


def _day_of(name: str) -> date | None:
    """The day of a folder; None if it is not of one."""
    try:
        day = date.fromisoformat(name)
    except ValueError:
        return None
    return day if name == f"{day}" else None  # not 2024-W15-3


def _begun(file: Path) -> tuple[int, int]:
    hour, _, number = file.stem.partition("-")
    return int(hour), int(number or 1)
