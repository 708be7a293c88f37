"""The expected opening times of candles while their instrument is listed."""

from datetime import timedelta

import numpy as np

from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.grid import Grid
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import END_OF_TIME, Moments, TimeWindow

_MILLISECOND = timedelta(milliseconds=1)


def grid_of(resolution: Resolution, opened_at: Moments) -> Grid | None:
    """The grid of a resolution; if its anchor is not known, the grid on which these candles open.

    None if the anchor is not known and there are no candles.
    """
    if resolution.anchor is not None:
        return Grid(resolution.duration, resolution.anchor)
    if not len(opened_at):
        return None
    step = resolution.duration // _MILLISECOND
    return Grid(resolution.duration, int(opened_at[0].astype(np.int64)) % step * _MILLISECOND)


def life(instrument: Instrument, resolution: Resolution) -> TimeWindow:
    """The window in which candles of an instrument open, whatever their grid.

    Its first opening is that of the candle that contains the listing time
    (assumption:candles-listing); it ends at the expiry (assumption:candles-expiry).
    """
    return TimeWindow(
        instrument.listed_at - resolution.duration + _MILLISECOND,
        instrument.expires_at or END_OF_TIME,
    )
