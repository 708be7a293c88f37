"""Trades of an instrument that need not be requested: the recorded ones, and those that were stored
before and are missing from the recording."""

import threading
from collections.abc import Sequence
from datetime import date, datetime

import numpy as np

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.trades.recorded import BESIDE, RecordedTrades
from deribit_pipeline.datasets.trades.trade_numbers import NO_TRADES, Numbers
from deribit_pipeline.domain.rows import Columns, joined_rows, some_of
from deribit_pipeline.domain.windows import (
    ONE_DAY,
    Moments,
    TimeWindow,
    day_window,
    from_moment64,
    moment64,
)
from deribit_pipeline.engine.row_reads import rows_within
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

_MILLISECOND = np.timedelta64(1, "ms")


class HeldTrades:
    """The recorded trades of contiguous days of an instrument, the stored ones that are missing
    among them, and some on either side.

    `numbers` are those of both, sorted and unique, and `times` theirs; `recorded` are those of the
    spool. A trade that counts as recorded takes precedence over a stored one: if they differ, the
    day is requested again before anything stored is replaced. Methods are thread-safe.
    """

    def __init__(
        self, recorded: RecordedTrades, warehouse: Warehouse, days: Sequence[date]
    ) -> None:
        self.recorded = recorded
        self._warehouse = warehouse
        self._name = recorded.instrument_name
        self._lock = threading.Lock()
        with warehouse.reading() as connection:
            numbers, times = _stored(connection, self._name, days)
        is_missing = ~np.isin(numbers, recorded.numbers)
        is_missing &= ~np.isin(numbers, recorded.rejected["trade_seq"])
        self._stored, self._stored_at = numbers[is_missing], times[is_missing]
        self.numbers: Numbers = recorded.numbers
        self.times: Moments = recorded.times
        if len(self._stored):
            numbers = np.concatenate((recorded.numbers, self._stored))
            order = np.argsort(numbers, kind="stable")
            self.numbers = numbers[order]
            self.times = np.concatenate((recorded.times, self._stored_at))[order]

    def rows(self, requested: range) -> Columns:
        """The held trades with these numbers, sorted by number."""
        with self._lock:
            parts = [self.recorded.rows(requested), self._stored_rows(requested)]
        rows = joined_rows(parts)
        return some_of(rows, np.argsort(rows["trade_seq"], kind="stable"))

    def count(self, requested: range) -> int:
        """How many trades with these numbers are held."""
        first, end = np.searchsorted(self.numbers, (requested.start, requested.stop))
        return int(end - first)

    def newest(self, count: int) -> Columns:
        """The last `count` held trades."""
        return self._rows_at(slice(-count, None))

    def before(self, moment: datetime, count: int, newest: int, most: int) -> Columns:
        """The last `count` held trades from before an instant, sorted by number; empty if more than
        `most` that are not held may be between these and the next held one, or the number
        `newest`."""
        place = self._first_from(moment)
        following = self.numbers[place] if place < len(self.numbers) else newest + 1
        if not place or following - self.numbers[place - 1] > most:
            return NO_TRADES
        return self._rows_at(slice(max(place - count, 0), place))

    def after(self, moment: datetime, count: int, most: int) -> Columns:
        """The first `count` held trades from an instant on, sorted by number; empty if more than
        `most` that are not held may be between these and the held one before."""
        place = self._first_from(moment)
        is_between = 0 < place < len(self.numbers)
        if not is_between or self.numbers[place] - self.numbers[place - 1] > most:
            return NO_TRADES
        return self._rows_at(slice(place, place + count))

    def _first_from(self, moment: datetime) -> int:
        """The position of the first held trade from an instant on."""
        is_after = self.times >= moment64(moment)
        return int(np.argmax(is_after)) if is_after.any() else len(self.numbers)

    def _rows_at(self, places: slice) -> Columns:
        numbers = self.numbers[places]
        rows = self.rows(range(int(numbers[0]), int(numbers[-1]) + 1))
        return some_of(rows, np.isin(rows["trade_seq"], numbers))

    def _stored_rows(self, requested: range) -> Columns:
        first, end = np.searchsorted(self._stored, (requested.start, requested.stop))
        if first == end:
            return NO_TRADES
        times = self._stored_at[first:end]
        window = TimeWindow(from_moment64(times.min()), from_moment64(times.max() + _MILLISECOND))
        with self._warehouse.reading() as connection:
            rows = rows_within(connection, TRADES, self._name, window)
        return some_of(rows, np.isin(rows["trade_seq"], self._stored[first:end]))


def held_trades(
    spool: Spool | None, warehouse: Warehouse, instrument_name: str, days: Sequence[date]
) -> HeldTrades | None:
    """What is held of contiguous days; None if nothing was recorded of them or next to them."""
    if spool is None or not spool.exists():
        return None
    recorded = RecordedTrades(spool, instrument_name, days)
    return HeldTrades(recorded, warehouse, days) if len(recorded.numbers) else None


def _stored(
    connection: Connection, instrument_name: str, days: Sequence[date]
) -> tuple[Numbers, Moments]:
    """The numbers, sorted, and the times of the stored trades of the days, and of up to BESIDE
    more of the day before and of the day after."""
    start, end = day_window(days[0]).start, day_window(days[-1]).end
    query = """
        select trade_seq, epoch_ms(traded_at) as traded_ms from trades
        where instrument_name = $name and traded_at >= $start and traded_at < $end
        order by trade_seq {}
    """
    found = [
        connection.execute(
            query.format(which), {"name": instrument_name, "start": first, "end": until}
        ).fetchnumpy()
        for first, until, which in (
            (start - ONE_DAY, start, f"desc limit {BESIDE}"),
            (start, end, ""),
            (end, end + ONE_DAY, f"limit {BESIDE}"),
        )
    ]
    numbers = np.concatenate([np.asarray(each["trade_seq"]) for each in found]).astype(np.int64)
    times = np.concatenate([np.asarray(each["traded_ms"]) for each in found]).astype(np.int64)
    order = np.argsort(numbers)
    return numbers[order], times[order].astype("datetime64[ms]")
