"""Deduplicate rows: equal rows count once, and contradicting ones are rejected."""

from dataclasses import dataclass

import numpy as np

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.malformed import Malformed
from deribit_pipeline.domain.rows import Columns, count_of, differences, keys_of, some_of


@dataclass(frozen=True, slots=True, eq=False)
class Distinct:
    """The rows in their original order, each key once. `repeated` counts duplicates that are equal
    in every column; `malformed` are keys with different values, of which no row is kept."""

    rows: Columns
    repeated: int = 0
    malformed: tuple[Malformed, ...] = ()


def distinct(dataset: Dataset, rows: Columns) -> Distinct:
    """Each row of a response once."""
    keys = keys_of(dataset, rows)
    _, firsts, which = np.unique(keys, return_index=True, return_inverse=True)
    if len(firsts) == len(keys):
        return Distinct(rows)
    is_other = differences(rows, some_of(rows, firsts[which]))
    conflicting = np.unique(which[is_other])
    is_first = np.zeros(len(keys), bool)
    is_first[np.delete(firsts, conflicting)] = True
    moments = (
        rows[dataset.at][firsts[conflicting]].astype("datetime64[ms]").astype(np.int64).tolist()
    )
    return Distinct(
        some_of(rows, is_first),
        count_of(rows) - len(firsts) - int(np.count_nonzero(is_other)),
        tuple(Malformed(at, at, "it was returned twice, with different values") for at in moments),
    )
