"""Instruments and their specifications as a frame."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Unpack, overload

from deribit_pipeline.domain.windows import TimeWindow, day_window
from deribit_pipeline.errors import InputError
from deribit_pipeline.instruments.history import known_at, universe
from deribit_pipeline.reader import reader_arguments as arguments
from deribit_pipeline.reader.frame_kinds import Arrow, Frame, FrameKind, Pandas, Place, Polars
from deribit_pipeline.reader.frames import Rows
from deribit_pipeline.reader.reader_arguments import Moment
from deribit_pipeline.reader.reading import How, read_rows
from deribit_pipeline.reader.series_names import require_lists
from deribit_pipeline.selection import Selector, selector
from deribit_pipeline.warehouse.place import Connection

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


_SPECIFIED = """
    from instruments
    where instrument_name in $names
      and valid_from <= $last and (valid_to is null or valid_to > $last)
"""


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
        require_lists(connection, which, window or arguments.EVER)
        newest = known_at(connection)
        if newest is None:
            raise InputError("The exchange lists no instrument, and the warehouse holds none.")
        first = last = newest
        if window is not None:
            first, last = window.start, window.end - timedelta(milliseconds=1)
        names = [each.instrument_name for each in universe(connection, which, first, last)]
        parameters = {"names": names, "last": last}
        return Rows(_SPECIFIED, parameters, ("instrument_name",), "listed_at, instrument_name")

    return read_rows(found, How(frame, warehouse))


def _window(as_of: Moment) -> TimeWindow:
    found = arguments.moment(as_of, "as_of")
    if isinstance(found, datetime):
        return TimeWindow(found, found + timedelta(milliseconds=1))
    return day_window(found)
