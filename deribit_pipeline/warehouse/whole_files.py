"""Creates or replaces a file or folder atomically, even if the process is killed."""

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
_FORMER = "-former"  # the suffix of a folder that is being replaced

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}

# Error numbers of file systems without hard links.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)

Guard = Callable[[], AbstractContextManager[object]]
"""Entered once the new file or folder is complete, and held until it has replaced the former one:
raises if it must not."""


def require_file(path: Path) -> None:
    """Raise OSError if anything but a regular file is at `path`: a folder, a device, a pipe, a
    socket, or a link to one of them. A missing file is allowed, and so is a link to a file or to a
    missing one: the link stays, and its target is replaced or created."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        return
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(kind, 'no regular file')}")


def require_target(path: Path) -> None:
    """Raise OSError if `path` is a link that forms a loop, or that points into a folder that does
    not exist: a disk that is not mounted."""
    with contextlib.suppress(FileNotFoundError):
        path.stat()
    if path.is_symlink() and not path.resolve().parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, f"it is a link to {path.readlink()}, whose folder does not exist"
        )


@contextmanager
def whole_file(path: Path, *, replacing: bool, guard: Guard = nullcontext) -> Iterator[Path]:
    """A temporary name beside `path`, under which to create a file that replaces it when the block
    ends without an error.

    If no file was created under it, nothing changes; nor, unless `replacing`, if another process's
    file exists by then. An existing file is replaced under the `guard`, while no other process of
    this project replaces it. Leftovers of a killed process are removed. Raises OSError, also if
    `path` is anything but a regular file.
    """
    require_file(path)
    path = path.resolve()  # through a link, to the disk that it points to
    made = _beside(path)
    try:
        yield made
        if made.exists():
            with alone_in(path.parent) if replacing else nullcontext():
                while not _took_place(made, path, replacing, guard):
                    pass  # another file was created there meanwhile: the guard checks it
            _sync(path.parent)
    finally:
        with contextlib.suppress(OSError):  # the original error is more informative
            for file in (made, _wal(made)):
                file.unlink(missing_ok=True)


def _took_place(made: Path, path: Path, replacing: bool, guard: Guard) -> bool:
    """Whether the new file is in its place, or is not needed because another one exists."""
    if not path.exists():
        # The write-ahead log of a removed file: DuckDB would replay it into the new one.
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
    """Keep the file under a free name beside it as well, `FILE.former`, where DuckDB also finds its
    write-ahead log; returns the name. Raises OSError."""
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
    """Add a name to the file, or rename it if the file system has no hard links. Raises
    FileExistsError if the name is taken."""
    try:
        to.hardlink_to(file)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(to):
            raise FileExistsError(errno.EEXIST, "it exists already") from error
        file.rename(to)


def link_or_copy(file: Path, to: Path) -> None:
    """Add the name `to` to the file, or copy it if the file system has no hard links. Raises
    OSError."""
    try:
        to.hardlink_to(file)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(file, to)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Lock the folder against other processes of this project that replace something in it. Without
    effect on a file system without such locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def require_room(path: Path) -> None:
    """Raise OSError if `path`, or the folders that contain it, could not be created. A link is
    followed only to an existing folder: the mount point of a missing disk is not created."""
    require_target(path)
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder")
    probe = folder / f".{path.name}.probe"
    probe.touch()
    probe.unlink(missing_ok=True)  # another process may try the same


@contextmanager
def whole_folder(path: Path, *, guard: Guard = nullcontext) -> Iterator[Path]:
    """A folder beside `path` to fill, which replaces the one there when the block ends without an
    error, under the `guard`. The former one is removed only after the new one is in its place; a
    killed process may leave it under another name, and then it is restored first. Raises
    OSError."""
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
    """Whether a folder that was moved away is restored, if there is no folder, or an empty one, by
    now."""
    with contextlib.suppress(OSError):
        former.rename(path)
        return True
    return False


def write_whole(path: Path, text: str) -> None:
    """Replace a text file atomically. Raises OSError."""
    require_file(path)
    path = path.resolve()
    made = _beside(path)
    try:
        made.write_text(text, encoding="utf-8")
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """A name beside `path` for this process; leftovers of dead processes are removed."""
    parts = f".{path.name}.part-"
    for left in [each for each in path.parent.iterdir() if each.name.startswith(parts)]:
        maker = _MAKER.match(left.name.removeprefix(parts))
        if maker is None or is_alive(maker[0]):
            continue
        # Its process may have been killed after moving this away and before putting the new one
        # there.
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
