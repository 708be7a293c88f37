"""The outcome of a backfill: counted while it runs, and logged."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from deribit_pipeline.datasets.registry import dataset_of
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.verdicts import NOT_AVAILABLE

logger = logging.getLogger(__name__)

Key = tuple[str, date]
"""A series' day: the name of its instrument, currency or index, and the UTC day."""


@dataclass(slots=True)
class Outcome:
    """The outcome of a backfill so far.

    `proofs` are the days proved in the warehouse; `failures` are the reasons why days are not.
    `rows`, `revised` and `requests` count the rows received, the changed rows and the requests sent
    by this backfill itself; `recorded` of the rows were in the spool. `figures` are what else the
    source knows at the end, by name.
    """

    requested: int
    proofs: dict[Key, Proof] = field(default_factory=dict)
    failures: dict[Key, str] = field(default_factory=dict)
    rows: int = 0
    recorded: int = 0
    revised: int = 0
    requests: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def days_by_state(self) -> Counter[DayState]:
        """How many days are proved, by state."""
        return Counter(proof.state for proof in self.proofs.values())

    @property
    def missing(self) -> int:
        """How many rows of these days are missing at the exchange."""
        return sum(proof.missing for proof in self.proofs.values())


def is_no_longer_available(proof: Proof) -> bool:
    """Whether rows of the day are lost: they were not requested while they were available."""
    return proof.verdict.startswith(NOT_AVAILABLE)


def is_lost(proof: Proof) -> bool:
    """Whether the day stays as it is: it is over, and what is missing is no longer available."""
    is_over = is_no_longer_available(proof) or dataset_of(proof).is_recorded
    return proof.state is DayState.GAPPED and is_over


def added_up(outcomes: Sequence[Outcome]) -> Outcome:
    """Several outcomes as one; `seconds` is the longest."""
    total = Outcome(requested=sum(outcome.requested for outcome in outcomes))
    for outcome in outcomes:
        total.proofs |= outcome.proofs
        total.failures |= outcome.failures
        total.rows += outcome.rows
        total.recorded += outcome.recorded
        total.figures = outcome.figures
        total.revised += outcome.revised
        total.requests += outcome.requests
        total.seconds = max(total.seconds, outcome.seconds)
    return total


def log_progress(proofs: Sequence[Proof], dataset: Dataset, outcome: Outcome) -> None:
    """Log which days of one series were just written, and the progress of the backfill."""
    name = proofs[0].series
    states = ", ".join(
        f"{proof.day} {proof.state}" + (f" ({proof.missing} missing)" if proof.missing else "")
        for proof in sorted(proofs, key=lambda proof: proof.day)
    )
    done = len(outcome.proofs) + len(outcome.failures)
    logger.info(
        "%s %s: %s [%d of %d days]", name, dataset.short_label, states, done, outcome.requested,
        extra={
            "dataset": dataset.name,
            "series": name,
            "window": f"{min(p.day for p in proofs)}/{max(p.day for p in proofs)}",
            "days": len(proofs),
            "rows": sum(proof.received for proof in proofs),
            "missing": sum(proof.missing for proof in proofs),
            "requests": outcome.requests,
        },
    )  # fmt: skip
