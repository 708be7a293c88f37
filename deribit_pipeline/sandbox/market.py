"""An invented market: any minute of any instrument, the same in every process.

Volatility clusters from day to day and within a day, and quiet minutes have no trade. One-minute
candles are made of the trades; coarser ones are rolled up from the minutes.
"""

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.tape import MINUTE as MINUTE
from deribit_pipeline.sandbox.tape import Plan, Tape, is_in_base, tape_of, tick_directions, times_of

DAY = 1_440 * MINUTE
EIGHT_HOURS = 8 * 60 * MINUTE

Floats = NDArray[np.float64]
Ticks = NDArray[np.int64]

_FIRST_DAY = 16_801  # 2016-01-01, in days since 1970
_DAYS = 20 * 366
_PRICED_DAY = 19_723  # 2024-01-01: listings state their price of that day


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Candles: `ticks` in UTC milliseconds; `values` are open, high, low, close, volume, cost."""

    ticks: Ticks
    values: Floats

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> "Rows":
        return Rows(self.ticks[rows], self.values[rows])


class Market:
    """The history of one instrument; `trades_per_minute` is the usual number in a traded minute."""

    def __init__(self, listing: Listing, trades_per_minute: float = 2.0) -> None:
        self.listing = listing
        self._levels, self._volatilities = _daily_path(listing)
        # The numbers of traded minutes and of trades per day are decided first: so a trade's
        # number determines its day without generating earlier days.
        rng = np.random.default_rng(_seed(f"{listing.instrument_name} trades"))
        midnights = np.arange(_FIRST_DAY, _FIRST_DAY + _DAYS, dtype=np.int64) * 1_440
        self._opens = np.clip(listing.created_ms // MINUTE - midnights, 0, 1_440)
        self._closes = np.clip(listing.expires_ms // MINUTE - midnights, self._opens, 1_440)
        self._traded_minutes = rng.binomial(self._closes - self._opens, listing.activity)
        self._trades = np.round(self._traded_minutes * max(trades_per_minute, 1.0)).astype(np.int64)
        self._trades_before = np.concatenate(([0], np.cumsum(self._trades)))
        self._planned = functools.lru_cache(maxsize=16)(self._plan_of)
        self.minutes_of_day = functools.lru_cache(maxsize=16)(self._minutes_of_day)
        self.tape_of_day = functools.lru_cache(maxsize=4)(self._tape_of_day)
        self.times_of_day = functools.lru_cache(maxsize=4)(self._times_of_day)
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

    def level(self, moments: Ticks) -> Floats:
        """The approximate price at moments, interpolated between midnights."""
        days = (moments / DAY) - _FIRST_DAY
        return np.exp(np.interp(days, np.arange(_DAYS + 1), self._levels))

    def unfinished(self, minute: int, now: int) -> Floats:
        """The candle that opened at `minute`, made of the trades up to `now`."""
        day = minute // DAY
        so_far = self.tape_of_day(day).until(self.published_of_day(day, now))
        plan = self._planned(day)[0]
        if len(so_far) and day * DAY + plan.minutes[len(so_far.firsts) - 1] * MINUTE >= minute:
            candle: Floats = so_far.candles(self.listing)[-1]
            return candle
        close = so_far.price[-1] if len(so_far) else self._close_before(day)
        return np.array([close] * 4 + [0.0, 0.0])

    def published_of_day(self, day: int, now: int) -> int:
        """The number of trades of a day at `now`: those before the first later one."""
        times = np.maximum.accumulate(self.times_of_day(day))
        return int(np.searchsorted(times, now, side="right"))

    def number_of(self, day: int) -> int:
        """The number of the first trade of a day, counted from 1 at the listing."""
        return int(self._trades_before[day - _FIRST_DAY]) + 1

    def day_of(self, number: int) -> int:
        """The day of the trade with this number."""
        return int(np.searchsorted(self._trades_before, number - 1, side="right")) - 1 + _FIRST_DAY

    def _tape_of_day(self, day: int) -> Tape:
        rng = np.random.default_rng(_seed(f"{self.listing.instrument_name} {day} trades"))
        return tape_of(self.listing, self._planned(day)[0], rng)

    def _times_of_day(self, day: int) -> Ticks:
        rng = np.random.default_rng(_seed(f"{self.listing.instrument_name} {day} times"))
        return times_of(self.listing, day * DAY, self._planned(day)[0], rng)

    def _directions_of_day(self, day: int) -> Ticks:
        return tick_directions(self.tape_of_day(day).price)

    def _minutes_of_day(self, day: int) -> Rows:
        plan = self._planned(day)[0]
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

    def _close_before(self, day: int) -> float:
        """The price of the last trade before a day; before the first trade, approximately its
        price."""
        traded = np.flatnonzero(self._traded_minutes[: day - _FIRST_DAY])
        if len(traded):
            return float(self.tape_of_day(int(traded[-1]) + _FIRST_DAY).price[-1])
        return self._planned(day)[1]

    def _plan_of(self, day: int) -> tuple[Plan, float]:
        """The minutes of a day that have trades, and its approximate open."""
        listing = self.listing
        rng = np.random.default_rng(_seed(f"{listing.instrument_name} {day}"))
        number = day - _FIRST_DAY
        start, end = self._levels[number], self._levels[number + 1]

        volatility = np.exp(np.cumsum(rng.normal(0, 0.04, 1_440)))
        volatility *= 1 + 0.5 * np.sin(np.linspace(0, 2 * np.pi, 1_440) - 2.2)  # busy afternoons
        volatility /= np.sqrt(np.mean(volatility**2))
        moves = rng.normal(0, self._volatilities[number] / np.sqrt(1_440), 1_440) * volatility
        path = np.cumsum(moves)
        path += np.linspace(0, end - start - path[-1], 1_440)  # ends at tomorrow's level

        spread = self._volatilities[number] / np.sqrt(1_440) * volatility
        close = np.exp(start + path)
        opened = np.concatenate(([np.exp(start)], close[:-1])) * (
            1 + rng.normal(0, 0.1, 1_440) * spread
        )
        reach = np.abs(rng.normal(0, 0.6, (2, 1_440))) * spread
        high = np.maximum(opened, close) * (1 + reach[0])
        low = np.minimum(opened, close) * (1 - reach[1])
        prices = np.stack([opened, high, low, close])
        prices = np.maximum(np.round(prices / listing.tick_size), 1) * listing.tick_size

        minutes = self._busy_minutes(day, rng.random(1_440) ** np.clip(volatility, 0.3, 3))
        turnover = rng.lognormal(np.log(listing.turnover), 1.1, 1_440) * volatility**1.5
        turnover = turnover[minutes]
        value = 1.0 if not is_in_base(listing) else prices[:, minutes].mean(axis=0)
        trades = _shares(int(self._trades[number]), np.sqrt(turnover))
        contracts = np.round(turnover / value / listing.min_trade_amount).astype(np.int64)
        plan = Plan(minutes, prices[:, minutes], trades, np.maximum(contracts, trades))
        return plan, float(np.round(prices[0, 0], 8))

    def _busy_minutes(self, day: int, idleness: Floats) -> Ticks:
        """Which minutes of a day have trades: the least idle ones, and the first of the day or
        of the listing, so that no day's candles depend on another day's."""
        number = day - _FIRST_DAY
        idleness[self._opens[number] : self._opens[number] + 1] = -1.0
        idleness[: self._opens[number]] = idleness[self._closes[number] :] = np.inf
        return np.sort(np.argsort(idleness)[: self._traded_minutes[number]])


def _shares(total: int, weights: Floats) -> Ticks:
    """The total distributed by weight, at least one to each."""
    reached = np.floor(np.cumsum(weights) / weights.sum() * (total - len(weights)) + 0.5)
    shares: Ticks = 1 + np.diff(reached, prepend=0.0).astype(np.int64)
    return shares


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


def _daily_path(listing: Listing) -> tuple[Floats, Floats]:
    """The logarithm of the price at each midnight, and each day's volatility (GARCH(1, 1)).

    Prices are pulled back to the listing's, so that decades stay plausible.
    """
    rng = np.random.default_rng(_seed(listing.instrument_name))
    shocks = rng.standard_normal(_DAYS)
    levels, volatilities = np.zeros(_DAYS + 1), np.zeros(_DAYS)
    usual = 0.033
    variance = usual**2
    for day, shock in enumerate(shocks):
        volatilities[day] = np.sqrt(variance)
        move = volatilities[day] * shock
        levels[day + 1] = 0.997 * levels[day] + move
        variance = 0.04 * usual**2 + 0.10 * move**2 + 0.86 * variance
    levels += np.log(listing.price) - levels[_PRICED_DAY - _FIRST_DAY]
    return levels, volatilities


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
