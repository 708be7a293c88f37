"""Volatility as frames: realised, and implied by options."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Unpack, overload

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles import series as candle_series
from deribit_pipeline.datasets.volatility_index import VOLATILITY_INDEX
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.windows import END_OF_TIME, TimeWindow
from deribit_pipeline.engine.selected_series import SelectedRows, rows
from deribit_pipeline.reader import reader_arguments as arguments
from deribit_pipeline.reader.candle_frames import labelled
from deribit_pipeline.reader.frame_kinds import (
    ArrowOfDays,
    Frame,
    FrameKind,
    PandasOfDays,
    Place,
    PolarsOfDays,
)
from deribit_pipeline.reader.reader_arguments import Label, Moment
from deribit_pipeline.reader.reading import How, read_series
from deribit_pipeline.reader.series_names import Names, wanted
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_MINUTE = Resolution.MINUTE_1

# DVOL is published in seconds.
_SECONDS = {"60": "60", "3600": "3600", "1m": "60", "1h": "3600"}


@overload
def realised_volatility(
    instruments: Names,
    start: Moment,
    end: Moment | None = ...,
    sampling: int = ...,
    samples: int = ...,
    **how: Unpack[PandasOfDays],
) -> pd.DataFrame: ...
@overload
def realised_volatility(
    instruments: Names,
    start: Moment,
    end: Moment | None = ...,
    sampling: int = ...,
    samples: int = ...,
    **how: Unpack[ArrowOfDays],
) -> pa.Table: ...
@overload
def realised_volatility(
    instruments: Names,
    start: Moment,
    end: Moment | None = ...,
    sampling: int = ...,
    samples: int = ...,
    **how: Unpack[PolarsOfDays],
) -> pl.DataFrame: ...
def realised_volatility(
    instruments: Names,
    start: Moment,
    end: Moment | None = None,
    sampling: int = 60,
    samples: int = 24 * 30,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Realised volatility over each run of `samples` candles that ends in the window.

    It is the macro `realised_volatility` of the warehouse (docs/volatility.md has the formulas),
    made of one-minute candles, whose days must be complete from one sampled candle before the first
    run.

    Parameters
    ----------
    instruments : str, or several
        A name such as BTC-PERPETUAL, a list of names, or a selector.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end` it ends
        with the last closed candle that is stored.
    sampling : int
        Minutes of a sampled candle, 1 or more.
    samples : int
        Sampled candles of a run, 1 or more.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `ended_at`, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 5)
        close_to_close, parkinson, garman_klass, rogers_satchell, yang_zhang: annualised fractions
        (0.65 is 65 %), float64; for several, `instrument_name` comes first. A run with a missing
        minute has no row.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    IncompleteDays
        A day is not proved complete.
    WarehouseError
        The warehouse cannot be read.

    Examples
    --------
    >>> daily = read.realised_volatility("BTC-PERPETUAL", "2024-01-03", "2024-01-07", 60, 24)
    >>> daily["yang_zhang"].resample("1D").last().size
    5
    """
    sampling, samples = arguments.whole(sampling, "sampling"), arguments.whole(samples, "samples")
    window = arguments.window(start, end)
    what = f"{samples} samples of {sampling} minutes"
    arguments.earlier(window.start, sampling * (samples + 1), what)

    def select(connection: Connection, _: Warehouse, name: str, part: TimeWindow) -> SelectedRows:
        found = minutes_since(connection, name, part, sampling * (samples + 1))
        return replace(
            found,
            at="ended_at",
            order="ended_at",
            query="select * exclude (samples) from realised_volatility("
            "$name, $sampling, $samples, since := $start, until := $end)",
            parameters={
                "name": name,
                "sampling": sampling,
                "samples": samples,
                "start": part.start,
                "end": until_of(found, part),
            },
        )

    how = How(frame, warehouse, complete_only)
    return read_series(wanted(instruments, CANDLES[_MINUTE]), window, select, how)


def minutes_since(
    connection: Connection, name: str, window: TimeWindow, minutes: int
) -> SelectedRows:
    """The one-minute candles of the window, and of so many minutes before it."""
    begins = window.start - timedelta(minutes=minutes)
    return candle_series.candles(connection, name, _MINUTE, TimeWindow(begins, window.end))


def until_of(found: SelectedRows, window: TimeWindow) -> datetime:
    """Until when, exclusive, runs of candles end in the window: a run that ends with the last
    closed candle is included."""
    if window.end < END_OF_TIME:
        return window.end
    return found.proved_until + timedelta.resolution


@overload
def volatility_index(
    currencies: Names,
    start: Moment,
    end: Moment | None = ...,
    resolution: str | int = ...,
    *,
    label: Label = ...,
    **how: Unpack[PandasOfDays],
) -> pd.DataFrame: ...
@overload
def volatility_index(
    currencies: Names,
    start: Moment,
    end: Moment | None = ...,
    resolution: str | int = ...,
    *,
    label: Label = ...,
    **how: Unpack[ArrowOfDays],
) -> pa.Table: ...
@overload
def volatility_index(
    currencies: Names,
    start: Moment,
    end: Moment | None = ...,
    resolution: str | int = ...,
    *,
    label: Label = ...,
    **how: Unpack[PolarsOfDays],
) -> pl.DataFrame: ...
def volatility_index(
    currencies: Names,
    start: Moment,
    end: Moment | None = None,
    resolution: str | int = "3600",
    *,
    label: Label = "open",
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Candles of a currency's DVOL that open in the window, sorted by `opened_at`.

    Parameters
    ----------
    currencies : str, or several
        BTC or ETH, or a list of them.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end` it ends
        with the last closed candle that is stored.
    resolution : str or int
        In seconds: 60 or 3600; or as 1m and 1h.
    label : {"open", "close"}
        Whether a candle is dated by its opening, or as `closed_at` by its end, for joins without
        look-ahead.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `opened_at`, or `closed_at`, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 4)
        open, high, low, close in percent a year: float64; for several, `currency` comes first.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    IncompleteDays
        A day is not proved complete.
    WarehouseError
        The warehouse cannot be read.

    Examples
    --------
    >>> dvol = read.volatility_index("BTC", "2024-01-01", "2024-01-07", label="close")
    >>> dvol["close"].size
    168
    """
    arguments.one_of(label, "label", ("open", "close"))
    given = str(resolution) if isinstance(resolution, int) else resolution
    seconds = _SECONDS[arguments.one_of(given, "resolution (seconds)", list(_SECONDS))]
    length = timedelta(seconds=int(seconds))

    def select(connection: Connection, _: Warehouse, name: str, part: TimeWindow) -> SelectedRows:
        only = {"resolution": seconds}
        return labelled(rows(connection, VOLATILITY_INDEX, name, part, only), label, length)

    how = How(frame, warehouse, complete_only)
    window = arguments.window(start, end)
    return read_series(wanted(currencies, VOLATILITY_INDEX), window, select, how)
