"""A file or folder that is there whole or not at all, whatever ends the process that makes it."""

import contextlib
import errno
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deribit_pipeline.processes import is_alive, name_of

_MAKER = re.compile(r"\d+@\d*")  # a process, as `name_of` names it


@contextmanager
def whole_file(path: Path, *, replacing: bool) -> Iterator[Path]:
    """A name beside `path` to make a file under, which takes its place when the block ends well.

    Where nothing was made under it, nothing changes; nor does it, unless `replacing`, where
    somebody else's file is there by then. What a killed process left is removed. Raises OSError.
    """
    path = path.resolve()  # through a link, to the disk that it points to
    made = _beside(path)
    try:
        yield made
        if made.exists():
            if replacing or not path.exists():
                # The log of a file that is gone: DuckDB would replay it into the new one.
                _wal(path).unlink(missing_ok=True)
            if replacing:
                made.replace(path)
            else:
                with contextlib.suppress(FileExistsError):
                    path.hardlink_to(made)
            _sync(path.parent)
    finally:
        with contextlib.suppress(OSError):  # the error that brought us here says more
            for file in (made, _wal(made)):
                file.unlink(missing_ok=True)


def require_room(path: Path) -> None:
    """Raise OSError where nothing could be made at `path`, nor the folders that it lies in."""
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder")
    probe = folder / f".{path.name}.probe"
    probe.touch()
    probe.unlink(missing_ok=True)  # another process may try the same


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` to fill, which takes the place of what is there when the block ends
    well. What a killed process left is removed. Raises OSError."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    made = _beside(path)
    former = made.with_name(f"{made.name}-former")
    made.mkdir()
    try:
        yield made
        if path.exists():
            path.rename(former)
        made.rename(path)
        _sync(path.parent)
    finally:
        for folder in (made, former):
            shutil.rmtree(folder, ignore_errors=True)


def _beside(path: Path) -> Path:
    """A name beside `path` that is this process's; what a dead one left under its own goes."""
    parts = f".{path.name}.part-"
    for left in path.parent.glob(f"{parts}*"):
        maker = _MAKER.match(left.name.removeprefix(parts))
        if maker and not is_alive(maker[0]):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
    return path.with_name(f"{parts}{name_of(os.getpid())}-{threading.get_ident()}")


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
