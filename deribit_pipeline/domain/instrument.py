"""An instrument, with the fields that planning needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from deribit_pipeline.domain.windows import TimeWindow, day_window


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument. `expires_at` is None if it never expires (Deribit writes the year 3000).

    `is_archived` is true if www no longer lists it: its candles are available from the archive host
    only (assumption:candles-expired).
    """

    instrument_name: str
    kind: str
    listed_at: datetime
    expires_at: datetime | None = None
    is_archived: bool = False

    def listed_on(self, day: date) -> TimeWindow | None:
        """The part of a UTC day after the listing and before the expiry; None if there is none."""
        window = day_window(day)
        start = max(window.start, self.listed_at + timedelta(milliseconds=1))
        end = min(window.end, self.expires_at or window.end)
        return TimeWindow(start, end) if start < end else None
