"""Verdicts: what else is known of a day besides its rows, and which verdict takes precedence."""

from collections.abc import Sequence
from dataclasses import replace

from deribit_pipeline.domain.proofs import CrossCheck, Proof

NOT_AVAILABLE = "no longer told"
"""The verdict on a day that began before the oldest row that the exchange still returns. It is
stored, so its text must not change."""

# How many findings a verdict names; the others are counted.
_NAMED = 3


def with_standing_verdict(proof: Proof, former: Proof | None, *, is_older: bool) -> Proof:
    """The proof, with the verdict and cross-check of the former one if these still apply: if the
    response is older, or has the same rows and was not compared."""
    if former is None:
        return proof
    is_repeated = proof.content_hash == former.content_hash
    if is_older or (is_repeated and proof.cross_check is CrossCheck.NONE and not proof.verdict):
        return replace(proof, verdict=former.verdict, cross_check=former.cross_check)
    return proof


def verdict_of(findings: Sequence[str]) -> str:
    """The verdict for a day with these findings of a cross-check, although two responses confirm
    it; empty without findings."""
    more = len(findings) - _NAMED
    named = "; ".join(findings[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
    return f"confirmed by two responses: {named}" if findings else ""
