"""An instrument, as far as planning needs it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


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
