"""What contradicts rows from within: values that cannot be, and a witness that says otherwise.

A witness is what the exchange publishes of the same time in another form: an hourly candle of its
minutes, the funding of eight hours of each of them. It costs no request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.rows import Columns, some_of
from deribit_pipeline.domain.windows import Moments

HOUR = np.timedelta64(3_600_000, "ms")

MOST_INDEX = 10_000.0
"""Percent a year beyond which the volatility index is not plausible: its highest was below 200."""

MOST_RATE = 0.1
"""The fraction beyond which funding of one hour is not plausible: the exchange's own caps are far
below a hundredth."""

MOST_PRICE = 1e9
"""The price beyond which an index price is not plausible, in quote currency."""

FUNDING_TOLERANCE = 3e-8
"""How far `interest_8h` may be from what its eight `interest_1h` make: twice what the farthest of
17 recorded hours of BTC-PERPETUAL was off, 1.4e-8 of 7.8e-5."""

FUNDING_SHARE = 4e-4
"""The same as a share of `interest_8h`, where that is more."""

FEW, FEW_OF = 4, 2_000
"""How many disagreements with a hint are few: so many in all, or one of so many rows."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Disagreement:
    """A row and its witness that differ, in words; `rows` are the moments of all
    rows that may be wrong then, of each cadence."""

    moment: np.datetime64
    rows: Sequence[Moments]
    what: str


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Rows held against one witness: `compared` are the moments of those that could be, of each
    cadence; `count` is how many comparisons that were. `what` names both in an error.

    A hint is something that rows mostly do and need not: where only a few do not, these are
    requested again, but no verdict follows from it.
    """

    what: str
    compared: Sequence[Moments]
    count: int
    disagreements: Sequence[Disagreement]
    is_hint: bool = False

    @property
    def is_mostly_denied(self) -> bool:
        """Whether more than half disagree."""
        return 2 * len(self.disagreements) > self.count


class Witness(Protocol):
    """The rules of a dataset's rows. A row whose values are NaN is malformed and breaks none."""

    def impossible(self, rows: Columns) -> Mapping[str, Flags]:
        """What no row can be, in words, and which rows are."""

    def compared(self, lanes: Sequence[Columns]) -> Sequence[Comparison]:
        """The rows of each cadence, sorted, held against each witness."""


class HoursOfMinutes:
    """The volatility index: an hour opens, peaks, bottoms and closes with its sixty minutes
    (assumption:dvol-sums).

    That a candle opens where the one before it closed is a hint: of 14 recorded ones, one does not.
    """

    def impossible(self, rows: Columns) -> Mapping[str, Flags]:
        """See Witness."""
        opened, high, low, close = (rows[name] for name in ("open", "high", "low", "close"))
        values = np.stack([opened, high, low, close])
        return {
            "low above high": low > high,
            "low above open or close": low > np.minimum(opened, close),
            "high below open or close": high < np.maximum(opened, close),
            "a value of 0 or less": np.any(values <= 0, axis=0),
            f"a value above {MOST_INDEX:,.0f}": np.any(values > MOST_INDEX, axis=0),
        }

    def compared(self, lanes: Sequence[Columns]) -> Sequence[Comparison]:
        """See Witness. `lanes` are the hours and the minutes."""
        hours, minutes = (some_of(rows, ~np.isnan(rows["open"])) for rows in lanes)
        number = minutes["opened_at"].astype(np.int64) // 3_600_000
        numbers, firsts, counts = np.unique(number, return_index=True, return_counts=True)
        is_whole = counts == 60
        numbers, firsts = numbers[is_whole], firsts[is_whole]
        _, ours, theirs = np.intersect1d(
            hours["opened_at"].astype(np.int64) // 3_600_000,
            numbers,
            assume_unique=True,
            return_indices=True,
        )
        span = firsts[theirs][:, None] + np.arange(60)
        made = {
            "open": minutes["open"][span[:, 0]],
            "high": minutes["high"][span].max(axis=1),
            "low": minutes["low"][span].min(axis=1),
            "close": minutes["close"][span[:, -1]],
        }
        opened_at = hours["opened_at"][ours]
        unlike = {name: hours[name][ours] != values for name, values in made.items()}
        found = []
        for at in np.flatnonzero(np.any(list(unlike.values()), axis=0)):
            name = next(name for name, flags in unlike.items() if flags[at])
            told = hours[name][ours[at]]
            found.append(
                Disagreement(
                    opened_at[at],
                    (opened_at[at : at + 1], minutes["opened_at"][span[at]]),
                    f"its {name} is {told:g} and {made[name][at]:g} in its minutes",
                )
            )
        compared = (opened_at, minutes["opened_at"][span.ravel()])
        return [
            Comparison("hours and their minutes", compared, len(opened_at), found),
            _openings(hours["opened_at"][:0], minutes),
        ]


