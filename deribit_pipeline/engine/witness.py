"""What contradicts rows from within: values that cannot be, and a witness that says otherwise.

A witness is what the exchange publishes of the same time in another form: an hourly candle of its
minutes, the funding of eight hours of each of them. It costs no request.
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
    """A row and its witness that differ, in words; `rows` are the moments of all
    rows that may be wrong then, of each cadence."""

    moment: np.datetime64
    rows: Sequence[Moments]
    what: str


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Rows held against one witness: `compared` are the moments of those that could be, of each
    cadence; `count` is how many comparisons that were. `what` names both in an error.

    A hint is something that rows mostly do and need not: where only a few do not, these are
    requested again, but no verdict follows from it.
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
    """The rules of a dataset's rows. A row whose values are NaN is malformed and breaks none."""

    def impossible(self, rows: Columns) -> Mapping[str, Flags]:
        """What no row can be, in words, and which rows are."""

    def compared(self, lanes: Sequence[Columns]) -> Sequence[Comparison]:
        """The rows of each cadence, sorted, held against each witness."""
