"""Previews of what a run has stored: a few candles of each instrument."""

from datetime import timedelta

from deribit_pipeline.datasets.candles.rollup import rolled_up
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.windows import ONE_DAY, TimeWindow, day_window, days_between
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.previews import Preview
from deribit_pipeline.warehouse.warehouse import Warehouse

# The maximum number of candles in a chart, and of instruments on a page.
_MOST_CANDLES, _MOST_INSTRUMENTS = 120, 3


def previews(
    warehouse: Warehouse, resolution: Resolution, days: Days, outcome: Outcome
) -> list[Preview]:
    """The first instruments of a backfill, with few enough candles for a chart."""
    found = []
    with warehouse.reading() as connection:
        for name, some in list(days.items())[:_MOST_INSTRUMENTS]:
            first, last = min(some), max(some)
            window = TimeWindow(day_window(first).start, day_window(last).end)
            step = _length(max(resolution.duration, window.duration / _MOST_CANDLES))
            candles, _ = rolled_up(connection, name, resolution, window, step, window.start)
            proofs = (outcome.proofs.get((name, day)) for day in days_between(first, last))
            states = [proof.state if proof else None for proof in proofs]
            found.append(Preview(name, window, step, candles, states))
    return found


def _length(least: timedelta) -> timedelta:
    """The shortest common candle length of at least `least`: a resolution's, or whole days."""
    known = [resolution.duration for resolution in Resolution if resolution.duration >= least]
    return min(known, default=-(-least // ONE_DAY) * ONE_DAY)
