"""The exports that a folder already holds: which are kept, which are replaced, and what would lose
rows and is refused."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from deribit_pipeline.domain.windows import ONE_DAY, days_between
from deribit_pipeline.errors import InputError
from deribit_pipeline.export.manifest import Manifest, manifest_of, place_of
from deribit_pipeline.export.part import Part
from deribit_pipeline.warehouse.whole_files import require_target

Key = tuple[str, str, str]
"""What is replaced as one: a dataset, a series, and a month or ""."""


@dataclass(frozen=True, slots=True)
class FormerExports:
    """The exports in the folder `to`; `manifest` is None if it has none."""

    to: Path
    manifest: Manifest | None

    def kept(self, parts: Sequence[Part], *, is_by_month: bool) -> list[Mapping[str, Any]]:
        """The entries that stay beside new parts: those of other series, datasets or months.

        Raises InputError if a new part leaves out days that the one it replaces has, or has them
        incomplete where they were proved.
        """
        new = {_key_of(part, is_by_month): part for part in parts}
        kept = []
        for entry in self.manifest.parts if self.manifest else ():
            month = entry["start"][:7] if is_by_month else ""
            part = new.get((entry["dataset"], entry["series"], month))
            if part is None:
                kept.append(entry)
            else:
                self._require_no_loss(entry, part)
        return kept

    def require_same(self, environment: str, format_name: str, dataset: str | None) -> None:
        """Raise InputError for exports of another environment or format; and of another dataset
        than `dataset`, if a folder holds only one."""
        if self.manifest is None or not self.manifest.parts:
            return
        if self.manifest.environment != environment:
            raise wrong(
                self.to,
                f"holds an export of {self.manifest.environment}, and this is one of "
                f"{environment}: name another folder.",
            )
        if self.manifest.format != format_name:
            raise wrong(
                self.to,
                f"holds an export of format {self.manifest.format}, and this is one of "
                f"{format_name}: name another folder.",
            )
        others = {entry["dataset"] for entry in self.manifest.parts} - {dataset}
        if dataset and others:
            raise wrong(
                self.to,
                f"holds {min(others)}, and programs read all files of a folder of {format_name} as "
                f"one table: name another folder for {dataset}.",
            )

    def _require_no_loss(self, entry: Mapping[str, Any], part: Part) -> None:
        first, last = _days(entry["start"], entry["end"])
        new_first, new_last = part.window.start.date(), (part.window.end - ONE_DAY).date()
        label = f"{part.series} {part.dataset.short_label}"
        if first < new_first or last > new_last:
            raise wrong(
                self.to,
                f"holds {label} from {first} to {last}, which this export from {new_first} to "
                f"{new_last} would replace: export {min(first, new_first)} to "
                f"{max(last, new_last)}, or name another folder.",
            )
        incomplete = part.selected.incomplete if part.selected else {}
        lost = [
            day
            for day in days_between(first, last)
            if day in incomplete and str(day) not in entry["incomplete"]
        ]
        if lost:
            raise wrong(
                self.to,
                f"holds proved {label} of {lost[0]}, and the warehouse does not: the existing "
                "export is kept, so name another folder, or repair the warehouse.",
            )


def former_exports(to: Path) -> FormerExports:
    """The exports in a folder. Raises InputError unless it is missing, empty, or has the files of
    exports only."""
    try:
        require_target(to)
        place = place_of(to.resolve())
        try:
            manifest = manifest_of(to.resolve())
        except (ValueError, OSError):
            raise wrong(
                to, f"would replace {place}, which no export created: name another folder."
            ) from None
        if to.exists():
            _require_folder(to, manifest.paths if manifest else ())
        if manifest is not None:
            manifest = _without_missing(manifest, to)
    except OSError as error:
        raise wrong(to, f"cannot be read ({error.strerror}).") from error
    return FormerExports(to, manifest)


def wrong(to: Path, what: str) -> InputError:
    """An error about the folder of exports."""
    return InputError(f"{to} {what}", about="to")


def _require_folder(to: Path, known: Iterable[str]) -> None:
    if not to.is_dir():
        raise wrong(to, "is a file: name a folder.")
    if to.is_mount():
        raise wrong(
            to, "is a mount point, which cannot be replaced as a whole: name a folder in it."
        )
    there = {
        file.relative_to(to).as_posix()
        for file in to.rglob("*")
        if file.is_symlink() or not file.is_dir()
    }
    if others := sorted(there - set(known)):
        raise wrong(to, f"holds {others[0]}, which no export created: name a folder of its own.")


def _without_missing(manifest: Manifest, to: Path) -> Manifest:
    """The manifest, without files that someone has removed."""
    files = [file for file in manifest.files if (to / file["path"]).is_file()]
    there = {file["path"] for file in files}
    parts = [
        {**entry, "files": [path for path in entry["files"] if path in there]}
        for entry in manifest.parts
        if not entry["files"] or there.intersection(entry["files"])
    ]
    return Manifest(manifest.environment, manifest.format, parts, files)


def _key_of(part: Part, is_by_month: bool) -> Key:
    month = f"{part.window.start:%Y-%m}" if is_by_month else ""
    return part.dataset.name, part.series, month


def _days(start: str, end: str) -> tuple[date, date]:
    return (
        datetime.fromisoformat(start).date(),
        (datetime.fromisoformat(end) - ONE_DAY).date(),
    )
