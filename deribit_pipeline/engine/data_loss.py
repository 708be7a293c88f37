"""What would be lost if one warehouse took the place of another."""

from deribit_pipeline.datasets.registry import Selection, dataset_of
from deribit_pipeline.domain.proofs import Proof
from deribit_pipeline.engine.proof_reads import proofs
from deribit_pipeline.instruments.history import requested_at
from deribit_pipeline.warehouse.place import Connection


def what_is_lost(there: Connection, here: Connection) -> list[str]:
    """What the warehouse `there` holds and the one from `here` does not, as text such as
    `BTC-PERPETUAL 1m 2024-01-31 (complete)`; empty if nothing would be lost.

    These are days that are not stored here, are proved only there, have more rows or revisions
    there, or for which the exchange later returned something new there; and listings of instruments
    that are newer there. Either may be of an older version.
    """
    ours = {_place(proof): proof for some in proofs(here, Selection()).values() for proof in some}
    lost = [
        f"{proof.series} {dataset_of(proof).short_label} {proof.day} "
        f"({proof.state.replace('_', ' ')})"
        for some in proofs(there, Selection()).values()
        for proof in some
        if _is_richer(proof, ours.get(_place(proof)))
    ]
    requested = requested_at(here)
    return lost + [
        f"the instruments of {currency}"
        for currency, at in requested_at(there).items()
        if currency not in requested or at > requested[currency]
    ]


def _place(proof: Proof) -> tuple[str, object]:
    return dataset_of(proof).name, (proof.series, proof.day)


def _is_richer(theirs: Proof, ours: Proof | None) -> bool:
    """Whether their day has something that ours does not."""
    if ours is None or (theirs.is_settled and not ours.is_settled):
        return True
    if theirs.received > ours.received or theirs.revised > ours.revised:
        return True
    differs = (theirs.state, theirs.content_hash) != (ours.state, ours.content_hash)
    return differs and theirs.fetched_at > ours.fetched_at
