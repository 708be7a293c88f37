"""HTML pages written by commands: a file is complete or absent."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.errors import InputError
from deribit_pipeline.extras import require_packages
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.whole_files import require_file, whole_file

_BEGINS = b"<!doctype html>"


def require_place(file: Path) -> None:
    """Raise InputError, before the page is made, if it could not be written or the file exists and
    is not an HTML page, such as the warehouse; or if the packages that draw it are missing."""
    require_packages("charts", "A page of charts")
    try:
        if not file.parent.is_dir():
            raise InputError(f"--html {file} cannot be written: {file.parent} is not a folder.")
        if file.is_dir():
            raise InputError(f"--html {file} is a folder: choose a file in it.")
        if not os.access(file.parent, os.W_OK):
            raise InputError(f"--html {file} cannot be written: {file.parent} is read-only.")
        require_file(file)
        if file.exists():
            with file.open("rb") as there:
                begins = there.read(len(_BEGINS)).lower()
            if begins and begins != _BEGINS:
                raise InputError(
                    f"--html {file} exists and is not an HTML page: choose another path."
                )
    except OSError as error:
        raise _unwritable(file, error) from error


def made_now(settings: Settings) -> str:
    """The environment and the time, for the title of a page."""
    return f"{settings.environment} · {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def write(file: Path, parts: Iterable[str]) -> None:
    """Write the page, replacing an existing one, and print its size. Raises InputError."""

    @contextmanager
    def guard() -> Iterator[None]:
        require_place(file)  # checked again: making the page may have taken a while
        yield

    try:
        with whole_file(file, replacing=True, guard=guard) as made:
            with made.open("w", encoding="utf-8") as page:
                page.writelines(parts)
            size = made.stat().st_size / 1e6
    except OSError as error:
        raise _unwritable(file, error) from error
    stderr().print(f"The page is in {file}, {size:.1f} MB.", markup=False, soft_wrap=True)


def _unwritable(file: Path, error: OSError) -> InputError:
    return InputError(f"--html {file} cannot be written ({error.strerror}).")
