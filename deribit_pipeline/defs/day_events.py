"""One event for each day of a run, with the day's own state, rows, missing rows and hash.

A settled day (complete, or not listed) is materialized, and Dagster's UI shows its partition in
green. A day that is open or gapped is observed: the UI shows what is held of it, and its partition
as missing, because it is not complete.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from deribit_pipeline.defs.partition_events import record_events
from deribit_pipeline.defs.partitions import partition_key
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import CrossCheck, DayState, Proof
from deribit_pipeline.engine.outcome import Outcome

Metadata = Mapping[str, dg.MetadataValue[Any]]


def record_days(
    context: dg.AssetExecutionContext, dataset: Dataset, outcome: Outcome, picture: Metadata
) -> None:
    """Record each proved day, at once: a failed run records them too, so that a retry requests only
    the days that failed. The newest day has the totals of the run and its picture."""
    brief, of_newest = _brief_totals(outcome), {**run_totals(outcome), **picture}
    asset = context.asset_key  # looked up at each call
    # Open and gapped days first, and the newest day last: the asset's page shows the last event.
    proofs = sorted(outcome.proofs.values(), key=lambda each: (each.is_settled, each.day))
    for kind, is_settled in ((dg.AssetObservation, False), (dg.AssetMaterialization, True)):
        record_events(
            context,
            [
                kind(
                    asset,
                    partition=partition_key(proof.series, proof.day),
                    description=_sentence(proof, dataset),
                    metadata=_of_day(proof) | (of_newest if proof is proofs[-1] else brief),
                )
                for proof in proofs
                if proof.is_settled is is_settled
            ],
        )


def _sentence(proof: Proof, dataset: Dataset) -> str:
    rows, state = f"{proof.received:,} {dataset.rows}", str(proof.state).replace("_", " ")
    missing = f", {proof.missing:,} missing" if proof.missing else ""
    return f"{state[:1].upper()}{state[1:]}: {rows}{missing}."


def no_longer_complete(context: dg.AssetExecutionContext, outcome: Outcome) -> set[str]:
    """The keys of gapped days that an earlier run materialized. Only a failed run ends the green
    of these partitions."""
    gapped = {
        partition_key(*key)
        for key, proof in outcome.proofs.items()
        if proof.state is DayState.GAPPED
    }
    if not gapped:
        return set()
    recorded: set[str] = context.instance.get_materialized_partitions(context.asset_key)
    return gapped & recorded


def _of_day(proof: Proof) -> dict[str, dg.MetadataValue[Any]]:
    found: dict[str, dg.MetadataValue[Any]] = {
        "state": dg.MetadataValue.text(str(proof.state)),
        "rows": dg.MetadataValue.int(proof.received),
        "missing": dg.MetadataValue.int(proof.missing),
        "expected": dg.MetadataValue.int(proof.expected),
        "revised": dg.MetadataValue.int(proof.revised),
        "content_hash": dg.MetadataValue.text(proof.content_hash),
        "fetched_at": dg.MetadataValue.timestamp(proof.fetched_at),
    }
    if proof.cross_check is not CrossCheck.NONE:
        found["cross_check"] = dg.MetadataValue.text(str(proof.cross_check))
    if proof.verdict:
        found["verdict"] = dg.MetadataValue.text(proof.verdict)
    return found


def _brief_totals(outcome: Outcome) -> dict[str, dg.MetadataValue[Any]]:
    return {
        "run_days": dg.MetadataValue.int(len(outcome.proofs)),
        "run_rows": dg.MetadataValue.int(outcome.rows),
    }


def run_totals(outcome: Outcome) -> dict[str, dg.MetadataValue[Any]]:
    """The totals of a run, each named `run_…`, so that none is taken for that of a day."""
    by_state = {str(state): count for state, count in sorted(outcome.days_by_state.items())}
    if outcome.failures:
        by_state["not proved"] = len(outcome.failures)
    per_second = outcome.rows / outcome.seconds if outcome.seconds else 0.0
    return _brief_totals(outcome) | {
        "run_days_by_state": dg.MetadataValue.json(by_state),
        "run_missing": dg.MetadataValue.int(outcome.missing),
        "run_revised": dg.MetadataValue.int(outcome.revised),
        "run_requests": dg.MetadataValue.int(outcome.requests),
        "run_seconds": dg.MetadataValue.float(round(outcome.seconds, 3)),
        "run_rows_per_second": dg.MetadataValue.float(round(per_second, 1)),
        **_of_recording(outcome),
    }


def _of_recording(outcome: Outcome) -> dict[str, dg.MetadataValue[Any]]:
    """Where rows came from, if any were recorded, and what else the source knows."""
    figures: dict[str, dg.MetadataValue[Any]] = {
        f"run_{name}": (
            dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.float(value)
        )
        for name, value in outcome.figures.items()
    }
    if not outcome.recorded:
        return figures
    return figures | {
        "run_rows_from_spool": dg.MetadataValue.int(outcome.recorded),
        "run_rows_requested": dg.MetadataValue.int(outcome.rows - outcome.recorded),
    }
