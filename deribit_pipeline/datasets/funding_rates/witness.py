"""Internal consistency of funding: the eight-hour rate and its hours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deribit_pipeline.domain.rows import Columns, some_of
from deribit_pipeline.engine.witness import Comparison, Disagreement, Flags

HOUR = np.timedelta64(3_600_000, "ms")

MOST_RATE = 0.1
"""The fraction above which funding of one hour is implausible: the exchange's caps are far below a
hundredth."""

MOST_PRICE = 1e9
"""The value above which an index price is implausible, in quote currency."""

FUNDING_TOLERANCE = 3e-8
"""How far `interest_8h` may be from the result of its eight `interest_1h`: twice the largest
difference in 17 recorded hours of BTC-PERPETUAL, 1.4e-8 of 7.8e-5."""

FUNDING_SHARE = 4e-4
"""The same as a share of `interest_8h`, if that is more."""


@dataclass(frozen=True, slots=True)
class EightHours:
    """Funding: `interest_8h` is the funding of eight `interest_1h` as a share of the position at
    their beginning (assumption:funding-sums), and an hour begins at the index at which the previous
    hour ended (assumption:funding-chain).

    The funding of an inverse position is the sum of rate over index. For linear ones nothing is
    recorded: the same, its mirror image and the plain sum are all accepted.
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

    def compared(self, request_plan: Sequence[Columns]) -> Sequence[Comparison]:
        """See Witness. `request_plan` has the hours only."""
        [rows] = request_plan
        rows = some_of(rows, ~np.isnan(rows["interest_1h"]))
        return [self._sums(rows), _chain(rows)]

    def _sums(self, rows: Columns) -> Comparison:
        ends, rate, before = rows["funded_at"], rows["interest_1h"], rows["prev_index_price"]
        eighth = np.flatnonzero(ends[7:] - ends[:-7] == 7 * HOUR) + 7
        span = eighth[:, None] + np.arange(-7, 1)
        returned = rows["interest_8h"][eighth]
        with np.errstate(all="ignore"):
            base = before[span[:, 0]]
            made = [(rate / before)[span].sum(axis=1) * base]
            if self.is_linear:
                made += [(rate * before)[span].sum(axis=1) / base, rate[span].sum(axis=1)]
            off = np.abs(np.stack(made) - returned).min(axis=0)
        is_near = off <= np.maximum(FUNDING_TOLERANCE, FUNDING_SHARE * np.abs(returned))
        found = [
            Disagreement(
                ends[eighth[at]],
                (ends[span[at]],),
                f"its interest_8h is {returned[at]:g} and {made[0][at]:g} in its hours",
            )
            for at in np.flatnonzero(~is_near)
        ]
        return Comparison("interest_8h and its hours", (ends[eighth],), len(eighth), found)


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
