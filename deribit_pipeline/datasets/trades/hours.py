"""Trades compared with the exchange's own hourly candles: independent data, at one request per
5,000 hours (assumption:trades-hours).

Whether the exchange counts block trades and legs of combos in its candles is undocumented
(assumption:candles-blocks): a WAY states which are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.candles import CANDLE_VALUES, Candles
from deribit_pipeline.domain.rows import Columns, Rows, count_of, pieces_of, some_of
from deribit_pipeline.domain.specification import is_inverse
from deribit_pipeline.domain.windows import Moments

Way = tuple[bool, bool]
"""Whether block trades are counted, and whether legs of combos are."""

WAYS: tuple[Way, ...] = ((True, True), (False, True), (True, False), (False, False))

_USED = ("traded_at", "price", "amount", "block_trade_id", "combo_id")
"""The columns from which candles are made."""

_HOUR_MS, _MINUTE_MS = 3_600_000, 60_000
_OPEN, _HIGH, _LOW, _CLOSE, _VOLUMES = 0, 1, 2, 3, slice(4, None)  # of CANDLE_VALUES

# The exchange rounds each minute of an hour to this many base and quote currency units.
_ROUNDING = 32 * np.array([1e-8, 1e-4])

# The floating-point error of summing a million amounts in any order.
_SUMMING = 1e-11


@dataclass(frozen=True, slots=True)
class Kind:
    """The unit of an instrument's amounts, and whether its price may be 0 or negative."""

    is_inverse: bool
    is_combo: bool


def kind_of(instrument_name: str, kind: str) -> Kind:
    """The unit of an instrument's amounts, from its name and kind."""
    return Kind(is_inverse(instrument_name), kind.endswith("combo"))


def hour_of(times: Moments) -> NDArray[np.int64]:
    """The hour of each trade, counted from 1970."""
    hours: NDArray[np.int64] = times.astype(np.int64) // _HOUR_MS
    return hours


@dataclass(frozen=True, slots=True, eq=False)
class Hours:
    """Candles built from trades, for hours that have any. `begin_idle` flags hours whose first
    minute has no trade: the exchange opens them at the previous close."""

    candles: Candles
    begin_idle: NDArray[np.bool_]


def hourly(rows: Rows, kind: Kind, way: Way = WAYS[0]) -> Hours:
    """The hourly candles of trades sorted by number. Volumes of a combo are NaN: value divided by
    price is meaningless if the price may be 0."""
    found = [_hourly(piece, kind, way) for piece in pieces_of(rows, *_USED)]
    return found[0] if len(found) == 1 else _together(found)


def _hourly(rows: Columns, kind: Kind, way: Way) -> Hours:
    has_blocks, has_combos = way
    if not has_blocks:
        rows = some_of(rows, rows["block_trade_id"] == None)  # noqa: E711
    if not has_combos:
        rows = some_of(rows, rows["combo_id"] == None)  # noqa: E711
    if not count_of(rows):
        return Hours(Candles.none(), np.empty(0, bool))
    times, price, amount = rows["traded_at"].astype(np.int64), rows["price"], rows["amount"]
    hours = times // _HOUR_MS
    if np.any(hours[1:] < hours[:-1]):
        order = np.argsort(hours, kind="stable")
        times, hours, price, amount = times[order], hours[order], price[order], amount[order]
    firsts = np.flatnonzero(np.diff(hours, prepend=hours[0] - 1))
    lasts = np.append(firsts[1:], len(hours)) - 1
    with np.errstate(all="ignore"):  # impossible prices are reported separately
        value = amount / price if kind.is_inverse else amount * price
        base, quote = (value, amount) if kind.is_inverse else (amount, value)
        volumes = [np.add.reduceat(one, firsts) for one in (base, quote)]
    if kind.is_combo:
        volumes = [np.full(len(firsts), np.nan)] * 2
    values = np.column_stack(
        [
            price[firsts],
            np.maximum.reduceat(price, firsts),
            np.minimum.reduceat(price, firsts),
            price[lasts],
            *volumes,
        ]
    )
    opened_at = hours[firsts] * _HOUR_MS
    begin_idle = np.minimum.reduceat(times, firsts) - opened_at >= _MINUTE_MS
    return Hours(Candles(opened_at.astype("datetime64[ms]"), values), begin_idle)


