"""Days of rows to proofs: of every dataset but candles.

A row has a key within its series: the end of an hour, the number of a trade. What is expected of a
day is a set of keys, counted from nothing that came; where nobody can count (settlements, an
account's log), the source proves by its paging that it has seen both ends of the day.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.plausible import with_impossible
from deribit_pipeline.domain.proofs import CrossCheck, DatasetProof, DayState
from deribit_pipeline.domain.verdicts import with_standing_verdict

Keys = NDArray[Any]
"""Keys of rows, shape (n,): integers, instants or texts, sorted and each once."""

Columns = dict[str, NDArray[Any]]
"""Rows by column, each of shape (n,): float64 (NaN for null), int64, datetime64[ms],
datetime64[D], or objects that are texts (None for null). In the table's order of columns, without
that of the series."""


@dataclass(frozen=True, slots=True, eq=False)
class FetchedRows:
    """All that the exchange said of a series' day, believed by the source that brings it.

    `rows` are sorted by key. `expected` are the keys that there must be while the series is
    listed; None where nobody can count them, and `rows` are all that there are. `unclosed` are
    those of them that are not over yet; `is_over` tells that no more rows can come of the day.
    What is expected and neither came nor is unclosed is missing: no answer that the source
    believes has it, and how often it asked for it is the source's own matter. `is_listed` is false
    where the series did not exist on the day. `as_of` is the exchange's clock.

    `is_confirmed` tells that two answers said the same of the rows, so that they may replace held
    ones; where it is false, a day that would replace any is asked for again first. `verdict` is
    what the source found of the day beside its rows, in words: how they compare with other rows,
    or why some lack. It is kept in the proof, as `cross_check` is, and neither changes a state.
    """

    series: str
    day: date
    rows: Columns
    as_of: datetime
    expected: Keys | None = None
    unclosed: Keys = field(default_factory=lambda: np.empty(0, "datetime64[ms]"))
    is_over: bool = True
    is_listed: bool = True
    is_confirmed: bool = False
    verdict: str = ""
    cross_check: CrossCheck = CrossCheck.NONE


@dataclass(frozen=True, slots=True)
class Gap:
    """An unbroken stretch of expected keys that lack: its first and last key as text."""

    gap: str
    missing: int


@dataclass(frozen=True, slots=True, eq=False)
class ProvedRows:
    """A day ready to be written whole. `replaced` are the held rows about which the exchange
    changed its mind; `as_of` is its clock when it answered, also where it said nothing new."""

    proof: DatasetProof
    rows: Columns
    gaps: Sequence[Gap]
    replaced: Columns
    as_of: datetime


def count_of(rows: Columns) -> int:
    """How many rows there are."""
    return len(next(iter(rows.values()))) if rows else 0


def some_of(rows: Columns, which: slice | NDArray[Any]) -> Columns:
    """Some of the rows: by position, or by truth."""
    return {name: values[which] for name, values in rows.items()}


def joined_rows(parts: Sequence[Columns]) -> Columns:
    """The rows of all parts, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def keys_of(dataset: Dataset, rows: Columns) -> Keys:
    """The keys of the rows; of several columns, the texts of all."""
    if len(dataset.key) == 1:
        return rows[dataset.key[0]]
    parts = [_texts_of(rows[name]) for name in dataset.key]
    keys = parts[0]
    for part in parts[1:]:
        keys = np.strings.add(np.strings.add(keys, " "), part)
    return keys


def _texts_of(values: NDArray[Any]) -> NDArray[np.str_]:
    """The values as texts, instants as `2024-01-31T08:00:00.000Z`."""
    if values.dtype == np.dtype("datetime64[ms]"):
        return np.strings.add(values.astype("U23"), "Z")
    return values.astype("U")


def prove_rows(
    dataset: Dataset,
    fetched: FetchedRows,
    held: Columns | None = None,
    former: DatasetProof | None = None,
) -> ProvedRows:
    """Settle a day: what was fetched, joined with the rows already `held` of it.

    An absent row is no statement about one that is held, so it never removes it. Where the
    exchange says something else of a held row, the newer answer stands. `former` is the day's
    proof so far: its verdict and cross-check stand where the response is older, or has the same
    rows and was not compared.
    """
    rows, replaced = fetched.rows, some_of(fetched.rows, slice(0, 0))
    is_older = former is not None and fetched.as_of < former.fetched_at
    if former is not None and is_older and former.state is not DayState.OPEN:
        # What was over for the newer answer is over, whatever the older one could know.
        fetched = replace(fetched, is_over=True, unclosed=fetched.unclosed[:0])
    if held is not None and count_of(held):
        rows, replaced = _union(dataset, held, fetched.rows, is_older=is_older)
    keys = keys_of(dataset, rows)
    expected = keys
    if fetched.expected is not None and not np.array_equal(fetched.expected, keys):
        expected = np.union1d(fetched.expected, keys)
    absent = expected[:0]
    if len(expected) > len(keys):
        absent = np.setdiff1d(expected, keys, assume_unique=True)
    missing = absent
    if len(fetched.unclosed):
        missing = np.setdiff1d(absent, fetched.unclosed)
    if former is not None and is_older and len(keys) == former.received:
        return ProvedRows(former, rows, gaps_of(expected, missing), replaced, former.fetched_at)
    is_open = not fetched.is_over or len(missing) < len(absent)
    proof = DatasetProof(
        dataset=dataset.name,
        series=fetched.series,
        day=fetched.day,
        state=_state(fetched.is_listed or len(keys) > 0, is_open, len(missing)),
        expected=len(expected),
        received=len(keys),
        missing=len(missing),
        content_hash=rows_hash(rows),
        revised=(former.revised if former else 0) + count_of(replaced),
        verdict=with_impossible(dataset, rows, fetched.verdict),
        fetched_at=fetched.as_of,
        cross_check=fetched.cross_check,
    )
    proof = with_standing_verdict(proof, former, is_older=is_older)
    if former is not None and (is_older or proof == replace(former, fetched_at=proof.fetched_at)):
        newer = replace(proof, fetched_at=former.fetched_at)
        proof = former if newer == former else newer
    return ProvedRows(proof, rows, gaps_of(expected, missing), replaced, fetched.as_of)


