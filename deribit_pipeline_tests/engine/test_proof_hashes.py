"""Hashes of proofs depend on each value, its type and its place."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from deribit_pipeline.domain.proof_tables import Row
from deribit_pipeline.engine.proof_hashes import proof_hash

# Values that are equal, or have the same text, and differ.
values = st.sampled_from([0.0, -0.0, 0, False, "0", "", None, 1.0, 1, True, "1.0", "…", "\udcff"])
rows: st.SearchStrategy[list[Row]] = st.lists(st.lists(values, max_size=3).map(tuple), max_size=3)


def as_described(proof: Row, notes: list[list[Row]]) -> str:
    """The hash by the description of `proof_hash`."""

    def encoded(row: Row) -> bytes:
        texts = [
            "f" + value.hex() if isinstance(value, float) else type(value).__name__[0] + str(value)
            for value in row
        ]
        lengths = [(len(text.encode("utf-8", "surrogateescape")), text) for text in texts]
        joined = "".join(f"{length}:{text}" for length, text in lengths)
        return joined.encode("utf-8", "surrogateescape")

    counted = [b"%d;" % len(some) + b"".join(sorted(map(encoded, some))) for some in notes]
    return hashlib.blake2b(encoded(proof) + b"".join(counted), digest_size=16).hexdigest()


@given(rows, st.lists(rows, max_size=3))
def test_the_hash_of_a_proof_is_that_of_its_description(
    proofs: list[Row], notes: list[list[Row]]
) -> None:
    for proof in proofs:
        assert proof_hash(proof, notes) == as_described(proof, notes)


def test_zero_and_negative_zero_have_different_hashes() -> None:
    assert proof_hash((0.0,), []) != proof_hash((-0.0,), [])
