"""An invented market: any minute of any instrument, the same in every process.

Quiet minutes have no trade. One-minute candles are made of the trades; coarser ones are rolled up
from the minutes.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.sandbox.drivers import DAY as DAY
from deribit_pipeline.sandbox.drivers import DAYS, FIRST_DAY, Floats, Ticks, seed_of
from deribit_pipeline.sandbox.drivers import EIGHT_HOURS as EIGHT_HOURS
from deribit_pipeline.sandbox.drivers import MINUTE as MINUTE
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.plans import Busy, level_of, plan_of
from deribit_pipeline.sandbox.rush import Rush
from deribit_pipeline.sandbox.tape import Plan, Tape, on_ticks, tape_of, tick_directions, times_of


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Candles: `ticks` in UTC milliseconds; `values` are open, high, low, close, volume, cost."""

    ticks: Ticks
    values: Floats

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> "Rows":
        return Rows(self.ticks[rows], self.values[rows])


class Market:
    """The history of one instrument; `trades_per_minute` is the usual number in a traded minute,
    and `rush` adds to it for a while."""

    def __init__(
        self, listing: Listing, trades_per_minute: float = 2.0, rush: Rush | None = None
    ) -> None:
        self.listing, self._rush = listing, rush
        self._first = max(listing.created_ms // DAY, FIRST_DAY)
        days = min(listing.expires_ms // DAY + 1, FIRST_DAY + DAYS) - self._first
        # The numbers of traded minutes and of trades per day are decided first: so a trade's
        # number determines its day without generating earlier days.
        rng = np.random.default_rng(seed_of(f"{listing.instrument_name} trades"))
        midnights = np.arange(self._first, self._first + days, dtype=np.int64) * 1_440
        self._opens = np.clip(listing.created_ms // MINUTE - midnights, 0, 1_440)
        self._closes = np.clip(listing.expires_ms // MINUTE - midnights, self._opens, 1_440)
        self._traded_minutes = rng.binomial(self._closes - self._opens, listing.activity)
        self._trades = np.round(self._traded_minutes * max(trades_per_minute, 1.0)).astype(np.int64)
        self._planned = functools.lru_cache(maxsize=16)(self._plan_of)
        published = self._trades.copy()
        for day in rush.days() if rush else ():
            if 0 <= day - self._first < days:
                published[day - self._first] = self._planned(day).trades.sum()
        self._trades_before = np.concatenate(([0], np.cumsum(published)))
        self.minutes_of_day = functools.lru_cache(maxsize=16)(self._minutes_of_day)
        self.tape_of_day = functools.lru_cache(maxsize=4)(self._tape_of_day)
        self.times_of_day = functools.lru_cache(maxsize=4)(self._times_of_day)
        self.publications_of_day = functools.lru_cache(maxsize=4)(self._publications_of_day)
        self.directions_of_day = functools.lru_cache(maxsize=4)(self._directions_of_day)

    def minutes(self, start: int, end: int) -> Rows:
        """The one-minute candles that open in [start, end), while the instrument is listed."""
        start = max(start, self.listing.created_ms // MINUTE * MINUTE)
        end = min(end, self.listing.expires_ms)
        if start >= end:
            return Rows(np.empty(0, np.int64), np.empty((0, 6)))
        days = [self.minutes_of_day(day) for day in range(start // DAY, -(-end // DAY))]
        ticks = np.concatenate([day.ticks for day in days])
        first, last = np.searchsorted(ticks, [start, end])
        return Rows(ticks, np.concatenate([day.values for day in days]))[first:last]

    def unfinished(self, minute: int, now: int) -> Floats:
        """The candle that opened at `minute`, made of the trades up to `now`."""
        day = minute // DAY
        so_far = self.tape_of_day(day).until(self.published_of_day(day, now))
        plan = self._planned(day)
        if len(so_far) and day * DAY + plan.minutes[len(so_far.firsts) - 1] * MINUTE >= minute:
            candle: Floats = so_far.candles(self.listing)[-1]
            return candle
        close = so_far.price[-1] if len(so_far) else self._close_before(day)
        return np.array([close] * 4 + [0.0, 0.0])

    def published_of_day(self, day: int, now: int) -> int:
        """The number of trades of a day at `now`: those before the first later one."""
        return int(np.searchsorted(self.publications_of_day(day), now, side="right"))

    def number_of(self, day: int) -> int:
        """The number of the first trade of a day, counted from 1 at the listing."""
        return int(self._trades_before[min(max(day - self._first, 0), len(self._trades))]) + 1

    def day_of(self, number: int) -> int:
        """The day of the trade with this number."""
        return int(np.searchsorted(self._trades_before, number - 1, side="right")) - 1 + self._first

    def _tape_of_day(self, day: int) -> Tape:
        rng = np.random.default_rng(seed_of(f"{self.listing.instrument_name} {day} trades"))
        return tape_of(self.listing, self._planned(day), rng)

    def _times_of_day(self, day: int) -> Ticks:
        rng = np.random.default_rng(seed_of(f"{self.listing.instrument_name} {day} times"))
        return times_of(self.listing, day * DAY, self._planned(day), rng)

    def _publications_of_day(self, day: int) -> Ticks:
        """When each trade of a day is published: in the order of the numbers, so that one whose
        number follows a later trade's is published with that."""
        times: Ticks = np.maximum.accumulate(self.times_of_day(day))
        return times

    def _directions_of_day(self, day: int) -> Ticks:
        return tick_directions(self.tape_of_day(day).price)

    def _minutes_of_day(self, day: int) -> Rows:
        plan = self._planned(day)
        values = np.zeros((1_440, 6))
        values[plan.minutes] = self.tape_of_day(day).candles(self.listing)
        # Without a trade, the exchange repeats the last traded close with nothing traded.
        is_traded = np.zeros(1_440, bool)
        is_traded[plan.minutes] = True
        last_traded = np.maximum.accumulate(np.where(is_traded, np.arange(1_440), -1))
        filler = np.where(last_traded < 0, self._close_before(day), values[last_traded, 3])
        values[~is_traded, :4] = filler[~is_traded, None]
        ticks = day * DAY + np.arange(1_440, dtype=np.int64) * MINUTE
        return Rows(ticks, values)

    def last_before(self, day: int) -> float | None:
        """The price of the last trade before a day; None before the first trade."""
        traded = np.flatnonzero(self._traded_minutes[: max(day - self._first, 0)])
        if not len(traded):
            return None
        return float(self.tape_of_day(int(traded[-1]) + self._first).price[-1])

    def _close_before(self, day: int) -> float:
        """The price of the last trade before a day; before the first trade, approximately its
        price."""
        last = self.last_before(day)
        if last is not None:
            return last
        begin = np.array([max(day * DAY, self.listing.created_ms)])
        return float(np.round(on_ticks(self.listing, level_of(self.listing, begin)), 8)[0])

    def _plan_of(self, day: int) -> Plan:
        number, busy, trades = day - self._first, Busy(0, 1_440, 1_440), 0
        if 0 <= number < len(self._trades):
            columns = (self._traded_minutes, self._opens, self._closes)
            busy = Busy(*(int(column[number]) for column in columns))
            trades = int(self._trades[number])
        plan = plan_of(self.listing, day, busy, trades)
        return self._rush.added_to(plan, day) if self._rush else plan


def rolled_up(minutes: Rows, step: int, anchor: int) -> Rows:
    """One-minute candles as candles of `step` milliseconds that open at `anchor` and every step."""
    if not len(minutes.ticks) or step == MINUTE:
        return minutes
    opened = (minutes.ticks - anchor) // step * step + anchor
    firsts = np.flatnonzero(np.diff(opened, prepend=opened[0] - step))
    lasts = np.append(firsts[1:], len(opened)) - 1
    values = minutes.values
    columns = (
        values[firsts, 0],
        np.maximum.reduceat(values[:, 1], firsts),
        np.minimum.reduceat(values[:, 2], firsts),
        values[lasts, 3],
        np.round(np.add.reduceat(values[:, 4], firsts), 8),
        np.round(np.add.reduceat(values[:, 5], firsts), 6),
    )
    return Rows(opened[firsts], np.column_stack(columns))
