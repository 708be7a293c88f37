"""Instruments and their specifications as a frame."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Unpack, overload

from deribit_pipeline.domain.windows import TimeWindow, day_window
from deribit_pipeline.errors import InputError
from deribit_pipeline.instruments.history import chosen, known_at, requested_at
from deribit_pipeline.reader import reader_arguments as arguments
from deribit_pipeline.reader.frame_kinds import Arrow, Frame, FrameKind, Pandas, Place, Polars
from deribit_pipeline.reader.frames import Rows
from deribit_pipeline.reader.reader_arguments import Moment
from deribit_pipeline.reader.reading import How, read_rows
from deribit_pipeline.selection import Selector, selector
from deribit_pipeline.warehouse.place import Connection

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@overload
def instruments(
    select: str | None = ..., *, as_of: Moment | None = ..., **how: Unpack[Pandas]
) -> pd.DataFrame: ...
@overload
def instruments(
    select: str | None = ..., *, as_of: Moment | None = ..., **how: Unpack[Arrow]
) -> pa.Table: ...
@overload
def instruments(
    select: str | None = ..., *, as_of: Moment | None = ..., **how: Unpack[Polars]
) -> pl.DataFrame: ...
def instruments(
    select: str | None = None,
    *,
    as_of: Moment | None = None,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Instruments that were listed at a moment, each with its specification of that moment.

    Parameters
    ----------
    select : str, optional
        A selector such as `kind=option currency=BTC`; with the word `expired` also instruments that
        had expired by then.
    as_of : str, date or datetime, optional
        As of this instant, or at any time of this day, in UTC. By default, as of the newest
        response of the exchange.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `instrument_name`.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, k)
        The columns of the table `instruments`, with the units of the data dictionary, sorted by
        `listed_at`. Changes of a specification from before `first_seen_at` are not known.

    Raises
    ------
    InputError
        An argument is wrong, the warehouse does not exist, or its lists of instruments were never
        fetched or are older than `as_of`.
    WarehouseError
        The warehouse cannot be read.

    Examples
    --------
    >>> listed = read.instruments("kind=option currency=BTC", as_of="2024-01-03")
    >>> bool((listed["listed_at"] < "2024-01-04").all())
    True
    """
    which = selector(select, "select") if select is not None else Selector()
    window = None if as_of is None else _window(as_of)

    def found(connection: Connection) -> Rows:
        newest = known_at(connection)
        _require_requested(connection, which, window)
        if window is None:
            assert newest is not None  # a list was requested
            first = last = newest
        else:
            first, last = window.start, window.end - timedelta(milliseconds=1)
        query, parameters = chosen(which, first, last)
        return Rows(query, parameters, ("instrument_name",), "listed_at, instrument_name")

    return read_rows(found, How(frame, warehouse))


def _window(as_of: Moment) -> TimeWindow:
    found = arguments.moment(as_of, "as_of")
    if isinstance(found, datetime):
        return TimeWindow(found, found + timedelta(milliseconds=1))
    return day_window(found)


def _require_requested(connection: Connection, which: Selector, window: TimeWindow | None) -> None:
    """Raise InputError unless all lists that the selector needs are as new as the window."""
    requested = requested_at(connection)
    never = [currency for currency in which.lists if currency not in requested]
    fetch = "fetch them with deribit-pipeline instruments, or materialize the asset instruments"
    if never:
        raise InputError(f"The instruments of {', '.join(never)} were never fetched: {fetch}.")
    oldest = min(requested[currency] for currency in which.lists)
    if window is not None and oldest < window.start:
        raise InputError(
            f"The lists of instruments are of {oldest:%Y-%m-%d %H:%M} UTC, older than as_of "
            f"{window.start:%Y-%m-%d %H:%M}: {fetch}."
        )
