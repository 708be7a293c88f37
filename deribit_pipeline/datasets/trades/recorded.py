"""The recorded trades of one instrument: what the frames in the spool hold of it, by number.

Frames are in the spool as they were received: repeated, out of order, with holes. They are assumed
to have the values that requests return later (assumption:socket-trades). A trade counts as recorded
if all of its copies are equal and none of its values is impossible; any other is requested.
"""

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from deribit_pipeline.datasets.trades.trade_numbers import NO_TRADES, Numbers
from deribit_pipeline.datasets.trades.values import MARGIN, impossible, unique_rows
from deribit_pipeline.datasets.trades.wire import parsed_trades
from deribit_pipeline.domain.rows import Columns, count_of, differences, joined_rows, some_of
from deribit_pipeline.domain.specification import kind_and_currency, kind_of
from deribit_pipeline.domain.windows import ONE_DAY, Moments
from deribit_pipeline.spool.folder import Spool, stream_of
from deribit_pipeline.spool.spool_entries import FRAME, Damage, read_entries

logger = logging.getLogger(__name__)

BESIDE = 2 * MARGIN + 2
"""How many trades of the days next to them are read, if as many were recorded: those that a plan
requests on either side, and one more."""

# Frames are parsed in batches of about this many trades: as JSON they take ten times the memory of
# columns.
_TOGETHER = 5_000

# This many trades are kept in memory, or those of the hour that was read last.
_MOST_HELD = 100_000


def trade_stream(instrument_name: str) -> str:
    """The stream of the spool that has an instrument's trades: `trades/future.BTC` for
    BTC-PERPETUAL."""
    return stream_of("trades", kind_and_currency(instrument_name))


@dataclass(slots=True, eq=False)
class _Hour:
    """The files of an hour, and the numbers of their trades that count as recorded."""

    files: Sequence[Path]
    numbers: Numbers


class RecordedTrades:
    """The trades of an instrument that were recorded on these contiguous days, and BESIDE of the
    day before and of the day after if there are as many.

    `numbers` are those of the recorded trades, sorted and unique, and `times` theirs. `rejected`
    are the copies of trades that do not count as recorded, because they differ from each other or
    are impossible; several may have one number.

    Numbers and times are kept in memory, the trades of about an hour only: its files are read again
    when others are needed. Damaged places of files, and trades that cannot be parsed, are skipped
    and logged. A trade is in the files of the hour in which it was received.
    """

    def __init__(self, spool: Spool, instrument_name: str, days: Sequence[date]) -> None:
        self.instrument_name = instrument_name
        self._is_combo = kind_of(instrument_name).endswith("combo")
        self._hours: list[_Hour] = []
        self._held = OrderedDict[int, Columns]()
        self.numbers: Numbers = NO_TRADES["trade_seq"]
        self.times: Moments = NO_TRADES["traded_at"]
        self.rejected: Columns = NO_TRADES
        stream, damage, malformed = trade_stream(instrument_name), Damage(), list[str]()
        hours = [
            (day, files)
            for day in spool.days(stream)
            if days[0] - ONE_DAY <= day <= days[-1] + ONE_DAY
            for _, files in sorted(spool.hours(stream, day).items())
        ]
        start, end = np.datetime64(days[0], "ms"), np.datetime64(days[-1] + ONE_DAY, "ms")
        self._window = start, end
        for day, files in hours:
            is_enough = day > days[-1] and np.count_nonzero(self.times >= end) >= BESIDE
            if day >= days[0] and not is_enough:
                self._add(files, damage, malformed)
        for day, files in reversed(hours):
            if day < days[0] and np.count_nonzero(self.times < start) < BESIDE:
                self._add(files, damage, malformed)
        self._log(damage, malformed)

    @property
    def on_its_days(self) -> Numbers:
        """The numbers of the recorded trades of the days themselves."""
        start, end = self._window
        return self.numbers[(self.times >= start) & (self.times < end)]

    def rows(self, requested: range) -> Columns:
        """The recorded trades with these numbers, sorted by number."""
        first, end = np.searchsorted(self.numbers, (requested.start, requested.stop))
        return self._rows_with(self.numbers[first:end])

    def _rows_with(self, numbers: Numbers) -> Columns:
        found = [NO_TRADES]
        for place, hour in enumerate(self._hours):
            if np.isin(numbers, hour.numbers, assume_unique=True).any():
                rows = self._rows_of(place)
                found.append(some_of(rows, np.isin(rows["trade_seq"], numbers)))
        return unique_rows(joined_rows(found))

    def _rows_of(self, place: int) -> Columns:
        """The trades of an hour that count as recorded."""
        hour = self._hours[place]
        if place not in self._held:
            self._hold(place, unique_rows(self._read(hour.files, Damage(), [])))
        self._held.move_to_end(place)
        rows = self._held[place]
        if count_of(rows) == len(hour.numbers):
            return rows
        return some_of(rows, np.isin(rows["trade_seq"], hour.numbers))

    def _hold(self, place: int, rows: Columns) -> None:
        self._held[place] = rows
        while len(self._held) > 1 and sum(map(count_of, self._held.values())) > _MOST_HELD:
            self._held.popitem(last=False)

    def _add(self, files: Sequence[Path], damage: Damage, malformed: list[str]) -> None:
        """Take in the files of an hour."""
        rows, rejected = consistent(self._read(files, damage, malformed))
        wrong = impossible(rows, is_combo=self._is_combo)
        wrong |= np.isin(rows["trade_seq"], self.rejected["trade_seq"])
        rejected = joined_rows([rejected, some_of(rows, wrong)])
        rows = some_of(rows, ~wrong)
        is_shared = np.isin(rows["trade_seq"], self.numbers)
        if is_shared.any():
            again, rows = some_of(rows, is_shared), some_of(rows, ~is_shared)
            is_unlike = differences(again, self._rows_with(again["trade_seq"]))
            rejected = joined_rows([rejected, some_of(again, is_unlike)])
        self._hours.append(_Hour(files, rows["trade_seq"]))
        self._hold(len(self._hours) - 1, rows)
        self._count(rows)
        if count_of(rejected):
            self._reject(rejected)

    def _count(self, rows: Columns) -> None:
        numbers = np.concatenate((self.numbers, rows["trade_seq"]))
        order = np.argsort(numbers, kind="stable")
        self.numbers = numbers[order]
        self.times = np.concatenate((self.times, rows["traded_at"]))[order]

    def _reject(self, copies: Columns) -> None:
        """These copies do not count as recorded, nor do others with their numbers."""
        numbers = np.unique(copies["trade_seq"])
        for place, hour in enumerate(self._hours):
            is_rejected = np.isin(hour.numbers, numbers)
            if is_rejected.any():
                rows = self._rows_of(place)
                others = some_of(rows, np.isin(rows["trade_seq"], numbers))
                copies = joined_rows([copies, others])
                hour.numbers = hour.numbers[~is_rejected]
        is_kept = ~np.isin(self.numbers, numbers)
        self.numbers, self.times = self.numbers[is_kept], self.times[is_kept]
        self.rejected = joined_rows([self.rejected, copies])

    def _read(self, files: Iterable[Path], damage: Damage, malformed: list[str]) -> Columns:
        """The trades in the frames of files, sorted by number, with all of their copies."""
        parts = [NO_TRADES]
        for batch in batches(_trades_in(files, self.instrument_name, damage, malformed)):
            columns, others = parsed_trades(batch, self.instrument_name)
            parts.append(columns)
            malformed += [each.reason for each in others]
        rows = joined_rows(parts)
        return some_of(rows, np.argsort(rows["trade_seq"], kind="stable"))

    def _log(self, damage: Damage, malformed: Sequence[str]) -> None:
        if damage.places:
            logger.warning(
                "%d damaged places of the recorded trades of %s were skipped, %d bytes",
                damage.places, self.instrument_name, damage.skipped,
            )  # fmt: skip
        if malformed:
            logger.warning(
                "%d recorded trades of %s cannot be read and are requested: %s",
                len(malformed), self.instrument_name, malformed[0],
            )  # fmt: skip
        if count_of(self.rejected):
            logger.warning(
                "%d recorded copies of trades of %s differ or are impossible, and their trades are "
                "requested, such as number %d",
                count_of(self.rejected), self.instrument_name, self.rejected["trade_seq"][0],
            )  # fmt: skip


