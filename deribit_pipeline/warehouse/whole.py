"""A file that is there whole or not at all, whatever ends the process that makes it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside `path` to make a file under, which takes its place when the block ends well.

    Where nothing was made under it, nothing changes. One process at a time makes files in a
    folder, so what a killed one left is nobody's and is removed. Raises OSError.
    """
    path = path.resolve()  # through a link, to the disk that it points to
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # on the folder itself: it leaves no file behind
        made = path.with_name(f".{path.name}.part")
        try:
            _remove(made)
            yield made
            if made.exists():
                made.replace(path)
                os.fsync(folder)
        finally:
            with contextlib.suppress(OSError):  # the error that brought us here says more
                _remove(made)
    finally:
        os.close(folder)


def _remove(made: Path) -> None:
    for file in (made, made.with_name(f"{made.name}.wal")):
        file.unlink(missing_ok=True)
