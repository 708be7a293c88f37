"""Two sets of rows of one day, sorted by key, compared and merged: piece by piece, so that neither
must fit into memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from deribit_pipeline.domain.rows import (
    Columns,
    Keyed,
    Keys,
    Pieces,
    Rows,
    count_of,
    counted_keys,
    differences,
    joined_rows,
    keys_of,
    pieces_of,
    some_of,
)

_Piece = tuple[Keys, Columns]
"""Some rows, and their keys."""


def merged(dataset: Keyed, newer: Rows, older: Rows) -> Rows:
    """The rows of both, sorted by key; of rows that both have, those of `newer`."""
    rows = Pieces()
    for (keys, some), (others, beside) in _aligned(dataset, newer, older):
        kept = ~np.isin(others, keys)
        both = joined_rows([some_of(beside, kept), some])
        order = np.argsort(np.concatenate((others[kept], keys)), kind="stable")
        rows.append(some_of(both, order))
    return rows.rows()


def compared(dataset: Keyed, one: Rows, other: Rows) -> Iterator[tuple[Columns, Columns]]:
    """The rows whose keys both have, of each, in pieces."""
    for (keys, rows), (others, beside) in _aligned(dataset, one, other):
        if np.array_equal(keys, others):
            yield rows, beside
        else:
            _, ours, theirs = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
            yield some_of(rows, ours), some_of(beside, theirs)


def joined(
    dataset: Keyed, held: Rows | None, fetched: Rows, *, is_older: bool
) -> tuple[Rows, Keys, Rows]:
    """The rows of both, sorted by key; the keys of those that were not stored before; and the
    former values of those that the newer response changes."""
    nothing = some_of(next(pieces_of(fetched)), slice(0, 0))
    if held is None or not count_of(held):
        return fetched, counted_keys(dataset, fetched), nothing
    ours, theirs = keys_of(dataset, held), keys_of(dataset, fetched)
    arrived, replaced = without(theirs, ours), Pieces()
    replaced.append(nothing)
    if not is_older:  # otherwise another process wrote newer rows meanwhile
        for one, other in compared(dataset, held, fetched):
            replaced.append(some_of(one, differences(one, other)))
    newer, older = (held, fetched) if is_older else (fetched, held)
    only_older = arrived if is_older else without(ours, theirs)
    rows = merged(dataset, newer, older) if len(only_older) else newer
    return rows, arrived, replaced.rows()


def without(keys: Keys, others: Keys) -> Keys:
    """The keys that are not among the others; both sorted and unique."""
    if not len(others) or not len(keys):
        return keys
    if np.array_equal(keys, others):  # nearly always, and much faster
        return keys[:0]
    # Not `np.isin`, which copies the keys several times: texts take 200 bytes each.
    place = np.minimum(np.searchsorted(others, keys), len(others) - 1)
    arrived: Keys = keys[others[place] != keys]
    return arrived


def _aligned(dataset: Keyed, one: Rows, other: Rows) -> Iterator[tuple[_Piece, _Piece]]:
    """All rows of both, in pairs of pieces that cover the same range of keys."""
    ours, theirs = _with_keys(dataset, one), _with_keys(dataset, other)
    mine, yours = next(ours, None), next(theirs, None)
    while mine and yours:
        bound = min(mine[0][-1], yours[0][-1])
        head, mine = _divided(mine, bound)
        beside, yours = _divided(yours, bound)
        yield head, beside
        mine, yours = mine or next(ours, None), yours or next(theirs, None)
    while mine:
        yield mine, _head(mine, 0)
        mine = next(ours, None)
    while yours:
        yield _head(yours, 0), yours
        yours = next(theirs, None)


def _with_keys(dataset: Keyed, rows: Rows) -> Iterator[_Piece]:
    return ((keys_of(dataset, some), some) for some in pieces_of(rows) if count_of(some))


def _divided(piece: _Piece, bound: Any) -> tuple[_Piece, _Piece | None]:
    """The rows up to a key, and those after it, if there are any."""
    keys, rows = piece
    count = int(np.searchsorted(keys, bound, side="right"))
    if count == len(keys):
        return piece, None
    return _head(piece, count), (keys[count:], some_of(rows, slice(count, None)))


def _head(piece: _Piece, count: int) -> _Piece:
    keys, rows = piece
    return keys[:count], some_of(rows, slice(0, count))
