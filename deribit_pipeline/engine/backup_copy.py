"""A consistent copy of a warehouse, made while other processes use it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deribit_pipeline.datasets import registry
from deribit_pipeline.domain.dataset import Group
from deribit_pipeline.engine.data_loss import what_is_lost
from deribit_pipeline.errors import InputError, WarehouseUnusable, WouldLose
from deribit_pipeline.warehouse.file import OWNER_ONLY
from deribit_pipeline.warehouse.file_copy import copy_to_file
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline.warehouse.whole_files import keep_beside, require_file, whole_file

_PRIVATE = [
    dataset.table.name for dataset in registry.DATASETS.values() if dataset.group is Group.ACCOUNT
]


@dataclass(frozen=True, slots=True)
class Backup:
    """The contents of a copy; `size` is in bytes. `former` is the path of a fuller backup that it
    replaced."""

    days: int
    candles: int
    size: int
    former: Path | None = None


def back_up(warehouse: Warehouse, to: Path, *, replace: bool = False) -> Backup:
    """Copy the warehouse to `to`, which then holds one consistent state, or is unchanged.

    The copy is a complete warehouse, with views and comments. Writers of a file wait meanwhile. A
    backup at `to` that holds anything that the copy does not is replaced only with `replace`, and
    then kept beside it. Raises InputError if there is nothing to copy or `to` cannot be a backup,
    and WarehouseError if reading or writing fails.
    """
    if not warehouse.exists():
        raise InputError(f"{warehouse} does not exist: there is nothing to back up yet.")
    former: list[Path] = []

    @contextmanager
    def guard() -> Iterator[None]:
        # The former backup is locked against writers until the copy has replaced it.
        with (
            _former(warehouse, to) as held,
            warehouse.in_file(made).reading() as ours,
        ):
            if poorer := what_is_lost(held, ours):
                if not replace:
                    raise _poorer(warehouse, to, poorer)
                former.append(keep_beside(to.resolve()))
            yield

    try:
        _require_replaceable(warehouse, to, replace)
        with whole_file(to, replacing=True, guard=guard) as made:
            with warehouse.reading() as connection:
                counts = copy_to_file(connection, made, to)
            if any(counts[name] for name in _PRIVATE):
                made.chmod(OWNER_ONLY)
            # Opened once more: a backup must be verified to open.
            warehouse.in_file(made).require()
    except OSError as error:
        raise InputError(
            f"The backup {to} cannot be written ({error.strerror}): name a file in a folder that "
            "exists and can be written."
        ) from error
    days, candles = counts["candle_days"], counts["candles"]
    return Backup(days, candles, to.stat().st_size, next(iter(former), None))


def _require_replaceable(warehouse: Warehouse, to: Path, replace: bool) -> None:
    """Raise InputError, before anything is copied, if `to` is a file that the backup must not
    replace, and OSError if it is not a file."""
    if to.exists() and isinstance(warehouse.location, Path) and to.samefile(warehouse.location):
        raise InputError(f"{to} is the warehouse itself: name another file for its backup.")
    try:
        require_file(to)
    except OSError as error:
        if not to.exists():
            raise
        raise _no_backup(warehouse, to, f" ({error.strerror})") from error
    if not to.exists():
        return
    with _former(warehouse, to) as held, warehouse.reading() as ours:
        if (poorer := what_is_lost(held, ours)) and not replace:
            raise _poorer(warehouse, to, poorer)


@contextmanager
def _former(warehouse: Warehouse, to: Path) -> Iterator[Connection]:
    """The existing backup, to be read. Raises InputError if `to` is not a backup."""
    former = warehouse.in_file(to)
    try:
        former.require()
    except WarehouseUnusable as error:
        raise _no_backup(warehouse, to) from error
    with former.reading(as_it_is=True) as connection:
        yield connection


def _no_backup(warehouse: Warehouse, to: Path, what: str = "") -> InputError:
    return InputError(
        f"{to} exists and is no backup of a {warehouse.environment} warehouse{what}: it is left as "
        "it is, so name another file."
    )


def _poorer(warehouse: Warehouse, to: Path, lost: Sequence[str]) -> InputError:
    more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
    return WouldLose(
        f"{to} holds what {warehouse} does not: {lost[0]}{more}. It is left as it is: name another "
        "file."
    )
