"""Trades by `trade_seq`: the numbers that are requested, those returned, and those missing.

An instrument's trades are numbered without gaps (assumption:trades-numbers).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.trades.values import are_in_order
from deribit_pipeline.domain.rows import Columns, differences, joined_rows, some_of
from deribit_pipeline.errors import DeribitError

NO_TRADES: Columns = {
    "trade_seq": np.empty(0, np.int64),
    "trade_id": np.empty(0, object),
    "traded_at": np.empty(0, "datetime64[ms]"),
    "direction": np.empty(0, object),
    "tick_direction": np.empty(0, np.int64),
    "price": np.empty(0),
    "mark_price": np.empty(0),
    "index_price": np.empty(0),
    "amount": np.empty(0),
    "contracts": np.empty(0),
    "iv": np.empty(0),
    "liquidation": np.empty(0, object),
    "block_trade_id": np.empty(0, object),
    "combo_id": np.empty(0, object),
}

Numbers = NDArray[np.int64]
"""Trade numbers, sorted and unique."""


@dataclass(frozen=True, slots=True, eq=False)
class Refused:
    """Trades that were returned but cannot be proved: malformed, or no two responses agree on them.
    `traded_at` is the time of a single such trade, None if it is not known."""

    numbers: Numbers
    reason: str
    traded_at: np.datetime64 | None = None

    @property
    def day(self) -> date | None:
        """The UTC day of the trade; None if not known."""
        return None if self.traded_at is None else self.traded_at.astype("datetime64[D]").item()


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """The trades with the numbers `requested`: `rows` are sorted by number.

    Missing numbers have been requested again without success; if `error` is set, no response could
    be trusted and nothing is known of the chunk. `as_of` is the exchange's time in the oldest
    response. `before` is the trade with the preceding number, which the previous chunk contains
    too. `refused` are trades that were returned but are not in `rows`. `is_confirmed` states that
    two responses agree on every row; `is_held` that rows are recorded or were stored before.
    """

    requested: range
    rows: Columns
    as_of: datetime
    error: DeribitError | None = None
    before: Columns = field(default_factory=lambda: NO_TRADES)
    refused: tuple[Refused, ...] = ()
    is_confirmed: bool = False
    is_held: bool = False

    @property
    def missing(self) -> Numbers:
        """The missing numbers."""
        return missing(self.requested, self.rows["trade_seq"])

    def with_found(self, rows: Columns, as_of: datetime) -> "Chunk":
        """The chunk with missing trades filled in from another response."""
        found = within(rows, self.requested)
        found = some_of(found, ~np.isin(found["trade_seq"], self.rows["trade_seq"]))
        joined = joined_rows([self.rows, found])
        order = np.argsort(joined["trade_seq"], kind="stable")
        return replace(self, rows=some_of(joined, order), as_of=min(self.as_of, as_of))

    def contradicts(self, later: "Chunk") -> bool:
        """Whether the next chunk has other values for the shared trade, or times decrease from one
        chunk to the next."""
        _, ours, theirs = np.intersect1d(
            self.rows["trade_seq"][-1:], later.before["trade_seq"], return_indices=True
        )
        last = some_of(self.rows, slice(-1, None))
        if np.any(differences(some_of(last, ours), some_of(later.before, theirs))):
            return True
        both = joined_rows([_timed(self.rows), _timed(later.rows)])
        return not are_in_order(**both) and all(
            are_in_order(**_timed(chunk.rows)) for chunk in (self, later)
        )


def within(rows: Columns, requested: range) -> Columns:
    """The rows whose numbers are in `requested`, sorted by number; responses may contain others."""
    first, end = np.searchsorted(rows["trade_seq"], (requested.start, requested.stop))
    return some_of(rows, slice(int(first), int(end)))


def missing(requested: range, numbers: Numbers) -> Numbers:
    """The numbers in `requested` that are not in `numbers`."""
    if len(numbers) == len(requested):  # the usual case: they are unique and all requested
        return np.empty(0, np.int64)
    return np.setdiff1d(np.arange(requested.start, requested.stop), numbers, assume_unique=True)


def chunks(requested: range, most: int) -> Iterator[range]:
    """The numbers in ranges of at most `most`, in ascending order."""
    return (
        range(first, min(first + most, requested.stop))
        for first in range(requested.start, requested.stop, most)
    )


def holes_of(numbers: Numbers) -> list[range]:
    """The numbers as ranges of consecutive ones."""
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1) if len(numbers) else []
    return [range(int(part[0]), int(part[-1]) + 1) for part in parts]


def rechecks_of(numbers: Numbers, most: int, offset: int) -> Iterator[range]:
    """Ranges of at most `most` numbers that together contain all of `numbers`. Another `offset`
    moves the boundaries, so that no request repeats an earlier one."""
    while len(numbers):
        first = int(numbers[0]) - offset
        start, stop = max(first, 1), int(numbers[-1]) + 1 + offset
        # The first trade of all has no earlier start: the end is moved instead.
        recheck = range(start, stop if stop - start <= most else first + most)
        yield recheck
        numbers = numbers[numbers >= recheck.stop]


def _timed(rows: Columns) -> Columns:
    return {"numbers": rows["trade_seq"], "times": rows["traded_at"]}
