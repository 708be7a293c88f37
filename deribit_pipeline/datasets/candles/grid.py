"""Where candles are expected: the moments at which one opens while its instrument is listed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import END_OF_TIME, Moments, TimeWindow, from_ms, moment64

_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = from_ms(0)


@dataclass(frozen=True, slots=True)
class Grid:
    """Candles of one resolution open at `anchor` after midnight UTC and every `step` from there."""

    step: timedelta
    anchor: timedelta

    def openings(self, window: TimeWindow) -> Moments:
        """The moments in `window` at which a candle opens, in order."""
        step = np.timedelta64(self.step, "ms")
        anchor = np.datetime64(0, "ms") + np.timedelta64(self.anchor, "ms")
        first = anchor - (anchor - moment64(window.start)) // step * step
        return np.arange(first, moment64(window.end), step, dtype="datetime64[ms]")

    def floored(self, moment: datetime) -> datetime:
        """The last opening at or before a moment."""
        return moment - (moment - _EPOCH - self.anchor) % self.step

    def widened(self, window: TimeWindow) -> TimeWindow:
        """The window with all of the candles that it has a part of."""
        end = self.floored(window.end)
        return TimeWindow(self.floored(window.start), end if end == window.end else end + self.step)

    def has(self, opened_at: Moments) -> bool:
        """Whether all these moments are openings."""
        anchor = np.datetime64(0, "ms") + np.timedelta64(self.anchor, "ms")
        return not np.any((opened_at - anchor) % np.timedelta64(self.step, "ms"))


def grid_of(resolution: Resolution, opened_at: Moments) -> Grid | None:
    """The grid of a resolution; where its anchor is not known, the one that these candles show.

    None where no candle shows it.
    """
    if resolution.anchor is not None:
        return Grid(resolution.duration, resolution.anchor)
    if not len(opened_at):
        return None
    step = resolution.duration // _MILLISECOND
    return Grid(resolution.duration, int(opened_at[0].astype(np.int64)) % step * _MILLISECOND)


def life(instrument: Instrument, resolution: Resolution) -> TimeWindow:
    """The window in which candles of an instrument open, whatever their grid.

    It begins so that the first opening in it is that of the candle which contains the listing
    (assumption:candles-listing), and ends with the expiry (assumption:candles-expiry).
    """
    return TimeWindow(
        instrument.listed_at - resolution.duration + _MILLISECOND,
        instrument.expires_at or END_OF_TIME,
    )