def _trades_in(
    files: Iterable[Path], instrument_name: str, damage: Damage, malformed: list[str]
) -> Iterator[dict[str, Any]]:
    """The trades of an instrument in the frames of files, as they were received."""
    named = f'"{instrument_name}"'.encode()
    for file in files:
        with contextlib.suppress(FileNotFoundError):  # taken in by another process meanwhile
            for entry in read_entries(file, damage):
                if entry.event == FRAME and named in entry.body:
                    yield from trades_of(entry.body, instrument_name, malformed)


def trades_of(body: bytes, instrument_name: str, malformed: list[str]) -> Iterator[dict[str, Any]]:
    """The trades of an instrument in a notification; a malformed one is added to `malformed`."""
    try:
        for trade in orjson.loads(body)["params"]["data"]:
            if trade["instrument_name"] == instrument_name:
                yield trade
    except (ValueError, KeyError, TypeError) as error:
        malformed.append(f"not a notification of trades: {error!r}")


def batches(trades: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The trades in lists that are small enough to be parsed; the last one may be empty."""
    batch: list[dict[str, Any]] = []
    for trade in trades:
        batch.append(trade)
        if len(batch) == _TOGETHER:
            yield batch
            batch = []
    yield batch


def consistent(rows: Columns) -> tuple[Columns, Columns]:
    """The trades of which all copies are equal, each once, sorted by number; and all copies of the
    others."""
    rows = some_of(rows, np.argsort(rows["trade_seq"], kind="stable"))
    numbers = rows["trade_seq"]
    again = np.flatnonzero(np.diff(numbers) == 0) + 1
    is_unlike = differences(some_of(rows, again), some_of(rows, again - 1))
    is_contradicted = np.isin(numbers, numbers[again[is_unlike]])
    return unique_rows(some_of(rows, ~is_contradicted)), some_of(rows, is_contradicted)
