"""Compare candles with the exchange's coarser ones, and detect impossible candles: pure.

A response of thousands of candles shares only one candle with its neighbour. The coarser candles of
the same time are another response that covers all of them (assumption:candles-sums,
assumption:candles-sums-day), for a sixtieth of the requests. docs/guarantees.md states which errors
this comparison cannot detect.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.candles import CANDLE_VALUES, Candles, Resolution
from deribit_pipeline.domain.grid import Grid
from deribit_pipeline.domain.windows import Moments, TimeWindow, from_moment64, moment64

_COARSER = {
    resolution: Resolution.HOUR_1
    for resolution in Resolution
    if resolution.duration < Resolution.HOUR_1.duration
} | dict.fromkeys((Resolution.HOUR_1, Resolution.HOUR_2), Resolution.DAY_1)

MOST_PLAUSIBLE = 1e15
"""Above any price, volume or cost of one candle: Deribit trades about 1e9 USD a day."""

# The exchange rounds the volume and cost of each candle, and of the coarser one.
_ROUNDING = 1e-6

_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME, _COST = range(len(CANDLE_VALUES))


def coarser_of(resolution: Resolution) -> Resolution | None:
    """The coarser resolution to compare with: a multiple that opens at known times.

    None for 180, 360 and 720 minutes, whose opening times are not known (see
    `Resolution.anchor`), and for 1D.
    """
    return _COARSER.get(resolution)


def coarse_grid(resolution: Resolution) -> Grid | None:
    """The grid of the coarser candles of a resolution; None if it has none."""
    coarser = coarser_of(resolution)
    if coarser is None or coarser.anchor is None:
        return None
    return Grid(coarser.duration, coarser.anchor)


@dataclass(frozen=True, slots=True)
class Remark:
    """A finding about the candles that open in `window`.

    `is_disagreement` is true if their coarser candle has other values, and false if a candle is
    impossible by itself.
    """

    window: TimeWindow
    what: str
    is_disagreement: bool


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The opening times of candles that agree with their coarser candle, and the disagreements."""

    agreeing: Moments
    disagreements: Sequence[Remark]


def compare(
    candles: Candles, resolution: Resolution, life: TimeWindow, coarse: Candles
) -> Comparison:
    """Compare candles, sorted by time, with the coarser ones that contain them.

    A coarser candle is compared if all candles in it that open within `life` are present. The
    highest high, the lowest low and the close must be equal, volume and cost equal within rounding,
    and the open equal if the first candle has a trade.
    """
    grid, opened_at = coarse_grid(resolution), candles.opened_at
    if grid is None or not len(opened_at) or not len(coarse):
        return Comparison(opened_at[:0], ())
    starts, firsts = np.unique(_floored(opened_at, grid), return_index=True)
    counts = np.diff(np.append(firsts, len(opened_at)))
    is_whole = counts == _openings_between(starts, resolution, grid, life)
    _, ours, theirs = np.intersect1d(
        starts[is_whole], coarse.opened_at, assume_unique=True, return_indices=True
    )
    groups = np.flatnonzero(is_whole)[ours]
    if not len(groups):
        return Comparison(opened_at[:0], ())
    own = _rolled_up(candles, firsts)
    differs = _differences(own, groups, coarse.values[theirs])
    agrees = np.zeros(len(starts), bool)
    agrees[groups[~differs.any(axis=1)]] = True
    return Comparison(
        opened_at[np.repeat(agrees, counts)],
        [
            _disagreement(
                starts[groups[n]],
                grid.step,
                differs[n],
                own.values[groups[n]],
                coarse.values[theirs[n]],
            )
            for n in np.flatnonzero(differs.any(axis=1))
        ],
    )


def are_impossible(candles: Candles, *, may_be_negative: bool) -> NDArray[np.bool_]:
    """Which candles are impossible for any sequence of trades, shape (n,).

    The low must be the lowest and the high the highest of the prices; prices must be above 0 unless
    they `may_be_negative` (combos); volume and cost must not be negative, and cost must be 0 if
    volume is 0; no absolute value may exceed MOST_PLAUSIBLE.
    """
    opens, high, low, close, volume, cost = candles.values.T
    found = (low > np.minimum(opens, close)) | (high < np.maximum(opens, close)) | (low > high)
    found |= (volume < 0) | (cost < 0) | ((cost != 0) & (volume == 0))
    found |= (np.abs(candles.values) > MOST_PLAUSIBLE).any(axis=1)
    if not may_be_negative:
        found |= low <= 0
    return np.asarray(found)


