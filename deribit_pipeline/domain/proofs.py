"""A day's data from response to row: fetched, then proved."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.rows import Columns, Keys, Rows


class DayState(enum.StrEnum):
    """The proved state of the rows of a series' UTC day."""

    COMPLETE = "complete"
    OPEN = "open"
    GAPPED = "gapped"
    NOT_LISTED = "not_listed"


FAILED = "not_proved"
"""The label, beside the states, of a day that was requested and could not be proved."""

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
    """What was expected of a series' day, what was received, and a hash of every stored value.

    `dataset` is its name. `expected = received + missing + those not closed yet`. `fetched_at` is
    the exchange's clock when it last returned something new. `verdict` is what else is known of the
    day, as text; empty if there is nothing. `without_trades` is counted for candles only.
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
    """Everything that the exchange returned for a series' day, as trusted by the source that
    fetched it.

    `rows` are sorted by key. `expected` are the keys that must exist while the series is listed,
    computed independently of the response; None if they cannot be computed, such as those of an
    account's log, and the source proves by paging past both ends of the day that it has all rows.
    `unclosed` are those of them that are not closed yet; `is_over` is false if further rows, which
    are not expected yet, may belong to the day. A key that is expected and neither received nor
    unclosed is missing. `is_listed` is false if the series did not exist on the day. `as_of` is the
    exchange's clock.

    `is_confirmed` is true if two responses returned the same rows, so that they may replace stored
    ones; otherwise a day that would replace any is requested again first. `verdict` and
    `cross_check` are stored in the proof, and neither changes its state.

    `recorded` of the rows were in the spool. `superseded` are recorded rows with other values than
    those of two responses: they are not stored, but kept as revisions.
    """

    series: str
    day: date
    rows: Rows
    as_of: datetime
    expected: Keys | None = None
    unclosed: Keys = field(default_factory=lambda: np.empty(0, "datetime64[ms]"))
    is_over: bool = True
    is_listed: bool = True
    is_confirmed: bool = False
    verdict: str = ""
    cross_check: CrossCheck = CrossCheck.NONE
    recorded: int = 0
    superseded: Columns | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ProvedDay:
    """A day ready to be written whole.

    `rows` are all rows stored of it from now on, sorted by key; `expected` are the keys that must
    exist, and `gaps` those of them that are missing. `arrived` are the keys of rows that were not
    stored before, `replaced` the former values of stored rows that the exchange changed
    (assumption:candles-closed). `former` is the current proof: `proof` itself if nothing new was
    returned. `as_of` is the exchange's clock in the response.
    """

    proof: Proof
    rows: Rows
    expected: Keys
    gaps: Keys
    arrived: Keys
    replaced: Rows
    former: Proof | None
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin of a day's rows: the API root, and the run that wrote them."""

    environment: Environment
    source: str
    run_id: str
