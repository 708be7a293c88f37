"""Fetched days to proofs, and proofs compared with stored rows: pure, and the same for every
dataset.

What is special about a dataset's days is defined by its `proof_rules`.
"""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.plausible import with_impossible
from deribit_pipeline.domain.proofs import DayState, FetchedDay, Proof, ProvedDay
from deribit_pipeline.domain.rows import Keys, Rows, count_of, counted_keys, keys_of, pieces_of
from deribit_pipeline.domain.verdicts import with_standing_verdict
from deribit_pipeline.domain.windows import Moments
from deribit_pipeline.engine.merged_rows import joined, without
from deribit_pipeline.errors import DeribitBadPayload


def prove(
    dataset: Dataset,
    fetched: FetchedDay,
    held: Rows | None = None,
    former: Proof | None = None,
) -> ProvedDay:
    """Settle a day: the fetched rows, merged with the rows already `held`.

    A row that is absent from the response never removes a stored one. Where the exchange returns
    other values for a stored row, the newer response takes precedence. `former` is the day's
    current proof: it is kept if an older response has no additional row, and its verdict and
    cross-check are kept if the response is older, or has the same rows and was not compared.

    Raises DeribitBadPayload if stored rows were neither expected nor received, for a day whose rows
    can be counted.
    """
    is_older = former is not None and fetched.as_of < former.fetched_at
    rows, arrived, replaced = joined(dataset, held, fetched.rows, is_older=is_older)
    keys = counted_keys(dataset, rows)
    expected = _expected(dataset, fetched, keys, is_older=is_older)
    absent = without(expected, keys)
    missing = without(absent, _unclosed(dataset, fetched, former if is_older else None))
    if former is not None and is_older and not len(arrived):
        proof = former
    else:
        counts = _Counts(len(expected), len(keys), len(absent), len(missing), count_of(replaced))
        proof = _standing(_proof(dataset, fetched, rows, counts, former), former, is_older=is_older)
    return ProvedDay(proof, rows, expected, missing, arrived, replaced, former, fetched.as_of)


def contradictions(dataset: Dataset, proof: Proof, rows: Rows, named_gaps: int) -> list[str]:
    """How a day's stored rows, sorted by key, differ from its proof. Empty if the proof holds: the
    same rows to the last bit, each once and on the day, and as many gaps named as are counted."""
    rules, found = dataset.proof_rules, []
    counted = counted_keys(dataset, rows)
    recomputed = {
        "received": len(counted),
        "without_trades": rules.without_trades(rows),
        "content_hash": rules.content_hash(rows),
        "missing": named_gaps,
    }
    for name, value in recomputed.items():
        if value != getattr(proof, name):
            found.append(f"{name} is {value}, the proof has {getattr(proof, name)}")
    keys = keys_of(dataset, rows)
    if np.any(keys[1:] == keys[:-1]):
        found.append(f"{dataset.rows} are repeated")
    if not _is_counted(dataset, proof, proof.expected - len(counted) - named_gaps, named_gaps):
        found.append(f"{proof.expected} expected do not make it {proof.state}")
    if any(_has_others(piece[dataset.at], proof.day) for piece in pieces_of(rows, dataset.at)):
        found.append(f"{dataset.rows} are from another day")
    return found + rules.contradictions(proof, rows)


def _has_others(moments: Moments, day: date) -> bool:
    """Whether any of the moments is on another day."""
    return bool(np.any(moments.astype("datetime64[D]") != np.datetime64(day, "D")))


@dataclass(frozen=True, slots=True)
class _Counts:
    """The outcome for a day's keys: `absent` are the expected keys that are not stored, closed or
    not."""

    expected: int
    held: int
    absent: int
    missing: int
    replaced: int


def _proof(
    dataset: Dataset, fetched: FetchedDay, rows: Rows, counts: _Counts, former: Proof | None
) -> Proof:
    is_older = former is not None and fetched.as_of < former.fetched_at
    # Rows that were closed in a newer response are closed, whatever this one contains.
    was_over = former is not None and is_older and former.state is not DayState.OPEN
    return Proof(
        dataset=dataset.name,
        series=fetched.series,
        day=fetched.day,
        state=_state(
            is_listed=fetched.is_listed or counts.held > 0,
            is_open=not (fetched.is_over or was_over) or counts.missing < counts.absent,
            missing=counts.missing,
        ),
        expected=counts.expected,
        received=counts.held,
        missing=counts.missing,
        content_hash=dataset.proof_rules.content_hash(rows),
        revised=(former.revised if former else 0) + counts.replaced,
        verdict=with_impossible(dataset, rows, fetched.verdict),
        fetched_at=fetched.as_of,
        cross_check=fetched.cross_check,
        without_trades=dataset.proof_rules.without_trades(rows),
    )


def _standing(proof: Proof, former: Proof | None, *, is_older: bool) -> Proof:
    """The proof, or the former one if nothing else differs; dated by the newer response, or by the
    first one that had all of it."""
    proof = with_standing_verdict(proof, former, is_older=is_older)
    if former is None:
        return proof
    at_the_time = replace(proof, fetched_at=former.fetched_at)
    if at_the_time == former:
        return former
    return at_the_time if is_older else proof


def _expected(dataset: Dataset, fetched: FetchedDay, keys: Keys, *, is_older: bool) -> Keys:
    """The keys that must exist. A received row is one of them: the source has accepted it. So is a
    stored one, if a newer response than this one had it, or more rows may follow."""
    if fetched.expected is None or np.array_equal(fetched.expected, keys):
        return keys
    supported = np.union1d(fetched.expected, counted_keys(dataset, fetched.rows))
    if not len(without(keys, supported)):
        return supported
    if not is_older and fetched.is_over:
        raise DeribitBadPayload(
            f"stored {dataset.rows} were neither expected nor received, such as from a time at "
            f"which the {dataset.series.label} is not listed: has its listing changed?",
            method=dataset.name,
            params={"series": fetched.series, "day": fetched.day},
        )
    return np.union1d(supported, keys)


def _unclosed(dataset: Dataset, fetched: FetchedDay, newer: Proof | None) -> Keys:
    """The keys that are not closed yet, according to a `newer` response if there is one."""
    if newer is None:
        return fetched.unclosed
    if newer.state is not DayState.OPEN:
        return fetched.unclosed[:0]
    return dataset.proof_rules.still_unclosed(fetched.unclosed, newer.fetched_at)


def _state(*, is_listed: bool, is_open: bool, missing: int) -> DayState:
    if not is_listed:
        return DayState.NOT_LISTED
    if is_open:
        return DayState.OPEN
    return DayState.GAPPED if missing else DayState.COMPLETE


def _is_counted(dataset: Dataset, proof: Proof, unclosed: int, missing: int) -> bool:
    """Whether the state fits the counts."""
    if unclosed < 0:
        return False
    if dataset.proof_rules.is_counted:
        return proof.state is _state(
            is_listed=proof.expected > 0, is_open=unclosed > 0, missing=missing
        )
    return proof.state is not DayState.COMPLETE or not (unclosed or missing)
