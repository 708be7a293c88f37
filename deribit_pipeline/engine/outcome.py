"""What a backfill has come to: counted while it goes on, and said in the log."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.verdicts import NOT_AVAILABLE

logger = logging.getLogger(__name__)

Key = tuple[str, date]
"""A series' day: the name of its instrument, currency or index, and the UTC day."""


@dataclass(slots=True)
class Outcome:
    """What a backfill has come to so far.

    `proofs` are the days that stand in the warehouse; `failures` say why a day does not.
    `rows`, `revised` and `requests` count what this backfill itself received, saw changed and
    sent.
    """

    requested: int
    proofs: dict[Key, Proof] = field(default_factory=dict)
    failures: dict[Key, str] = field(default_factory=dict)
    rows: int = 0
    revised: int = 0
    requests: int = 0
    seconds: float = 0.0

    @property
    def days_by_state(self) -> Counter[DayState]:
        """How many days are proved, by what is proved of them."""
        return Counter(proof.state for proof in self.proofs.values())

    @property
    def missing(self) -> int:
        """How many rows of these days the exchange does not have."""
        return sum(proof.missing for proof in self.proofs.values())


def is_no_longer_available(proof: Proof) -> bool:
    """Whether rows of the day are lost, for they were not requested while they were available."""
    return proof.verdict.startswith(NOT_AVAILABLE)


def added_up(outcomes: Sequence[Outcome]) -> Outcome:
    """Several outcomes as one; `seconds` are those of the longest."""
    total = Outcome(requested=sum(outcome.requested for outcome in outcomes))
    for outcome in outcomes:
        total.proofs |= outcome.proofs
        total.failures |= outcome.failures
        total.rows += outcome.rows
        total.revised += outcome.revised
        total.requests += outcome.requests
        total.seconds = max(total.seconds, outcome.seconds)
    return total


def log_progress(proofs: Sequence[Proof], dataset: Dataset, outcome: Outcome) -> None:
    """Say which days of one series were just written, and how far the backfill is."""
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