def impossible_remarks(candles: Candles, step: timedelta, *, may_be_negative: bool) -> list[Remark]:
    """A remark for each impossible candle, with its values."""
    return [
        Remark(
            TimeWindow(start := from_moment64(candles.opened_at[n]), start + step),
            f"an impossible candle at {_minute(candles.opened_at[n])}: {_text(candles.values[n])}",
            is_disagreement=False,
        )
        for n in np.flatnonzero(are_impossible(candles, may_be_negative=may_be_negative))
    ]


def merged(windows: Iterable[TimeWindow]) -> list[TimeWindow]:
    """The windows sorted by time, with adjacent and overlapping ones merged."""
    merged: list[TimeWindow] = []
    for window in sorted(windows):
        if merged and window.start <= merged[-1].end:
            merged[-1] = TimeWindow(merged[-1].start, max(merged[-1].end, window.end))
        else:
            merged.append(window)
    return merged


@dataclass(frozen=True, slots=True, eq=False)
class _RolledUp:
    """Candles aggregated from shorter ones. `traded_high` and `traded_low` leave out those that
    repeat the previous close without a trade: assumption:candles-sums allows either."""

    values: NDArray[np.float64]
    has_open: NDArray[np.bool_]
    traded_high: NDArray[np.float64]
    traded_low: NDArray[np.float64]


def _rolled_up(candles: Candles, firsts: NDArray[np.intp]) -> _RolledUp:
    values = candles.values
    lasts = np.append(firsts[1:], len(values)) - 1
    high, low, is_traded = values[:, _HIGH], values[:, _LOW], values[:, _VOLUME] != 0.0
    former_close = np.concatenate((values[:1, _OPEN], values[:-1, _CLOSE]))
    is_filler = ~is_traded & (values[:, : _CLOSE + 1] == former_close[:, None]).all(axis=1)
    return _RolledUp(
        np.column_stack(
            (
                values[firsts, _OPEN],
                np.maximum.reduceat(high, firsts),
                np.minimum.reduceat(low, firsts),
                values[lasts, _CLOSE],
                np.add.reduceat(values[:, _VOLUME], firsts),
                np.add.reduceat(values[:, _COST], firsts),
            )
        ),
        is_traded[firsts],
        np.maximum.reduceat(np.where(is_filler, -np.inf, high), firsts),
        np.minimum.reduceat(np.where(is_filler, np.inf, low), firsts),
    )


def _differences(
    own: _RolledUp, groups: NDArray[np.intp], coarse: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which values of the coarser candles differ from those of the groups, shape (n, 6)."""
    values = own.values[groups]
    is_same = np.isclose(values, coarse, rtol=_ROUNDING, atol=_ROUNDING)
    prices = slice(_OPEN, _CLOSE + 1)  # the same decimals; a double's last bit may differ
    is_same[:, prices] = np.isclose(values[:, prices], coarse[:, prices], rtol=1e-12, atol=0.0)
    is_same[:, _OPEN] |= ~own.has_open[groups]
    is_same[:, _HIGH] |= own.traded_high[groups] == coarse[:, _HIGH]
    is_same[:, _LOW] |= own.traded_low[groups] == coarse[:, _LOW]
    return ~is_same


def _floored(opened_at: Moments, grid: Grid) -> Moments:
    step = np.timedelta64(grid.step, "ms")
    anchor = np.datetime64(0, "ms") + np.timedelta64(grid.anchor, "ms")
    return anchor + (opened_at - anchor) // step * step


def _openings_between(
    starts: Moments, resolution: Resolution, grid: Grid, life: TimeWindow
) -> NDArray[np.int64]:
    """How many candles open in each coarser one that opens at `starts`, within `life`."""
    step = np.timedelta64(resolution.duration, "ms").astype(np.int64)
    first = np.maximum(starts, moment64(life.start)) - starts
    end = np.minimum(starts + np.timedelta64(grid.step, "ms"), moment64(life.end)) - starts
    before, until = (-(-part.astype(np.int64) // step) for part in (first, end))  # rounded up
    return np.asarray(until - before)


def _disagreement(
    start: np.datetime64,
    step: timedelta,
    differs: NDArray[np.bool_],
    own: NDArray[np.float64],
    coarse: NDArray[np.float64],
) -> Remark:
    opened_at = from_moment64(start)
    named = ", ".join(
        f"{name} {own[n]:.12g} and {coarse[n]:.12g}"
        for n, name in enumerate(CANDLE_VALUES)
        if differs[n]
    )
    return Remark(
        TimeWindow(opened_at, opened_at + step),
        f"the candles from {_minute(start)} and the coarser one differ: {named}",
        is_disagreement=True,
    )


def _minute(moment: np.datetime64) -> str:
    return f"{from_moment64(moment):%Y-%m-%d %H:%M}"


def _text(values: NDArray[np.float64]) -> str:
    return ", ".join(
        f"{name} {value:.12g}" for name, value in zip(CANDLE_VALUES, values, strict=True)
    )
