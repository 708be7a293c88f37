"""Exports: a folder of files for another program, each export written whole or not at all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.windows import TimeWindow, day_window
from deribit_pipeline.export import freqtrade, nautilus
from deribit_pipeline.export import parquet_csv as tables
from deribit_pipeline.export.former_exports import former_exports, wrong
from deribit_pipeline.export.manifest import Manifest, entry_of, record_of, replaced
from deribit_pipeline.export.part import Part
from deribit_pipeline.reader.frames import require_extra
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline.warehouse.whole_files import link_or_copy, whole_folder


@dataclass(frozen=True, slots=True)
class Format:
    """How files are written: one file per month of each series, or one for the whole window.

    `write` returns the files that it wrote. If `is_one_table`, programs read all files of a folder
    as one table, so that it holds one dataset. `require_fit` raises InputError for a dataset or
    series that the format cannot represent, and `require_whole` for files that do not fit together.
    """

    write: Callable[[Part, Path], list[Path]]
    is_by_month: bool
    is_one_table: bool
    extra: str = "pandas"
    require_fit: Callable[[Dataset, str], None] = lambda dataset, series: None
    require_whole: Callable[[Path], None] = lambda folder: None


FORMATS = {
    "parquet": Format(tables.write_parquet, is_by_month=True, is_one_table=True),
    "csv": Format(tables.write_csv, is_by_month=True, is_one_table=True),
    "freqtrade": Format(
        freqtrade.write_freqtrade,
        is_by_month=False,
        is_one_table=False,
        extra="arrow",
        require_fit=freqtrade.require_fit,
    ),
    "nautilus": Format(
        nautilus.write_nautilus,
        is_by_month=False,
        is_one_table=False,
        extra="arrow",
        require_fit=nautilus.require_fit,
        require_whole=nautilus.require_whole,
    ),
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote: rows, files, total size in bytes, and how many of its days are not
    proved complete. `kept` files of earlier exports are in the folder, too."""

    rows: int
    files: int
    size: int
    incomplete: int
    kept: int


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
    """Write the contents in a format of `FORMATS` to the folder `to`, beside the exports of other
    series, datasets and months there; those of the same are replaced.

    Raises IncompleteDays before anything is written if a day is not proved, unless that is allowed;
    InputError if `to` has anything but exports, if days of it would be lost, or if the format
    cannot represent the rows; WarehouseError if reading fails.
    """
    format_ = FORMATS[format_name]
    require_extra(format_.extra)
    for name in contents.names:
        format_.require_fit(contents.dataset, name)
    parts = contents.parts(is_by_month=format_.is_by_month)
    _kept(contents, format_name, to, parts)
    for part in contents.parts(is_by_month=False):
        part.require_complete()
    return _written(contents, format_name, to, parts)


def _kept(
    contents: Contents, format_name: str, to: Path, parts: Sequence[Part]
) -> tuple[Manifest | None, list[Mapping[str, Any]]]:
    """The manifest of the folder, and those of its entries that stay. Raises InputError."""
    format_, former = FORMATS[format_name], former_exports(to)
    only = contents.dataset.name if format_.is_one_table else None
    former.require_same(contents.warehouse.environment, format_name, only)
    return former.manifest, former.kept(parts, is_by_month=format_.is_by_month)


def _written(contents: Contents, format_name: str, to: Path, parts: Sequence[Part]) -> Exported:
    format_, place = FORMATS[format_name], to.resolve()
    entries: list[Mapping[str, Any]] = []
    records: list[Mapping[str, Any]] = []

    @contextmanager
    def guard() -> Iterator[None]:
        # Again, and under the folder's lock, because writing may have taken a while.
        former, kept = _kept(contents, format_name, to, parts)
        beside = _keep(former, kept, place, folder)
        format_.require_whole(folder)
        manifest = Manifest(
            contents.warehouse.environment, format_name, [*kept, *entries], [*beside, *records]
        )
        with replaced(place, manifest, former):
            yield

    try:
        with whole_folder(to, guard=guard) as folder:
            for part in parts:
                files = format_.write(part, folder)
                entries.append(entry_of(part, folder, files))
            new = sorted(file for file in folder.rglob("*") if file.is_file())
            records += [record_of(file, folder) for file in new]
            size = sum(record["bytes"] for record in records)
        kept = sum(1 for file in to.rglob("*") if file.is_file()) - len(new)
    except OSError as error:
        raise wrong(to, f"cannot be written ({error.strerror}).") from error
    incomplete = sum(len(part.selected.incomplete) for part in parts if part.selected)
    return Exported(sum(part.count for part in parts), len(new), size, incomplete, kept)


def _keep(
    former: Manifest | None, kept: Sequence[Mapping[str, Any]], place: Path, folder: Path
) -> list[Mapping[str, Any]]:
    """Put the files of kept entries into the new folder, unless it has new ones by their names;
    returns their records."""
    wanted = {path for entry in kept for path in entry["files"]}
    records = []
    for record in former.files if former else ():
        file = folder / record["path"]
        if record["path"] in wanted and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(place / record["path"], file)
            records.append(record)
    return records


def _months(window: TimeWindow) -> list[TimeWindow]:
    """The window, split at the beginnings of months."""
    cuts = [window.start]
    while (after := (cuts[-1].replace(day=1) + timedelta(days=32)).replace(day=1)) < window.end:
        cuts.append(after)
    return [TimeWindow(*ends) for ends in pairwise([*cuts, window.end])]
