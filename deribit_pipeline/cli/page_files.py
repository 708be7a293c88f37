"""Where a page goes that a command makes: a file that is there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.errors import InputError
from deribit_pipeline.warehouse.whole_files import require_file, whole_file

_BEGINS = b"<!doctype html>"


def require_place(file: Path) -> None:
    """Raise InputError, before anything is made, where the page could not be written, and where
    something else than a page stands there, such as the warehouse."""
    try:
        if not file.parent.is_dir():
            raise InputError(f"--html {file} cannot be written: {file.parent} is no folder.")
        if file.is_dir():
            raise InputError(f"--html {file} is a folder: name a file in it.")
        if not os.access(file.parent, os.W_OK):
            raise InputError(f"--html {file} cannot be written: {file.parent} is read-only.")
        require_file(file)
        if file.exists():
            with file.open("rb") as there:
                begins = there.read(len(_BEGINS)).lower()
            if begins and begins != _BEGINS:
                raise InputError(f"--html {file} is there already and is no page: name another.")
    except OSError as error:
        raise _unwritable(file, error) from error


def write(file: Path, text: str) -> None:
    """Write the page, in the place of one that stands there, and say so. Raises InputError."""

    @contextmanager
    def guard() -> Iterator[None]:
        require_place(file)  # once more: it may have taken a while to make the page
        yield

    try:
        with whole_file(file, replacing=True, guard=guard) as made:
            made.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(file, error) from error
    size = len(text.encode()) / 1e6
    stderr().print(f"{file} holds the page, {size:.1f} MB.", markup=False, soft_wrap=True)


def _unwritable(file: Path, error: OSError) -> InputError:
    return InputError(f"--html {file} cannot be written ({error.strerror}).")
