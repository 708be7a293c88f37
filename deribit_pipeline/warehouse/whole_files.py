"""A file or folder that is there whole or not at all, whatever ends the process that makes it."""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from deribit_pipeline.processes import is_alive, name_of

_MAKER = re.compile(r"\d+@\d*")  # a process, as `name_of` names it
_FORMER = "-former"  # ends the name of a folder that is being replaced

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}

# How a file system says that it knows no hard links.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)

Guard = Callable[[], AbstractContextManager[object]]
"""Entered once the new file or folder is whole, and held until it has taken the place of the
former one: raises where it must not."""


def require_file(path: Path) -> None:
    """Raise OSError where anything but a regular file stands at `path`: a folder, a device, a pipe,
    a socket, or a link to one of them. Nothing is fine, and so is a link to a file or to nothing:
    it stays, and what it points to is replaced or made."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        return
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(kind, 'no regular file')}")


def require_target(path: Path) -> None:
    """Raise OSError where `path` is a link that leads in a circle, or to a place in a folder that
    does not exist: a disk that is not mounted."""
    with contextlib.suppress(FileNotFoundError):
        path.stat()
    if path.is_symlink() and not path.resolve().parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, f"it is a link to {path.readlink()}, whose folder does not exist"
        )


@contextmanager
def whole_file(path: Path, *, replacing: bool, guard: Guard = nullcontext) -> Iterator[Path]:
    """A name beside `path` to make a file under, which takes its place when the block ends well.

    Where nothing was made under it, nothing changes; nor does it, unless `replacing`, where
    somebody else's file is there by then. A file that is there is replaced under the `guard`, while
    no other process of this project replaces it. What a killed process left is removed. Raises
    OSError, also where `path` is anything but a regular file.
    """
    require_file(path)
    path = path.resolve()  # through a link, to the disk that it points to
    made = _beside(path)
    try:
        yield made
        if made.exists():
            with alone_in(path.parent) if replacing else nullcontext():
                while not _took_place(made, path, replacing, guard):
                    pass  # something else has come there meanwhile: the guard looks at it
            _sync(path.parent)
    finally:
        with contextlib.suppress(OSError):  # the error that brought us here says more
            for file in (made, _wal(made)):
                file.unlink(missing_ok=True)


def _took_place(made: Path, path: Path, replacing: bool, guard: Guard) -> bool:
    """Whether the new file is in its place, or nothing needs to be: another one is there."""
    if not path.exists():
        # The log of a file that is gone: DuckDB would replay it into the new one.
        _wal(path).unlink(missing_ok=True)
        try:
            _link(made, path)
        except FileExistsError:
            return not replacing
        return True
    if replacing:
        with guard():
            require_file(path)
            _wal(path).unlink(missing_ok=True)
            made.replace(path)
    return True


def keep_beside(path: Path) -> Path:
    """Keep the file under a free name beside it as well, `FILE.former`, where DuckDB finds its log
    too; the name. Raises OSError."""
    number = 1
    while True:
        former = path.with_name(f"{path.name}.former{f'-{number}' if number > 1 else ''}")
        try:
            _link(path, former)
        except FileExistsError:
            number += 1
            continue
        with contextlib.suppress(FileNotFoundError):
            _wal(path).replace(_wal(former))
        return former


def _link(file: Path, to: Path) -> None:
    """Give the file another name, or this one instead of its own where the file system knows no
    hard links. Raises FileExistsError where something has that name."""
    try:
        to.hardlink_to(file)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(to):
            raise FileExistsError(errno.EEXIST, "it exists already") from error
        file.rename(to)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Alone among the processes of this project that replace something in the folder. A file system
    without such locks keeps nobody away."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def require_room(path: Path) -> None:
    """Raise OSError where nothing could be made at `path`, nor the folders that it lies in. A link
    is followed to a folder that is there: a disk that is not mounted is not made."""
    require_target(path)
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder")
    probe = folder / f".{path.name}.probe"
    probe.touch()
    probe.unlink(missing_ok=True)  # another process may try the same


@contextmanager
def whole_folder(path: Path, *, guard: Guard = nullcontext) -> Iterator[Path]:
    """A folder beside `path` to fill, which takes the place of what is there when the block ends
    well, under the `guard`. The former one goes only once the new one is in its place; a killed
    process may leave it under another name, and then it is put back first. Raises OSError."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    made = _beside(path)
    former = made.with_name(f"{made.name}{_FORMER}")
    made.mkdir()
    try:
        yield made
        with alone_in(path.parent), guard():
            try:
                if path.exists():
                    path.rename(former)
                made.rename(path)
            except BaseException:
                _put_back(former, path)
                raise
            _sync(path.parent)
        shutil.rmtree(former, ignore_errors=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _put_back(former: Path, path: Path) -> bool:
    """Whether a folder that was taken away is back in its place, where nothing or an empty folder
    is by now."""
    with contextlib.suppress(OSError):
        former.rename(path)
        return True
    return False


def write_whole(path: Path, text: str) -> None:
    """Write a text file in the place of the one that is there, at once. Raises OSError."""
    require_file(path)
    path = path.resolve()
    made = _beside(path)
    try:
        made.write_text(text, encoding="utf-8")
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """A name beside `path` that is this process's; what a dead one left under its own goes."""
    parts = f".{path.name}.part-"
    for left in [each for each in path.parent.iterdir() if each.name.startswith(parts)]:
        maker = _MAKER.match(left.name.removeprefix(parts))
        if maker is None or is_alive(maker[0]):
            continue
        # Its maker may have been killed between taking this away and putting its own there.
        if left.name.endswith(_FORMER) and _put_back(left, path):
            continue
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
