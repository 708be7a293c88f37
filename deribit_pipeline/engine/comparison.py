"""Compare two warehouses: the days whose proofs differ."""

from dataclasses import dataclass
from datetime import date

from deribit_pipeline.datasets.registry import DATASETS, Selection
from deribit_pipeline.domain.proofs import Proof
from deribit_pipeline.engine.proof_reads import proofs
from deribit_pipeline.engine.verification import Finding
from deribit_pipeline.warehouse.warehouse import Warehouse

_EVERYTHING = Selection()

# The fields of a proof about the rows; when and how often they were fetched may differ.
_COMPARED = ("state", "expected", "received", "missing", "content_hash")


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many days either warehouse holds, and which of them differ, sorted."""

    days: int
    differences: list[Finding]


def compare(
    warehouse: Warehouse, other: Warehouse, selection: Selection = _EVERYTHING
) -> Comparison:
    """Compare the proofs of every selected day. No rows are read: `verify` checks proofs against
    rows."""
    ours, theirs = (_proofs(either, selection) for either in (warehouse, other))
    keys = sorted(ours.keys() | theirs.keys())
    found = []
    for key in keys:
        differences = _differences(ours.get(key), theirs.get(key), other)
        if differences:
            name, series, day = key
            found.append(Finding(DATASETS[name], series, day, differences))
    return Comparison(len(keys), found)


def _proofs(warehouse: Warehouse, selection: Selection) -> dict[tuple[str, str, date], Proof]:
    with warehouse.reading(as_it_is=True) as connection:
        held = proofs(connection, selection)
    return {
        (dataset.name, proof.series, proof.day): proof
        for dataset, some in held.items()
        for proof in some
    }


def _differences(ours: Proof | None, theirs: Proof | None, other: Warehouse) -> list[str]:
    if ours is None:
        return [f"only {other} holds it"]
    if theirs is None:
        return [f"{other} does not hold it"]
    return [
        f"{field} is {getattr(ours, field)}, {getattr(theirs, field)} in {other}"
        for field in _COMPARED
        if getattr(ours, field) != getattr(theirs, field)
    ]
