"""Recorded trades that the warehouse does not have yet, in a temporary table of the connection on
which its rows are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.trades.recorded import trade_stream
from deribit_pipeline.datasets.trades.recorded_tail import recorded_tail
from deribit_pipeline.datasets.trades.trade_numbers import Numbers
from deribit_pipeline.domain.rows import Columns, count_of
from deribit_pipeline.domain.windows import ONE_DAY, Moments, TimeWindow, day_window, moment64
from deribit_pipeline.engine.incoming_rows import as_stored, readable
from deribit_pipeline.engine.row_reads import columns_of
from deribit_pipeline.engine.selected_series import (
    SelectedRows,
    is_open_without_gaps,
    newest_row,
    proofs_within,
)
from deribit_pipeline.errors import InputError
from deribit_pipeline.exchange.session import spool_of
from deribit_pipeline.reader.frame_kinds import Place
from deribit_pipeline.reader.reading import MISSING
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.variables import variables
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

Recorded: TypeAlias = bool | Place
"""Whether recorded trades are read too: from the spool of the settings, or from another one."""

RECORDED_TRADES = "recorded_trades"
"""The temporary table: as `trades`, without those that the warehouse has."""

_OF_SERIES = "instrument_name = $series"


@dataclass(frozen=True, slots=True)
class Hole:
    """Trades that are missing, by number, and the times of the trades before and after them."""

    numbers: range
    before: np.datetime64
    after: np.datetime64

    def __str__(self) -> str:
        first, last = self.numbers[0], self.numbers[-1]
        return f"{first}" if first == last else f"{first} to {last}"


@dataclass(frozen=True, slots=True)
class RecordedPart:
    """What is recorded of the part of a window that is not proved, which begins at `since`.

    Until `known_until` no trade is missing but those of the `holes`, which are numbers missing
    among the stored and recorded trades; None if nothing shows that none is. Trades before
    `first_known` may be missing too, because no earlier number is known; None if one is.
    """

    since: datetime
    known_until: datetime | None = None
    holes: Sequence[Hole] = ()
    first_known: np.datetime64 | None = None

    @property
    def notes(self) -> dict[str, object]:
        """Attributes of the frame."""
        until = None if self.known_until is None else self.known_until.isoformat(sep=" ")
        return {"recorded_until": until, MISSING: [str(hole) for hole in self.holes]}


def require_unproved(recorded: Recorded, *, complete_only: bool) -> None:
    """Raise InputError if recorded trades are wanted where only proved rows are."""
    if not isinstance(recorded, bool | str | os.PathLike):
        raise InputError(f"recorded must be True, or the folder of a spool, was {recorded!r}.")
    if recorded is not False and complete_only:
        raise InputError(
            "Recorded trades are not proved until a backfill takes them in: read them with "
            "complete_only=False, and the column is_proved distinguishes them."
        )


def unproved_days(found: SelectedRows) -> list[date]:
    """The days whose stored rows are not proved: of an open day without gaps they are."""
    open_days = {proof.day for proof in found.proofs if is_open_without_gaps(proof)}
    return [day for day in found.incomplete if day not in open_days]


def load_recorded(
    connection: Connection,
    warehouse: Warehouse,
    recorded: Recorded,
    instrument_name: str,
    window: TimeWindow,
) -> RecordedPart:
    """Add the recorded trades of a window to the temporary table, and a few before and after it.

    Raises InputError if nothing was ever recorded of such an instrument, SettingsError if the spool
    is another environment's.
    """
    connection.execute(
        f"create temp table if not exists {RECORDED_TRADES} as from {TRADES.table.name} limit 0"
    )
    spool = _spool_beside(warehouse, recorded)
    _require_recordings(spool, instrument_name)
    stored_until, is_proved = _stored_until(connection, instrument_name, window)
    since = max(window.start, stored_until)
    if since >= window.end:
        return RecordedPart(since, since)
    part = TimeWindow(since, window.end)
    tail = recorded_tail(spool, instrument_name, part, stored_until)
    known_until = tail.known_until
    if is_proved and since == stored_until:
        known_until = max(since, known_until or since)
    _insert(connection, instrument_name, tail.rows)
    numbers, times = _stored(connection, instrument_name, part)
    numbers = np.concatenate((numbers, tail.rows["trade_seq"]))
    times = np.concatenate((times, tail.rows["traded_at"]))
    if is_proved and not (times < moment64(since)).any():
        former_number, former_time = _newest_before(connection, instrument_name, since)
        numbers = np.concatenate((former_number, numbers))
        times = np.concatenate((former_time, times))
    numbers, firsts = np.unique(numbers, return_index=True)
    return RecordedPart(since, known_until, *_holes(numbers, times[firsts], part))


def _spool_beside(warehouse: Warehouse, recorded: Recorded) -> Spool:
    """The spool of the warehouse's environment, or the one that is named."""
    named = {"DERIBIT_ENV": str(warehouse.environment)}
    if not isinstance(recorded, bool):
        named["DERIBIT_SPOOL"] = str(Path(recorded).absolute())
    return spool_of(Settings.from_env({**variables(), **named}))


