"""The manifest of a folder of exports: what was exported, and the proofs of its rows.

It lies beside the folder, as `FOLDER.manifest.json`, so that pandas, pyarrow and polars can open
the folder as it is: polars 2.1 refuses a folder with any other file in it, whatever its name.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deribit_pipeline.datasets.registry import dataset_of
from deribit_pipeline.domain.proofs import Proof
from deribit_pipeline.domain.windows import spans_of
from deribit_pipeline.export.part import Part
from deribit_pipeline.version import __version__
from deribit_pipeline.warehouse.schema import SCHEMA_VERSION
from deribit_pipeline.warehouse.whole_files import require_file, write_whole

_MADE_BY = "deribit-pipeline"
_NEXT = "replaced_by"  # the next manifest, while its files replace those of this one


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder contains. `parts` are the exported series, each over a window, with the paths
    of its files; `files` has the size and hash of each file."""

    environment: str
    format: str
    parts: Sequence[Mapping[str, Any]]
    files: Sequence[Mapping[str, Any]]

    @property
    def paths(self) -> set[str]:
        """The paths of all files, relative to the folder."""
        return {file["path"] for file in self.files}

    def content(self) -> dict[str, object]:
        """The manifest as its file has it. It has no creation time: the same rows give the same
        manifest."""
        return {
            "made_by": _MADE_BY,
            "versions": {
                "deribit-pipeline": __version__,
                "duckdb": version("duckdb"),
                "schema": SCHEMA_VERSION,
            },
            "environment": self.environment,
            "format": self.format,
            "parts": sorted(self.parts, key=_order),
            "files": sorted(self.files, key=lambda file: file["path"]),
        }


def place_of(folder: Path) -> Path:
    """The path of the manifest of a folder."""
    return folder.with_name(f"{folder.name}.manifest.json")


def manifest_of(folder: Path) -> Manifest | None:
    """The manifest of a folder; None if there is none. Raises ValueError if its path has anything
    else, and OSError."""
    place = place_of(folder)
    if not os.path.lexists(place):
        return None
    require_file(place)  # opening a pipe would block forever
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        if content["made_by"] != _MADE_BY:
            raise ValueError(f"{place} is made by another program")
        manifest = _manifest(content)
        # A process was killed while it replaced the files: which ones are there?
        following = _manifest(content[_NEXT]) if _NEXT in content else None
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{place} is no manifest of this version") from error
    return following if following and _is_there(folder, following) else manifest


@contextmanager
def replaced(folder: Path, manifest: Manifest, former: Manifest | None) -> Iterator[None]:
    """Replace the folder's manifest, while its files are replaced in the block.

    Until they are, the file has both manifests, so that after any crash every file in the folder is
    accounted for. If the block fails, the former one is restored. Raises OSError.
    """
    place = place_of(folder)
    before = former or Manifest(manifest.environment, manifest.format, (), ())
    write_whole(place, _text({**before.content(), _NEXT: manifest.content()}))
    try:
        yield
    except BaseException:
        if former is None:
            place.unlink(missing_ok=True)
        else:
            write_whole(place, _text(former.content()))
        raise
    write_whole(place, _text(manifest.content()))


def entry_of(part: Part, folder: Path, files: Collection[Path]) -> dict[str, Any]:
    """The manifest's entry of a written part.

    `proofs` are all proofs that the rows depend on; for the days in `rolled_up` these are the
    proofs of minutes. `incomplete` has the state of each day that is not proved.
    """
    selected = part.selected
    assert selected is not None  # a written part was read
    return {
        "dataset": part.dataset.name,
        "series": part.series,
        "start": _iso(part.window.start),
        "end": _iso(part.window.end),
        "rows": part.count,
        "rolled_up": [
            {"first": str(first), "last": str(last)} for first, last in spans_of(selected.rolled_up)
        ],
        "incomplete": {str(day): known for day, known in selected.incomplete.items()},
        "proofs": [_proof(proof) for proof in sorted(selected.proofs, key=_place)],
        "files": sorted(file.relative_to(folder).as_posix() for file in files),
    }


def record_of(file: Path, folder: Path) -> dict[str, Any]:
    """The path, size and hash of a file."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256")
    return {
        "path": file.relative_to(folder).as_posix(),
        "bytes": file.stat().st_size,
        "sha256": digest.hexdigest(),
    }


def _manifest(content: Mapping[str, Any]) -> Manifest:
    return Manifest(
        content["environment"], content["format"], tuple(content["parts"]), tuple(content["files"])
    )


def _is_there(folder: Path, manifest: Manifest) -> bool:
    try:
        return all(record_of(folder / file["path"], folder) == file for file in manifest.files)
    except OSError:
        return False


def _text(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=1) + "\n"


def _order(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    return entry["dataset"], entry["series"], entry["start"]


def _place(proof: Proof) -> tuple[str, str, date]:
    return dataset_of(proof).name, proof.series, proof.day


def _proof(proof: Proof) -> dict[str, object]:
    dataset_name, series, day = _place(proof)
    return {
        "dataset": dataset_name,
        "series": series,
        "day": str(day),
        "state": proof.state,
        "rows": proof.received,
        "missing": proof.missing,
        "verdict": proof.verdict,
        "cross_check": proof.cross_check,
        "content_hash": proof.content_hash,
        "fetched_at": _iso(proof.fetched_at),
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