@dataclass(frozen=True, slots=True)
class EightHours:
    """Funding: `interest_8h` is what eight `interest_1h` make of the position at their beginning
    (assumption:funding-sums), and an hour begins at the index at which the hour before it ended
    (assumption:funding-chain).

    What an inverse position pays is the sum of rate over index. Of linear ones nothing is
    recorded: the same, its mirror image and the plain sum are all let pass.
    """

    is_linear: bool

    def impossible(self, rows: Columns) -> Mapping[str, Flags]:
        """See Witness."""
        one, eight = np.abs(rows["interest_1h"]), np.abs(rows["interest_8h"])
        prices = np.stack([rows["index_price"], rows["prev_index_price"]])
        return {
            f"a rate of more than {MOST_RATE:g} an hour": (one > MOST_RATE)
            | (eight > 8 * MOST_RATE),
            "an index price of 0 or less": np.any(prices <= 0, axis=0),
            f"an index price above {MOST_PRICE:g}": np.any(prices > MOST_PRICE, axis=0),
        }

    def compared(self, lanes: Sequence[Columns]) -> Sequence[Comparison]:
        """See Witness. `lanes` are the hours alone."""
        [rows] = lanes
        rows = some_of(rows, ~np.isnan(rows["interest_1h"]))
        return [self._sums(rows), _chain(rows)]

    def _sums(self, rows: Columns) -> Comparison:
        ends, rate, before = rows["funded_at"], rows["interest_1h"], rows["prev_index_price"]
        eighth = np.flatnonzero(ends[7:] - ends[:-7] == 7 * HOUR) + 7
        span = eighth[:, None] + np.arange(-7, 1)
        told = rows["interest_8h"][eighth]
        with np.errstate(all="ignore"):
            base = before[span[:, 0]]
            made = [(rate / before)[span].sum(axis=1) * base]
            if self.is_linear:
                made += [(rate * before)[span].sum(axis=1) / base, rate[span].sum(axis=1)]
            off = np.abs(np.stack(made) - told).min(axis=0)
        is_near = off <= np.maximum(FUNDING_TOLERANCE, FUNDING_SHARE * np.abs(told))
        found = [
            Disagreement(
                ends[eighth[at]],
                (ends[span[at]],),
                f"its interest_8h is {told[at]:g} and {made[0][at]:g} in its hours",
            )
            for at in np.flatnonzero(~is_near)
        ]
        return Comparison("interest_8h and its hours", (ends[eighth],), len(eighth), found)


def _openings(no_hours: Moments, minutes: Columns) -> Comparison:
    at, opened, closed = minutes["opened_at"], minutes["open"], minutes["close"]
    follows = np.flatnonzero(np.diff(at) == np.timedelta64(60_000, "ms")) + 1
    unlike = follows[opened[follows] != closed[follows - 1]]
    found: list[Disagreement] = []
    if len(unlike) <= max(FEW, len(follows) // FEW_OF):  # of more than a few none is looked at
        found = [
            Disagreement(at[here], (no_hours, at[here - 1 : here + 1]), "it opens elsewhere")
            for here in unlike
        ]
    return Comparison("closes and opens", (no_hours, no_hours), len(follows), found, is_hint=True)


def _chain(rows: Columns) -> Comparison:
    ends, index, before = rows["funded_at"], rows["index_price"], rows["prev_index_price"]
    follows = np.flatnonzero(np.diff(ends) == HOUR) + 1
    found = [
        Disagreement(
            ends[at],
            (ends[at - 1 : at + 1],),
            f"its prev_index_price is {before[at]:g} and the hour before it ended at "
            f"{index[at - 1]:g}",
        )
        for at in follows[index[follows - 1] != before[follows]]
    ]
    return Comparison("index prices of neighbouring hours", (ends[follows],), len(follows), found)
