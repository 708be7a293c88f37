"""DAGSTER_HOME: the folder of Dagster's instance, created if it is missing."""

import fcntl
import hashlib
import importlib.resources
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deribit_pipeline.errors import SettingsError

# BLAKE2b-128 digests of the `dagster.yaml` of former versions: such a file, unchanged, is replaced
# by the current one, because it may name classes that no longer exist.
_FORMER = frozenset({"3443b584898ec824a320e097c2af9e1b"})


def prepare_home(home: Path) -> Path:
    """Create the folder, write the project's `dagster.yaml` unless it has one of its own, and set
    DAGSTER_HOME to it, which Dagster and the log file read. Returns its absolute path.

    Raises SettingsError if it cannot be used.
    """
    home = home.absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with locked(home):
            configuration = home / "dagster.yaml"
            if not configuration.exists() or _digest(configuration) in _FORMER:
                template = importlib.resources.files("deribit_pipeline") / "dagster.yaml"
                written = home / ".dagster.yaml.new"
                written.write_text(template.read_text())
                written.replace(configuration)  # atomically, for concurrent readers
    except OSError as error:
        raise SettingsError(
            f"DAGSTER_HOME {home} cannot be used ({error.strerror}): make it a writable folder."
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def _digest(file: Path) -> str:
    return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Let one process at a time create the contents of a home. The lock is on the folder itself: it
    leaves no file behind, and ends with the process."""
    folder = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
