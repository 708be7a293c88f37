"""What is proved of a day."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date, datetime

from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.windows import Moments


class DayState(enum.StrEnum):
    """What is proved of the candles that open on an instrument's UTC day."""

    COMPLETE = "complete"
    OPEN = "open"
    GAPPED = "gapped"
    NOT_LISTED = "not_listed"


FAILED = "not_proved"
"""What a day is called, beside the states, that was requested and could not be proved."""

SETTLED = (DayState.COMPLETE, DayState.NOT_LISTED)


class CrossCheck(enum.StrEnum):
    """How a day's rows compare with an independent series of the exchange, such as coarser candles.

    Rows that DISAGREE were confirmed by two responses for different windows; the day's verdict
    names the disagreement. NONE: they were not compared.
    """

    AGREES = "agrees"
    DISAGREES = "disagrees"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class DayProof:
    """What was expected of a day, what came, and a hash of every value held.

    `expected = received + missing + those not closed yet`. `fetched_at` is the exchange's clock.
    `verdict` is what else is known of the day, in words; empty where there is nothing.
    """

    instrument_name: str
    resolution: Resolution
    day: date
    state: DayState
    expected: int
    received: int
    missing: int
    without_trades: int
    content_hash: str
    revised: int
    fetched_at: datetime
    verdict: str = ""
    cross_check: CrossCheck = CrossCheck.NONE

    @property
    def series(self) -> str:
        """What the day is of."""
        return self.instrument_name

    @property
    def is_settled(self) -> bool:
        """Whether nothing more need be asked of the day, unless it is forced."""
        return self.state in SETTLED


@dataclass(frozen=True, slots=True)
class DatasetProof:
    """What was expected of a day of any other dataset, what came, and a hash of every value held.

    `verdict` is what a comparison with another dataset found. `fetched_at` is the exchange's clock.
    """

    dataset: str
    series: str
    day: date
    state: DayState
    expected: int
    received: int
    missing: int
    content_hash: str
    revised: int
    verdict: str
    fetched_at: datetime
    cross_check: CrossCheck = CrossCheck.NONE

    @property
    def is_settled(self) -> bool:
        """Whether nothing more need be asked of the day, unless it is forced."""
        return self.state in SETTLED


Proof = DayProof | DatasetProof
"""What is proved of a series' day."""


@dataclass(frozen=True, slots=True, eq=False)
class ProvedDay:
    """A day ready to be written whole: its candles, its proof, its gaps, and what is new of it.

    `arrived` are the candles that were not held before; `replaced` holds the former values of
    candles about which the exchange changed its mind (assumption:candles-closed). `as_of` is the
    exchange's clock when it answered, also where it said nothing new.
    """

    proof: DayProof
    candles: Candles
    gaps: Moments
    arrived: Moments
    replaced: Candles
    as_of: datetime
