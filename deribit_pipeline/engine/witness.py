"""Consistency checks of rows: impossible values, and comparison with independent data (a witness).

A witness is the same information that the exchange publishes in another form: an hourly candle for
its minutes, the eight-hour funding for its hours. It costs no request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.rows import Columns
from deribit_pipeline.domain.windows import Moments

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Disagreement:
    """A row that differs from its witness, as a sentence; `rows` are the timestamps, by grid, of
    all rows that may be wrong."""

    moment: np.datetime64
    rows: Sequence[Moments]
    what: str


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Rows compared with one witness: `compared` are the timestamps, by grid, of rows that could be
    compared; `count` is the number of comparisons. `what` names both sides in messages.

    A hint is a relation that usually holds but need not: if only a few rows violate it, these are
    requested again, but it does not affect the verdict.
    """

    what: str
    compared: Sequence[Moments]
    count: int
    disagreements: Sequence[Disagreement]
    is_hint: bool = False

    @property
    def is_mostly_denied(self) -> bool:
        """Whether more than half disagree."""
        return 2 * len(self.disagreements) > self.count


class Witness(Protocol):
    """The consistency rules of a dataset. Malformed rows, whose values are NaN, violate none."""

    def impossible(self, rows: Columns) -> Mapping[str, Flags]:
        """The rules about values, by description, each with a flag for every row that violates
        it."""

    def compared(self, rows_by_grid: Sequence[Columns]) -> Sequence[Comparison]:
        """Compare the rows of each sampling grid, sorted, with each witness."""