def _require_recordings(spool: Spool, instrument_name: str) -> None:
    if not spool.exists():
        raise InputError(
            f"Nothing was recorded into {spool}: deribit-pipeline record does, and DERIBIT_SPOOL "
            "or recorded= names another folder."
        )
    stream = trade_stream(instrument_name)
    if not (spool.root / stream).exists():
        raise InputError(
            f"No trades of {instrument_name} were ever recorded into {spool}: there is no {stream} "
            "in it. DERIBIT_INSTRUMENTS and DERIBIT_GROUPS name what deribit-pipeline record "
            "records."
        )


def _stored_until(
    connection: Connection, instrument_name: str, window: TimeWindow
) -> tuple[datetime, bool]:
    """The newest stored trade, or the end, of the proved days with which the window begins; and
    whether there are any, or its first day follows one."""
    first = day_window(window.start.date()).start
    proofs = proofs_within(
        connection, TRADES, instrument_name, TimeWindow(first - ONE_DAY, window.end)
    )
    day = first.date()
    while day in proofs and proofs[day].is_settled:
        day += ONE_DAY
    if day in proofs and proofs[day].received and is_open_without_gaps(proofs[day]):
        return newest_row(connection, TRADES, instrument_name, day), True
    former = proofs.get(day - ONE_DAY)
    return day_window(day).start, former is not None and former.is_settled


def _insert(connection: Connection, instrument_name: str, rows: Columns) -> None:
    """Add the trades that the warehouse does not have."""
    if not count_of(rows):
        return
    columns = [f"{as_stored(column)} as {column.name}" for column in columns_of(TRADES)]
    incoming = readable(rows)  # noqa: F841 - DuckDB finds the variable of this name
    connection.execute(
        f"insert into {RECORDED_TRADES} by name "
        f"select $series as instrument_name, {', '.join(columns)} from incoming "
        f"where trade_seq not in (select trade_seq from {TRADES.table.name} "
        f"where {_OF_SERIES} and trade_seq >= $least)",
        {"series": instrument_name, "least": int(rows["trade_seq"].min())},
    )


def _stored(
    connection: Connection, instrument_name: str, part: TimeWindow
) -> tuple[Numbers, Moments]:
    """The numbers and times of the stored trades of a part of the window."""
    condition = f"{_OF_SERIES} and traded_at >= $start and traded_at < $end"
    parameters = {"series": instrument_name, "start": part.start, "end": part.end}
    return _numbers(connection, condition, parameters)


def _newest_before(
    connection: Connection, instrument_name: str, moment: datetime
) -> tuple[Numbers, Moments]:
    """The number and time of the last stored trade before an instant; empty if there is none."""
    condition = f"{_OF_SERIES} and traded_at < $moment order by trade_seq desc limit 1"
    return _numbers(connection, condition, {"series": instrument_name, "moment": moment})


def _numbers(
    connection: Connection, condition: str, parameters: dict[str, object]
) -> tuple[Numbers, Moments]:
    found = connection.execute(
        f"select trade_seq, epoch_ms(traded_at) as traded_ms from {TRADES.table.name} "
        f"where {condition}",
        parameters,
    ).fetchnumpy()
    numbers, times = (np.asarray(found[name]).astype(np.int64) for name in found)
    return numbers, times.astype("datetime64[ms]")


def _holes(
    numbers: Numbers, times: Moments, part: TimeWindow
) -> tuple[list[Hole], np.datetime64 | None]:
    """The holes in sorted numbers that may be of the part, wherever a trade has a wrong time; and
    the time of the first trade if no number before it is known."""
    if not len(numbers):
        return [], None
    before = _leading(times < moment64(part.start))
    after = _leading(times[::-1] >= moment64(part.end))
    first, last = max(before - 1, 0), len(numbers) - max(after, 1)
    breaks = first + np.flatnonzero(np.diff(numbers[first : last + 1]) > 1)
    holes = [
        Hole(range(int(numbers[at]) + 1, int(numbers[at + 1])), times[at], times[at + 1])
        for at in breaks.tolist()
    ]
    is_first_known = before > 0 or numbers[0] == 1
    return holes, None if is_first_known else times[0]


def _leading(flags: NDArray[np.bool_]) -> int:
    """How many flags are set before the first that is not."""
    return len(flags) if flags.all() else int(np.argmin(flags))
