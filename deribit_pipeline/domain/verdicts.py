"""What else is known of a day besides its rows, and which of two statements stands."""

from collections.abc import Sequence
from dataclasses import replace

from deribit_pipeline.domain.proofs import CrossCheck, Proof

NOT_AVAILABLE = "no longer told"
"""The verdict on a day that began before the oldest row that the exchange still returns. It is
stored, so its text must not change."""

# So many findings a verdict names; of the others it says how many there are.
_NAMED = 3


def with_standing_verdict(proof: Proof, former: Proof | None, *, is_older: bool) -> Proof:
    """The proof, with the verdict and cross-check of the former one where these still stand: where
    the response is older, or has the same rows and says nothing of how they compare."""
    if former is None:
        return proof
    is_repeated = proof.content_hash == former.content_hash
    if is_older or (is_repeated and proof.cross_check is CrossCheck.NONE and not proof.verdict):
        return replace(proof, verdict=former.verdict, cross_check=former.cross_check)
    return proof


def verdict_of(findings: Sequence[str]) -> str:
    """The verdict of a day of which a cross-check found this, although two responses confirm it;
    empty where it found nothing."""
    more = len(findings) - _NAMED
    named = "; ".join(findings[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
    return f"confirmed by two responses: {named}" if findings else ""
