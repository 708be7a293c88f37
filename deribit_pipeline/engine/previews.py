"""What is drawn of a run's rows, in the metadata of its days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from deribit_pipeline.domain.candles import Candles
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.windows import TimeWindow


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """A series in a window of whole days: its candles rolled up to `step`, and the states of the
    days, None for a day that is not proved."""

    series: str
    window: TimeWindow
    step: timedelta
    candles: Candles
    states: Sequence[DayState | None]


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves over a common axis, such as the smiles of an instant: the points (x, y) of each, by
    name, sorted by x."""

    title: str
    curves: Mapping[str, Sequence[tuple[float, float]]]


Previews = Sequence[Preview] | Sequence[Curves]
"""What is drawn of a run: candles with the states of their days, or curves."""
