"""Two warehouses side by side: where their proofs say different things of the same day."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from deribit_pipeline.domain import DayProof, Resolution
from deribit_pipeline.operations.outcome import Key
from deribit_pipeline.operations.verification import Finding
from deribit_pipeline.warehouse import reads
from deribit_pipeline.warehouse.file import Warehouse

# What a proof says of the candles; when and how often they came may differ.
_COMPARED = ("state", "expected", "received", "missing", "content_hash")


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many days either warehouse holds, and which of them differ, in order."""

    days: int
    differences: list[Finding]


def compare(
    warehouse: Warehouse,
    other: Warehouse,
    *,
    instrument_names: Collection[str] = (),
    resolution: Resolution | None = None,
    first: date | None = None,
    last: date | None = None,
) -> Comparison:
    """Compare the proofs of every day that fits. No candle is read: `verify` holds proofs true."""
    ours, theirs = (
        _proofs(either, instrument_names, resolution, first, last) for either in (warehouse, other)
    )
    keys = sorted(ours.keys() | theirs.keys())
    found = []
    for key in keys:
        differences = _differences(ours.get(key), theirs.get(key), other)
        if differences:
            spelling, (name, day) = key
            found.append(Finding(name, Resolution(spelling), day, differences))
    return Comparison(len(keys), found)


def _proofs(
    warehouse: Warehouse,
    instrument_names: Collection[str],
    resolution: Resolution | None,
    first: date | None,
    last: date | None,
) -> dict[tuple[str, Key], DayProof]:
    with warehouse.reading(as_it_is=True) as connection:
        proofs = reads.proofs(connection, instrument_names, resolution, first, last)
    return {(proof.resolution.value, (proof.instrument_name, proof.day)): proof for proof in proofs}


def _differences(ours: DayProof | None, theirs: DayProof | None, other: Warehouse) -> list[str]:
    if ours is None:
        return [f"only {other.path} holds it"]
    if theirs is None:
        return [f"{other.path} does not hold it"]
    return [
        f"{field} is {getattr(ours, field)}, {other.path} says {getattr(theirs, field)}"
        for field in _COMPARED
        if getattr(ours, field) != getattr(theirs, field)
    ]
