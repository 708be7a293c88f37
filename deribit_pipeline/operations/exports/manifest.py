"""The manifest of an export, `manifest.json`: what was exported, and what proves it."""

import hashlib
import json
from collections.abc import Sequence
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path

from deribit_pipeline import __version__
from deribit_pipeline.datasets import dataset_of
from deribit_pipeline.domain import Proof, spans_of
from deribit_pipeline.operations.exports.part import Part
from deribit_pipeline.warehouse.schema import SCHEMA_VERSION

NAME = "manifest.json"
_MADE_BY = "deribit-pipeline"


def write(folder: Path, format_name: str, parts: Sequence[Part]) -> None:
    """Write the manifest of a folder that holds everything else of these parts.

    `proofs` are all that the rows rest on: those of minutes on the days `rolled_up`. `incomplete`
    says what is known of days that are not proved. Nothing tells when it was made: the same rows
    make the same folder.
    """
    excerpts = [part.excerpt for part in parts if part.excerpt]
    proofs = {_place(proof): proof for excerpt in excerpts for proof in excerpt.proofs}
    content = {
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
            {"series": excerpt.series, "first": str(first), "last": str(last)}
            for excerpt in excerpts
            for first, last in spans_of(excerpt.rolled_up)
        ],
        "incomplete": [
            {"series": excerpt.series, "day": str(day), "known": known}
            for excerpt in excerpts
            for day, known in excerpt.lacking.items()
        ],
        "proofs": [_proof(proof) for _, proof in sorted(proofs.items())],
        "files": [_file(folder, file) for file in sorted(folder.rglob("*")) if file.is_file()],
    }
    (folder / NAME).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def files_of(folder: Path) -> set[str]:
    """The files of the export that the folder holds, the manifest too; none where it holds none."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        if content["made_by"] == _MADE_BY:
            return {NAME, *(file["path"] for file in content["files"])}
    except (OSError, ValueError, LookupError, TypeError):
        pass  # whatever it is, this project did not write it
    return set()


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
