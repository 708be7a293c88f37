"""DAGSTER_HOME: the folder of Dagster's instance, made where it is missing."""

import fcntl
import hashlib
import importlib.resources
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deribit_pipeline.errors import SettingsError

# What former versions gave a home, by BLAKE2b-128: unchanged since, it is renewed. It may name
# classes that are no longer there.
_FORMER = frozenset({"3443b584898ec824a320e097c2af9e1b"})


def prepare_home(home: Path) -> Path:
    """Make the folder, give it the project's `dagster.yaml` where it has none of its own, and set
    DAGSTER_HOME to it, which Dagster and the log file read. Answers its absolute path.

    Raises SettingsError where it cannot be used.
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
                written.replace(configuration)  # whole, for whoever reads it meanwhile
    except OSError as error:
        raise SettingsError(
            f"DAGSTER_HOME {home} cannot be used ({error.strerror}): make it a folder that can "
            "be written."
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def _digest(file: Path) -> str:
    return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Let one process at a time make what a home must have. The lock is on the folder itself: it
    leaves no file behind, and goes with a process that dies."""
    folder = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
