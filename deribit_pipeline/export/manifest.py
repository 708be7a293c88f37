"""The manifest of an export: what was exported, and the proofs of its rows.

It lies beside the folder, as `FOLDER.manifest.json`, so that pandas, pyarrow and polars can open
the folder as it is: polars 2.1 refuses a folder with any other file in it, whatever its name.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
_ONCE_INSIDE = "manifest.json"  # where it was before 2026-11-29
_NEXT = "replaced_by"  # the files of the next export, while it replaces this one


def place_of(folder: Path) -> Path:
    """The path of the manifest of an export to the folder."""
    return folder.with_name(f"{folder.name}.manifest.json")


@contextmanager
def replaced(folder: Path, content: Mapping[str, object]) -> Iterator[None]:
    """Replace the manifest of the folder with `content`, while its files are replaced in the block.

    Until they are, the previous manifest also lists the new files, so that after any crash every
    file in the folder is accounted for; it is kept if the block fails. Raises OSError.
    """
    place, former = place_of(folder), None
    with contextlib.suppress(FileNotFoundError):
        former = place.read_text(encoding="utf-8")
    meanwhile = json.loads(former) if former else {"made_by": _MADE_BY, "files": []}
    write_whole(place, _text({**meanwhile, _NEXT: _paths(content)}))
    try:
        yield
    except BaseException:
        if former is None:
            place.unlink(missing_ok=True)
        else:
            write_whole(place, former)
        raise
    write_whole(place, _text(content))


def content_of(folder: Path, format_name: str, parts: Sequence[Part]) -> dict[str, object]:
    """The manifest of a folder that holds all files of these parts.

    `proofs` are all proofs that the rows depend on; for the days in `rolled_up` these are the
    proofs of minutes. `incomplete` lists the state of days that are not proved. It contains no
    creation time: the same rows give the same folder.
    """
    selections = [part.selected for part in parts if part.selected]
    proofs = {_place(proof): proof for selected in selections for proof in selected.proofs}
    return {
        "made_by": _MADE_BY,
        "versions": {
            "deribit-pipeline": __version__,
            "duckdb": version("duckdb"),
            "schema": SCHEMA_VERSION,
        },
        "environment": parts[0].warehouse.environment,
        "format": format_name,
        "dataset": parts[0].dataset.name,
        "series": list(dict.fromkeys(part.series for part in parts)),
        "start": _iso(min(part.window.start for part in parts)),
        "end": _iso(max(part.window.end for part in parts)),
        "rows": sum(part.count for part in parts),
        "rolled_up": [
            {"series": selected.series, "first": str(first), "last": str(last)}
            for selected in selections
            for first, last in spans_of(selected.rolled_up)
        ],
        "incomplete": [
            {"series": selected.series, "day": str(day), "known": known}
            for selected in selections
            for day, known in selected.incomplete.items()
        ],
        "proofs": [_proof(proof) for _, proof in sorted(proofs.items())],
        "files": [_file(folder, file) for file in sorted(folder.rglob("*")) if file.is_file()],
    }


def files_of(folder: Path) -> set[str]:
    """The files of the export in the folder; empty if it holds no export."""
    once = folder / _ONCE_INSIDE
    known: set[str] = set()
    for place in (place_of(folder), once):
        try:
            require_file(place)  # opening a pipe would block forever
            content = json.loads(place.read_text(encoding="utf-8"))
            if content["made_by"] == _MADE_BY:
                known |= {*_paths(content), *content.get(_NEXT, ())}
                known |= {_ONCE_INSIDE} if place == once else set()
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            pass  # not a manifest of this project
    return known


def proved_days(folder: Path) -> set[tuple[str, str, str]]:
    """Dataset, series and day of each proved day in the folder's export."""
    try:
        place = place_of(folder)
        require_file(place)
        content = json.loads(place.read_text(encoding="utf-8"))
        name, end = content["dataset"], content["end"]
        known = {(name, proof["series"], proof["day"]) for proof in content["proofs"]}
        missing = {(name, each["series"], each["day"]) for each in content["incomplete"]}
        known = {each for each in known if each[2] < end}
    except (OSError, ValueError, LookupError, TypeError):
        return set()
    return known - missing


def is_foreign(folder: Path) -> bool:
    """Whether something other than a manifest exists at the manifest's path."""
    place = place_of(folder)
    if not os.path.lexists(place):
        return False
    try:
        require_file(place)
        return bool(json.loads(place.read_text(encoding="utf-8"))["made_by"] != _MADE_BY)
    except (OSError, ValueError, LookupError, TypeError):
        return True


def _paths(content: Mapping[str, Any]) -> list[str]:
    return [file["path"] for file in content["files"]]


def _text(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=1) + "\n"


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


def _file(folder: Path, file: Path) -> dict[str, object]:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256")
    return {
        "path": file.relative_to(folder).as_posix(),
        "bytes": file.stat().st_size,
        "sha256": digest.hexdigest(),
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