def contradictions_of_rows(
    dataset: Dataset, proof: DatasetProof, rows: Columns, named_gaps: int
) -> list[str]:
    """What a day's stored rows, sorted by key, say that its proof does not. Empty where the proof
    holds: the same rows to the last bit, each once and on the day, and as many gaps named as are
    counted."""
    found = []
    recomputed = {
        "received": count_of(rows),
        "content_hash": rows_hash(rows),
        "missing": named_gaps,
    }
    for name, value in recomputed.items():
        if value != getattr(proof, name):
            found.append(f"{name} is {value}, the proof says {getattr(proof, name)}")
    keys = keys_of(dataset, rows)
    if len(np.unique(keys)) < len(keys):
        found.append(f"{dataset.rows} are repeated")
    unclosed = proof.expected - count_of(rows) - named_gaps
    is_complete = proof.state is DayState.COMPLETE
    if unclosed < 0 or (is_complete and (unclosed or named_gaps)):
        found.append(f"{proof.expected} expected do not make it {proof.state}")
    if np.any(rows[dataset.at].astype("datetime64[D]") != np.datetime64(proof.day, "D")):
        found.append(f"{dataset.rows} are of another day")
    return found


def gaps_of(expected: Keys, missing: Keys) -> list[Gap]:
    """The missing keys as stretches that are unbroken among those expected."""
    if not len(missing):
        return []
    positions = np.searchsorted(expected, missing)
    breaks = np.flatnonzero(np.diff(positions) > 1) + 1
    firsts = np.concatenate(([0], breaks))
    lasts = np.concatenate((breaks, [len(missing)])) - 1
    names = np.strings.replace(_texts_of(missing), ".000Z", "Z")
    return [
        Gap(str(names[a]) if a == b else f"{names[a]} to {names[b]}", int(b - a + 1))
        for a, b in zip(firsts, lasts, strict=True)
    ]


def rows_hash(rows: Columns) -> str:
    """A hash of every value of a day's rows, in the order of their keys: 128 bits of BLAKE2b.

    Column by column: the name, then instants as little-endian 64-bit milliseconds (dates as
    days), numbers as little-endian doubles or 64-bit integers, texts in UTF-8 each ended by a zero
    byte, null as a single 0xff byte before it.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, values in rows.items():
        digest.update(name.encode() + b"\0")
        digest.update(_bytes_of(values))
    return digest.hexdigest()


def differences(one: Columns, other: Columns) -> NDArray[np.bool_]:
    """Which rows, side by side, do not say the same."""
    found = np.zeros(count_of(one), bool)
    for name, values in one.items():
        others = other[name]
        unlike = values != others
        if values.dtype.kind == "f":
            unlike &= ~(np.isnan(values) & np.isnan(others))
        found |= unlike
    return found


def _bytes_of(values: NDArray[Any]) -> bytes:
    if values.dtype.kind == "O":
        texts = values.tolist()
        if None in texts:  # a lone surrogate, which no JSON text has in it, is written as 0xff
            texts = ["\udcff" if text is None else text for text in texts]
        return "\0".join([*texts, ""]).encode("utf-8", "surrogateescape")
    if values.dtype.kind == "M":
        unit = "D" if values.dtype == np.dtype("datetime64[D]") else "ms"
        return values.astype(f"<M8[{unit}]").tobytes()
    return values.astype("<f8" if values.dtype.kind == "f" else "<i8").tobytes()


def _union(
    dataset: Dataset, held: Columns, fetched: Columns, *, is_older: bool
) -> tuple[Columns, Columns]:
    """The rows of both, sorted by key, and the held ones that the newer answer changes."""
    ours, theirs = keys_of(dataset, held), keys_of(dataset, fetched)
    _, at_ours, at_theirs = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    first, second = some_of(held, at_ours), some_of(fetched, at_theirs)
    changed = differences(first, second)
    if is_older:  # another process was faster: what it wrote is newer than this answer
        held, fetched, ours, theirs = fetched, held, theirs, ours
        changed &= False
    kept = ~np.isin(ours, theirs)
    rows = joined_rows([some_of(held, kept), fetched])
    order = np.argsort(np.concatenate((ours[kept], theirs)), kind="stable")
    return some_of(rows, order), some_of(first, changed)


def _state(is_listed: bool, is_open: bool, missing: int) -> DayState:
    if not is_listed:
        return DayState.NOT_LISTED
    if is_open:
        return DayState.OPEN
    return DayState.GAPPED if missing else DayState.COMPLETE
