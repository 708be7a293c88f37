"""The newest recorded trades of one instrument, of which the warehouse may have none yet.

Only the files of the hours that may have them are read, and of these only the frames that name the
instrument: a few minutes are read in less than a second, however long the day is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deribit_pipeline.datasets.trades.recorded import batches, consistent, trade_stream, trades_of
from deribit_pipeline.datasets.trades.trade_numbers import NO_TRADES
from deribit_pipeline.datasets.trades.values import JITTER, impossible
from deribit_pipeline.datasets.trades.wire import parsed_trades
from deribit_pipeline.domain.rows import Columns, joined_rows, some_of
from deribit_pipeline.domain.specification import kind_of
from deribit_pipeline.domain.windows import TimeWindow, day_window, from_moment64, moment64
from deribit_pipeline.errors import SpoolError
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import (
    ALIVE,
    FRAME,
    RESPONSE,
    Damage,
    Entry,
    read_entries,
)

_HOUR = timedelta(hours=1)

# How long before the window its last earlier trade is looked for at first, and how much later than
# it was traded a trade may be received.
_BEFORE = timedelta(minutes=1)
_LATE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, eq=False)
class RecordedTail:
    """Recorded trades of an instrument, sorted by number: those of a window, and some on either
    side of it, which show whether numbers are missing at its ends.

    Trades of which copies differ, or that are impossible or of a notification without a possible
    time, are left out: a backfill requests them.
    Until `known_until` every trade is recorded but those whose numbers are missing; None if nothing
    shows that anything is.
    """

    rows: Columns
    known_until: datetime | None


def recorded_tail(
    spool: Spool, instrument_name: str, window: TimeWindow, back_to: datetime
) -> RecordedTail:
    """The trades of a window that the spool has. Its last earlier trade is looked for until
    `back_to`.

    Raises SpoolError if a file cannot be read, or was removed meanwhile because its day was stored.
    """
    files = _files_by_hour(spool, trade_stream(instrument_name))
    first = _hour_of(window.start - _BEFORE)
    hours = [hour for hour in files if first <= hour <= _latest(window)]
    tail = _Tail(instrument_name, window.start - _BEFORE)
    rows = tail.read([file for hour in hours for file in files[hour]])
    for hour in sorted((hour for hour in files if hour <= window.start), reverse=True):
        if hour + _HOUR <= back_to or (rows["traded_at"] < moment64(window.start)).any():
            break
        earlier = _Tail(instrument_name, hour).read(files[hour])
        rows = joined_rows([earlier, rows])
    valid, rejected = consistent(rows)
    is_wrong = impossible(valid, is_combo=kind_of(instrument_name).endswith("combo"))
    rejected = joined_rows([rejected, some_of(valid, is_wrong)])
    valid, known_until = some_of(valid, ~is_wrong), tail.known_until
    last = valid["trade_seq"].max(initial=0)
    unknown = rejected["traded_at"][rejected["trade_seq"] > last]  # no later number shows these
    if known_until is not None and len(unknown):
        known_until = min(known_until, from_moment64(unknown.min()) - JITTER.item())
    return RecordedTail(valid, known_until)


class _Tail:
    """Reads the frames since an instant that name an instrument."""

    def __init__(self, instrument_name: str, since: datetime) -> None:
        self._name = instrument_name
        self._since = since
        self._newest: datetime | None = None
        self._is_unbroken = True
        self._damage = Damage()
        self._damaged_places = 0

    @property
    def known_until(self) -> datetime | None:
        """Until when all trades were received: trades are not sorted by time over shorter distances
        than JITTER."""
        return None if self._newest is None else self._newest - JITTER.item()

    def read(self, files: Sequence[Path]) -> Columns:
        """The trades, as often as they were received."""
        parts = [NO_TRADES]
        for batch in batches(self._trades(files)):
            parts.append(parsed_trades(batch, self._name)[0])
        return joined_rows(parts)

    def _trades(self, files: Sequence[Path]) -> Iterator[dict[str, Any]]:
        named = f'"{self._name}"'.encode()
        for file in files:
            try:
                for entry in read_entries(file, self._damage):
                    is_named = entry.event == FRAME and named in entry.body
                    self._note(entry, is_named)
                    if is_named and entry.as_of is not None and entry.as_of >= self._since:
                        yield from trades_of(entry.body, self._name, [])
            except FileNotFoundError as error:
                raise SpoolError(
                    f"{file} was removed while it was read, because its day was stored: read again."
                ) from error

    def _note(self, entry: Entry, is_named: bool) -> None:
        """Trades that are missed between two connections, were not written, cannot be read or have
        a wrong time are shown by the number of the next one only."""
        is_damaged = self._damage.places > self._damaged_places
        self._damaged_places = self._damage.places
        if is_damaged or entry.event not in (FRAME, ALIVE, RESPONSE):
            self._is_unbroken = False
        if is_named:
            self._is_unbroken = entry.as_of is not None
        if self._is_unbroken and entry.as_of is not None:
            self._newest = max(self._newest or entry.as_of, entry.as_of)


def _files_by_hour(spool: Spool, stream: str) -> dict[datetime, list[Path]]:
    return {
        day_window(day).start + hour * _HOUR: files
        for day in spool.days(stream)
        for hour, files in sorted(spool.hours(stream, day).items())
    }


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _latest(window: TimeWindow) -> datetime:
    return window.end + _LATE
