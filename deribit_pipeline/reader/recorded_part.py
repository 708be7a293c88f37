"""Recorded trades that the warehouse does not have yet, in a temporary table of the connection on
which its rows are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import numpy as np

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.trades.recorded import trade_stream
from deribit_pipeline.datasets.trades.recorded_tail import RecordedTail, recorded_tail
from deribit_pipeline.datasets.trades.trade_numbers import holes_of, missing
from deribit_pipeline.domain.rows import Columns, count_of, some_of
from deribit_pipeline.domain.windows import END_OF_TIME, Moments, TimeWindow, day_window, moment64
from deribit_pipeline.engine.day_writes import as_stored, registered
from deribit_pipeline.engine.row_reads import columns_of
from deribit_pipeline.engine.selected_series import (
    SelectedRows,
    days_of,
    is_open_without_gaps,
    newest_row,
    proofs_within,
)
from deribit_pipeline.errors import InputError
from deribit_pipeline.exchange.session import spool_of
from deribit_pipeline.reader.frame_kinds import Place
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.variables import variables
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

Recorded: TypeAlias = bool | Place
"""Whether recorded trades are read too: from the spool of the settings, or from another one."""

RECORDED_TRADES = "recorded_trades"
"""The temporary table: as `trades`, without those that the warehouse has."""

# How far before the recorded trades stored ones are compared with them.
_BESIDE = timedelta(minutes=1)


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
    """What was recorded of the part of a window that is not proved, which begins at `since`.

    `holes` are missing among the stored and recorded trades of this part, and at its ends.
    `known_until` is that of RecordedTail, None also if the whole window is proved. `earlier` says
    whether the last trade before the part is known.
    """

    since: datetime
    known_until: datetime | None = None
    holes: Sequence[Hole] = ()
    first_known: np.datetime64 | None = None


def require_unproved_wanted(recorded: Recorded, *, complete_only: bool) -> None:
    """Raise InputError if recorded trades are wanted among proved rows only."""
    if not isinstance(recorded, bool | str | os.PathLike):
        raise InputError(f"recorded must be True, or the folder of a spool, was {recorded!r}.")
    if recorded is not False and complete_only:
        raise InputError(
            "Recorded trades are not proved before a backfill takes them in: read them with "
            "complete_only=False. The column is_proved then distinguishes them."
        )


def unproved_days(found: SelectedRows) -> list[date]:
    """The days of which no stored row is proved."""
    proved = {proof.day for proof in found.proofs if is_open_without_gaps(proof)}
    return [day for day in found.incomplete if day not in proved]


def load_recorded(
    connection: Connection,
    warehouse: Warehouse,
    recorded: Recorded,
    instrument_name: str,
    window: TimeWindow,
) -> RecordedPart:
    """Fill the temporary table with the recorded trades of a window.

    Raises InputError if the spool has no recordings of such an instrument, SettingsError if it is
    another environment's.
    """
    _create_table(connection)
    spool = _spool_beside(warehouse, recorded)
    _require_recordings(spool, instrument_name)
    since, stored_until = _unproved_since(connection, instrument_name, window)
    if since >= window.end:
        return RecordedPart(window.end)
    part = TimeWindow(since, window.end)
    tail = recorded_tail(spool, instrument_name, part, stored_until)
    numbers, times = _stored_since(connection, instrument_name, part)
    _insert(connection, instrument_name, tail, numbers)
    numbers = np.concatenate((numbers, tail.rows["trade_seq"]))
    times = np.concatenate((times, tail.rows["traded_at"]))
    numbers, firsts = np.unique(numbers, return_index=True)
    holes, first_known = _holes(numbers, times[firsts], part)
    return RecordedPart(since, tail.known_until, holes, first_known)
