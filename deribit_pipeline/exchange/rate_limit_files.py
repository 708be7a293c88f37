"""The files that hold the rate limit's state: regular files of the current user, in a folder that
only this user can write.

In a folder that every user can write, another user could hold a file's lock forever, or put a pipe
or a symbolic link in its place.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from deribit_pipeline.errors import SettingsError

_NAME = "deribit-pipeline"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def own_folder() -> Path:
    """The folder for this user's files; created if missing. The first usable of the user's runtime
    folder (XDG_RUNTIME_DIR), state folder (XDG_STATE_HOME) and the temporary folder. Raises
    SettingsError if none is usable."""
    refused = []
    for folder in _candidates():
        try:
            return _made(folder)
        except OSError as error:
            refused.append(f"{folder}: {error.strerror}")
    raise SettingsError(
        "The rate limit needs a folder that only this user can write, and none is usable "
        f"({'; '.join(refused)}): set XDG_RUNTIME_DIR to one."
    )


def open_own(path: Path) -> int:
    """An open descriptor of the file; created if missing. Raises OSError."""
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise OSError(0, "it is not a regular file of this user")
        if stat.S_IMODE(found.st_mode) != 0o600:
            os.fchmod(descriptor, 0o600)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _candidates() -> Iterator[Path]:
    # A cron job has no XDG_RUNTIME_DIR, but must share the folder of the user's login sessions.
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}")
    if runtime.is_dir():
        yield runtime / _NAME
    if state := os.environ.get("XDG_STATE_HOME"):
        yield Path(state) / _NAME
    else:
        with suppress(RuntimeError):  # neither HOME nor a passwd entry for the user
            yield Path.home() / ".local" / "state" / _NAME
    with suppress(FileNotFoundError):  # no temporary folder is writable
        yield Path(tempfile.gettempdir()) / f"{_NAME}-{os.geteuid()}"


def _made(folder: Path) -> Path:
    """The folder, created with mode 700 for the current user. Raises OSError."""
    if not folder.is_absolute():
        raise OSError(0, "it is not an absolute path")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise OSError(0, "it is not a folder of this user")
    if found.st_mode & 0o077:
        raise OSError(0, "other users can access it: chmod 700 is needed")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(0, "it is not writable")
    return folder
