"""An export: a folder of files for another program, written whole or not at all."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.windows import TimeWindow, day_window
from deribit_pipeline.errors import InputError
from deribit_pipeline.export import freqtrade, manifest, nautilus
from deribit_pipeline.export import parquet_csv as tables
from deribit_pipeline.export.part import Part
from deribit_pipeline.reader.frames import require_extra
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline.warehouse.whole_files import require_target, whole_folder


@dataclass(frozen=True, slots=True)
class Format:
    """How files are written: one file per month of each series, or one for the whole window.
    `require_fit` raises InputError for a dataset or series that the format cannot represent."""

    write: Callable[[Part, Path], None]
    is_by_month: bool
    extra: str = "pandas"
    require_fit: Callable[[Dataset, str], None] = lambda dataset, series: None


FORMATS = {
    "parquet": Format(tables.write_parquet, is_by_month=True),
    "csv": Format(tables.write_csv, is_by_month=True),
    "freqtrade": Format(
        freqtrade.write_freqtrade,
        is_by_month=False,
        extra="arrow",
        require_fit=freqtrade.require_fit,
    ),
    "nautilus": Format(
        nautilus.write_nautilus,
        is_by_month=False,
        extra="arrow",
        require_fit=nautilus.require_fit,
    ),
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export contains: rows, files, total size in bytes, and how many of its days are not
    proved complete."""

    rows: int
    files: int
    size: int
    incomplete: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What an export is to hold: the rows of the series, from the first day to the last (both
    included); of days that are not proved complete too, where that is allowed."""

    warehouse: Warehouse
    dataset: Dataset
    names: Sequence[str]
    first: date
    last: date
    is_incomplete_allowed: bool = False

    def parts(self, *, is_by_month: bool) -> list[Part]:
        """The parts that are written: of each series one, or one a month."""
        whole = TimeWindow(day_window(self.first).start, day_window(self.last).end)
        windows = _months(whole) if is_by_month else [whole]
        allowed = self.is_incomplete_allowed
        return [
            Part(self.warehouse, self.dataset, name, window, allowed)
            for name in self.names
            for window in windows
        ]


def export(contents: Contents, format_name: str, to: Path) -> Exported:
    """Write the contents in a format of `FORMATS` to the folder `to`; an existing export there is
    replaced.

    An export that contains proved days is not replaced by one in which the same days are
    incomplete. Raises IncompleteDays before anything is written if a day is not proved, unless that
    is allowed; InputError if `to` is something other than an export, or the format cannot represent
    the rows; WarehouseError if reading fails.
    """
    format_ = FORMATS[format_name]
    require_extra(format_.extra)
    for name in contents.names:
        format_.require_fit(contents.dataset, name)
    _require_place(to)
    for part in contents.parts(is_by_month=False):
        part.require_complete()
    return _written(contents.parts(is_by_month=format_.is_by_month), format_name, to)


def _written(parts: Sequence[Part], format_name: str, to: Path) -> Exported:
    said: dict[str, object] = {}

    @contextmanager
    def guard() -> Iterator[None]:
        _require_place(to)  # again, because writing may have taken a while
        _require_no_loss(to, parts)
        with manifest.replaced(to.resolve(), said):
            yield

    try:
        with whole_folder(to, guard=guard) as folder:
            for part in parts:
                FORMATS[format_name].write(part, folder)
            said |= manifest.content_of(folder, format_name, parts)
            files = [file for file in folder.rglob("*") if file.is_file()]
            size = sum(file.stat().st_size for file in files)
    except OSError as error:
        raise _wrong(to, f"cannot be written ({error.strerror}).") from error
    incomplete = sum(len(part.selected.incomplete) for part in parts if part.selected)
    return Exported(sum(part.count for part in parts), len(files), size, incomplete)


def _require_place(to: Path) -> None:
    """Raise InputError unless `to` is free, an empty folder, or an export without other files."""
    try:
        require_target(to)
        place = manifest.place_of(to.resolve())
        if manifest.is_foreign(to.resolve()):
            raise _wrong(
                to, f"would replace {place}, which no export created: name another folder."
            )
        if not to.exists():
            return
        if not to.is_dir():
            raise _wrong(to, "is a file: name a folder.")
        if to.is_mount():
            raise _wrong(
                to,
                "is a mount point, which cannot be replaced as a whole: name a folder in it.",
            )
        there = {
            file.relative_to(to).as_posix()
            for file in to.rglob("*")
            if file.is_symlink() or not file.is_dir()
        }
        others = sorted(there - manifest.files_of(to.resolve()))
    except OSError as error:
        raise _wrong(to, f"cannot be read ({error.strerror}).") from error
    if others:
        raise _wrong(to, f"holds {others[0]}, which no export created: name a folder of its own.")


def _wrong(to: Path, what: str) -> InputError:
    return InputError(f"{to} {what}", about="to")


def _require_no_loss(to: Path, parts: Sequence[Part]) -> None:
    """Raise InputError if the existing export has proved days that this one, for the same series,
    dataset and window, does not have proved."""
    there = manifest.proved_days(to.resolve())
    for part in parts:
        if part.selected is None:
            continue
        lost = [
            day
            for day in part.selected.incomplete
            if (part.dataset.name, part.series, str(day)) in there
        ]
        if lost:
            raise _wrong(
                to,
                f"holds proved {part.series} {part.dataset.short_label} of {lost[0]}, and the "
                "warehouse does not: the existing export is kept, so name another folder, or "
                "repair the warehouse.",
            )


def _months(window: TimeWindow) -> list[TimeWindow]:
    """The window, split at the beginnings of months."""
    cuts = [window.start]
    while (after := (cuts[-1].replace(day=1) + timedelta(days=32)).replace(day=1)) < window.end:
        cuts.append(after)
    return [TimeWindow(*ends) for ends in pairwise([*cuts, window.end])]
