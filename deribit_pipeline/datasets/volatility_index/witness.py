"""Internal consistency of the volatility index: hours and their minutes."""

from collections.abc import Mapping, Sequence

import numpy as np

from deribit_pipeline.domain.rows import Columns, some_of
from deribit_pipeline.domain.windows import Moments
from deribit_pipeline.engine.witness import Comparison, Disagreement, Flags

MOST_INDEX = 10_000.0
"""Percent a year above which the volatility index is implausible: its highest was below 200."""

FEW, FEW_OF = 4, 2_000
"""How many disagreements with a hint count as few: FEW in all, or one in FEW_OF rows."""


class HoursOfMinutes:
    """The volatility index: open, high, low and close of an hour are those of its sixty minutes
    (assumption:dvol-sums).

    That a candle opens at the previous close is only a hint: one of 14 recorded ones does not.
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

    def compared(self, request_plan: Sequence[Columns]) -> Sequence[Comparison]:
        """See Witness. `request_plan` has the hours and the minutes."""
        hours, minutes = (some_of(rows, ~np.isnan(rows["open"])) for rows in request_plan)
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
            returned = hours[name][ours[at]]
            found.append(
                Disagreement(
                    opened_at[at],
                    (opened_at[at : at + 1], minutes["opened_at"][span[at]]),
                    f"its {name} is {returned:g} and {made[name][at]:g} in its minutes",
                )
            )
        compared = (opened_at, minutes["opened_at"][span.ravel()])
        return [
            Comparison("hours and their minutes", compared, len(opened_at), found),
            _openings(hours["opened_at"][:0], minutes),
        ]


def _openings(no_hours: Moments, minutes: Columns) -> Comparison:
    at, opened, closed = minutes["opened_at"], minutes["open"], minutes["close"]
    follows = np.flatnonzero(np.diff(at) == np.timedelta64(60_000, "ms")) + 1
    unlike = follows[opened[follows] != closed[follows - 1]]
    found: list[Disagreement] = []
    if len(unlike) <= max(FEW, len(follows) // FEW_OF):  # more than a few are ignored
        found = [
            Disagreement(at[here], (no_hours, at[here - 1 : here + 1]), "it opens elsewhere")
            for here in unlike
        ]
    return Comparison("closes and opens", (no_hours, no_hours), len(follows), found, is_hint=True)
