"""An instrument, as far as planning needs it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from deribit_pipeline.domain.windows import TimeWindow, day_window


@dataclass(frozen=True, slots=True)
class Instrument:
    """What trades. `expires_at` is None for what never does (Deribit writes the year 3000).

    `is_archived` tells that www knows it no more, and the archive host alone tells its candles
    (assumption:candles-expired).
    """

    instrument_name: str
    kind: str
    listed_at: datetime
    expires_at: datetime | None = None
    is_archived: bool = False

    def listed_on(self, day: date) -> TimeWindow | None:
        """The part of a UTC day after the listing and before the expiry; None where there is
        none."""
        window = day_window(day)
        start = max(window.start, self.listed_at + timedelta(milliseconds=1))
        end = min(window.end, self.expires_at or window.end)
        return TimeWindow(start, end) if start < end else None
