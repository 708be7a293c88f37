"""What a backfill has come to: counted while it goes on, and said in the log."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from deribit_pipeline.domain import DayProof, DayState, Resolution

logger = logging.getLogger(__name__)

Key = tuple[str, date]
"""An instrument-day: the instrument's name and the UTC day."""


@dataclass(slots=True)
class Outcome:
    """What a backfill has come to so far.

    `proofs` are the days that stand in the warehouse; `failures` say why a day does not.
    `candles`, `revised` and `requests` count what this backfill itself received, saw changed and
    sent.
    """

    asked: int
    proofs: dict[Key, DayProof] = field(default_factory=dict)
    failures: dict[Key, str] = field(default_factory=dict)
    candles: int = 0
    revised: int = 0
    requests: int = 0
    seconds: float = 0.0

    @property
    def days_by_state(self) -> Counter[DayState]:
        """How many days are proved, by what is proved of them."""
        return Counter(proof.state for proof in self.proofs.values())

    @property
    def missing(self) -> int:
        """How many candles the exchange lacks on these days."""
        return sum(proof.missing for proof in self.proofs.values())


def added_up(outcomes: Sequence[Outcome]) -> Outcome:
    """Several outcomes as one; `seconds` are those of the longest."""
    total = Outcome(asked=sum(outcome.asked for outcome in outcomes))
    for outcome in outcomes:
        total.proofs |= outcome.proofs
        total.failures |= outcome.failures
        total.candles += outcome.candles
        total.revised += outcome.revised
        total.requests += outcome.requests
        total.seconds = max(total.seconds, outcome.seconds)
    return total


def log_progress(proofs: Sequence[DayProof], resolution: Resolution, outcome: Outcome) -> None:
    """Say which days of one instrument were just written, and how far the backfill is."""
    name = proofs[0].instrument_name
    states = ", ".join(
        f"{proof.day} {proof.state}" + (f" ({proof.missing} missing)" if proof.missing else "")
        for proof in sorted(proofs, key=lambda proof: proof.day)
    )
    done = len(outcome.proofs) + len(outcome.failures)
    logger.info(
        "%s %s: %s [%d of %d days]", name, resolution.label, states, done, outcome.asked,
        extra={
            "instrument_name": name,
            "resolution": resolution.value,
            "window": f"{min(p.day for p in proofs)}/{max(p.day for p in proofs)}",
            "days": len(proofs),
            "candles": sum(proof.received for proof in proofs),
            "missing": sum(proof.missing for proof in proofs),
            "requests": outcome.requests,
        },
    )  # fmt: skip
