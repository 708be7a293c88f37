"""A day on its way from response to row: fetched, then proved."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.rows import Columns, Keys


class DayState(enum.StrEnum):
    """What is proved of the rows of a series' UTC day."""

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
class Proof:
    """What was expected of a series' day, what was received, and a hash of every value held.

    `dataset` is its name. `expected = received + missing + those not closed yet`. `fetched_at` is
    the exchange's clock when it last returned something new. `verdict` is what else is known of the
    day, in words; empty where there is nothing. `without_trades` counts candles alone.
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
    without_trades: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether the day need not be requested again, unless that is forced."""
        return self.state in SETTLED


@dataclass(frozen=True, slots=True, eq=False)
class FetchedDay:
    """All that the exchange returned of a series' day, as trusted by the source that fetched it.

    `rows` are sorted by key. `expected` are the keys that there must be while the series is
    listed, counted from nothing that was received; None where they cannot be counted, such as
    those of an account's log, and the source proves by its paging that it has seen both ends of
    the day. `unclosed` are those of them that are not over yet; `is_over` is false where further
    rows, which are not expected yet, may belong to the day. What is expected and neither was
    received nor is unclosed is missing. `is_listed` is false where the series did not exist on the
    day. `as_of` is the exchange's clock.

    `is_confirmed` is true where two responses returned the same rows, so that they may replace held
    ones; otherwise a day that would replace any is requested again first. `verdict` and
    `cross_check` are kept in the proof, and neither changes its state.
    """

    series: str
    day: date
    rows: Columns
    as_of: datetime
    expected: Keys | None = None
    unclosed: Keys = field(default_factory=lambda: np.empty(0, "datetime64[ms]"))
    is_over: bool = True
    is_listed: bool = True
    is_confirmed: bool = False
    verdict: str = ""
    cross_check: CrossCheck = CrossCheck.NONE


@dataclass(frozen=True, slots=True, eq=False)
class ProvedDay:
    """A day ready to be written whole.

    `rows` are all that are held of it from now on, sorted by key; `expected` are the keys that
    there must be, and `gaps` those of them that are missing. `arrived` are the keys of rows that
    were not held before, `replaced` the former values of held rows that the exchange changed
    (assumption:candles-closed).
    `former` is the proof that stands so far: `proof` itself where nothing new was returned. `as_of`
    is the exchange's clock in the response.
    """

    proof: Proof
    rows: Columns
    expected: Keys
    gaps: Keys
    arrived: Keys
    replaced: Columns
    former: Proof | None
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a day's rows come from: the API root, and the run that wrote them."""

    environment: Environment
    source: str
    run_id: str