def _together(found: Sequence[Hours]) -> Hours:
    """The candles of successive trades as those of all: several may be of one hour."""
    opened_at = np.concatenate([hours.candles.opened_at for hours in found])
    values = np.concatenate([hours.candles.values for hours in found])
    begin_idle = np.concatenate([hours.begin_idle for hours in found])
    order = np.argsort(opened_at, kind="stable")
    opened_at, values, begin_idle = opened_at[order], values[order], begin_idle[order]
    unique, firsts = np.unique(opened_at, return_index=True)
    if not len(unique):
        return Hours(Candles.none(), np.empty(0, bool))
    lasts = np.append(firsts[1:], len(opened_at)) - 1
    made = np.column_stack(
        [
            values[firsts, _OPEN],
            np.maximum.reduceat(values[:, _HIGH], firsts),
            np.minimum.reduceat(values[:, _LOW], firsts),
            values[lasts, _CLOSE],
            np.add.reduceat(values[:, _VOLUMES], firsts),
        ]
    )
    return Hours(Candles(unique, made), np.logical_and.reduceat(begin_idle, firsts))


def disagreeing(hours: Hours, published: Candles) -> dict[np.datetime64, str]:
    """The hours whose published candle differs from the one built from trades, sorted, and the
    difference. An hour without trades needs a candle without volume. An hour that begins idle may
    open at the previous close, which may then also be its high or low."""
    made = hours.candles
    at = np.searchsorted(made.opened_at, published.opened_at)
    is_made = at < len(made)
    is_made[is_made] = made.opened_at[at[is_made]] == published.opened_at[is_made]
    found = {
        hour: f"volume_base {volume}, and no trade"
        for hour, volume in zip(
            published.opened_at[~is_made], published.values[~is_made, _VOLUMES.start], strict=True
        )
        if volume
    }
    ours, theirs = made.values[at[is_made]], published.values[is_made]
    idle = hours.begin_idle[at[is_made]]
    unlike = ours != theirs
    opens = theirs[:, _OPEN]
    unlike[:, _OPEN] &= ~idle
    for column, furthest in ((_HIGH, np.maximum), (_LOW, np.minimum)):
        unlike[:, column] &= ~idle | (furthest(ours[:, column], opens) != theirs[:, column])
    tolerance = _ROUNDING + _SUMMING * np.abs(theirs[:, _VOLUMES])
    unlike[:, _VOLUMES] = np.abs(ours[:, _VOLUMES] - theirs[:, _VOLUMES]) > tolerance
    opened_at = published.opened_at[is_made]
    for row in np.flatnonzero(unlike.any(axis=1)).tolist():
        found[opened_at[row]] = "; ".join(
            f"{name} {theirs[row, column]}, of trades {ours[row, column]}"
            for column, name in enumerate(CANDLE_VALUES)
            if unlike[row, column]
        )
    return dict(sorted(found.items()))


def unknown_hours(rows: Rows, holes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The hours, counted from 1970, that may contain a missing trade number: from the hour of the
    trade before it to that of the trade after it."""
    if not len(holes):
        return np.empty(0, np.int64)
    hours = hour_of(rows["traded_at"])
    if not len(hours):
        return np.empty(0, np.int64)
    after = np.unique(np.searchsorted(rows["trade_seq"], holes))
    first_hour, last_hour = hours[0] // 24 * 24, hours[0] // 24 * 24 + 23
    spans = [
        np.arange(
            hours[place - 1] if place else first_hour,
            (hours[place] if place < len(hours) else last_hour) + 1,
        )
        for place in after.tolist()
    ]
    return np.unique(np.concatenate(spans))
