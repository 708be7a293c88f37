"""What a run has made, small enough to be looked at: a few candles of each instrument."""

from dataclasses import dataclass
from datetime import timedelta

from deribit_pipeline.datasets.candles.rollup import rolled_up
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.windows import ONE_DAY, TimeWindow, day_window, days_between
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.warehouse.warehouse import Warehouse

# So many strokes fit a picture, and so many instruments a page.
_MOST_CANDLES, _MOST_INSTRUMENTS = 120, 3


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """An instrument over a window of whole days: its candles rolled up to `step`, and the states of
    the days, None where one is not proved."""

    instrument_name: str
    window: TimeWindow
    step: timedelta
    candles: Candles
    states: list[DayState | None]


def glances(
    warehouse: Warehouse, resolution: Resolution, days: Days, outcome: Outcome
) -> list[Glance]:
    """The first instruments of a backfill at a glance."""
    found = []
    with warehouse.reading() as connection:
        for name, some in list(days.items())[:_MOST_INSTRUMENTS]:
            first, last = min(some), max(some)
            window = TimeWindow(day_window(first).start, day_window(last).end)
            step = _length(max(resolution.duration, window.duration / _MOST_CANDLES))
            candles, _ = rolled_up(connection, name, resolution, window, step, window.start)
            proofs = (outcome.proofs.get((name, day)) for day in days_between(first, last))
            states = [proof.state if proof else None for proof in proofs]
            found.append(Glance(name, window, step, candles, states))
    return found


def _length(least: timedelta) -> timedelta:
    """A length that people know, of at least so much: that of a resolution, or whole days."""
    known = [resolution.duration for resolution in Resolution if resolution.duration >= least]
    return min(known, default=-(-least // ONE_DAY) * ONE_DAY)
