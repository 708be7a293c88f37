"""Impossible values in rows that two responses have in common: they are stored, and reported."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.dataset import Dataset


def with_impossible(dataset: Dataset, rows: Mapping[str, NDArray[Any]], verdict: str) -> str:
    """The verdict on a day's rows: how many of their values are impossible, and the first as
    text."""
    found = []
    for name, bounds in dataset.bounds.items():
        if name not in rows:
            continue
        numbers = np.flatnonzero(bounds.impossible(rows[name], rows))
        found += [(number, name) for number in numbers.tolist()]
    if not found:
        return verdict
    number, name = min(found)
    at = str(rows[dataset.at][number])
    values = "1 impossible value" if len(found) == 1 else f"{len(found)} impossible values, such as"
    said = f"{values} {name} {float(rows[name][number])!r} of {at}, as two responses say"
    return f"{verdict}; {said}" if verdict else said
