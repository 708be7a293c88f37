"""Candles as frames: of any resolution, and the newest hourly prices."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, overload

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles import series as candle_series
from deribit_pipeline.datasets.candles.known import EVERYTHING, known_at
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.windows import ONE_DAY, TimeWindow, day_window
from deribit_pipeline.engine.selected_series import SelectedRows
from deribit_pipeline.errors import InputError
from deribit_pipeline.reader import reader_arguments as arguments
from deribit_pipeline.reader.frames import Frame, FrameKind, Place, read_frame
from deribit_pipeline.reader.reader_arguments import Moment
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@overload
def candles(
    instrument: str,
    start: Moment,
    end: Moment,
    resolution: str = ...,
    *,
    as_of: Moment | None = ...,
    complete_only: bool = ...,
    frame: Literal["pandas"] = ...,
    warehouse: Place | None = ...,
) -> pd.DataFrame: ...


@overload
def candles(
    instrument: str,
    start: Moment,
    end: Moment,
    resolution: str = ...,
    *,
    as_of: Moment | None = ...,
    complete_only: bool = ...,
    frame: Literal["arrow"],
    warehouse: Place | None = ...,
) -> pa.Table: ...


@overload
def candles(
    instrument: str,
    start: Moment,
    end: Moment,
    resolution: str = ...,
    *,
    as_of: Moment | None = ...,
    complete_only: bool = ...,
    frame: Literal["polars"],
    warehouse: Place | None = ...,
) -> pl.DataFrame: ...


def candles(
    instrument: str,
    start: Moment,
    end: Moment,
    resolution: str = "1",
    *,
    as_of: Moment | None = None,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Candles of an instrument that open in the window, sorted by `opened_at`.

    On each UTC day whose candles of this resolution are stored and complete, the exchange's candles
    are returned; on any other day they are aggregated from its one-minute candles, if those are
    complete. Candles of 1D open at 08:00. Those of 180, 360 and 720 open at the same times as
    stored ones of the instrument; if none are stored, they are counted from 00:00, which is
    undocumented (assumption:candles-anchor-180, assumption:candles-anchor-360,
    assumption:candles-anchor-720). A candle aggregated from minutes includes minutes without a
    trade, which repeat the last close.

    Parameters
    ----------
    instrument : str
        Such as BTC-PERPETUAL.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`.
    resolution : str
        As Deribit spells it: 1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720 (minutes) or 1D.
    as_of : str, date or datetime, optional
        Return the candles as they were known at this instant of the exchange's clock (a day: at its
        end): what was published later is left out, what was revised since has its former values.
        Which days are complete is judged by today.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `opened_at`, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 6)
        open, high, low, close (quote currency), volume_base, volume_quote: float64; n is 0 where
        nothing is stored and `complete_only` is False. The `attrs` of a pandas frame name, as spans
        of days, those `rolled_up` from minutes and those `incomplete`, and `verdicts` by day.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    IncompleteDays
        A day is not proved complete, or the instrument was not listed on any.
    WarehouseError
        The warehouse cannot be read.

    Warns
    -----
    VerdictWarning
        A day has a verdict, such as one that disagrees with the exchange's coarser candles.
    """
    length = arguments.resolution(resolution)
    arguments.require_series(CANDLES[length], instrument)
    window = arguments.window(start, end)
    moment = None if as_of is None else arguments.instant(as_of, "as_of")

    def select(connection: Connection, held: Warehouse) -> SelectedRows:
        known = EVERYTHING
        if moment is not None:
            snapshot = held.snapshot_at(connection, moment)
            known = known_at(connection, instrument, moment, snapshot)
        return candle_series.candles(connection, instrument, length, window, known)

    return read_frame(select, complete_only, frame, warehouse)


@overload
def historical_prices(
    instrument: str,
    days: int = ...,
    *,
    complete_only: bool = ...,
    frame: Literal["pandas"] = ...,
    warehouse: Place | None = ...,
) -> pd.DataFrame: ...


@overload
def historical_prices(
    instrument: str,
    days: int = ...,
    *,
    complete_only: bool = ...,
    frame: Literal["arrow"],
    warehouse: Place | None = ...,
) -> pa.Table: ...


@overload
def historical_prices(
    instrument: str,
    days: int = ...,
    *,
    complete_only: bool = ...,
    frame: Literal["polars"],
    warehouse: Place | None = ...,
) -> pl.DataFrame: ...


def historical_prices(
    instrument: str,
    days: int = 7,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Hourly prices of the last `days` UTC days, up to the newest complete one in the warehouse.

    Parameters
    ----------
    instrument : str
        Such as BTC-PERPETUAL.
    days : int
        How many UTC days, 1 or more; the newest complete one is included.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `opened_at`, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (24 · days, 5)
        open, high, low, close (quote currency) and volume (base currency): float64.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    IncompleteDays
        A day is not proved complete.
    WarehouseError
        The warehouse cannot be read.
    """
    arguments.require_series(CANDLES[Resolution.HOUR_1], instrument)
    before = ONE_DAY // timedelta(minutes=1) * (arguments.whole(days, "days") - 1)

    def select(connection: Connection, _: Warehouse) -> SelectedRows:
        newest = candle_series.newest_complete_day(connection, instrument, Resolution.HOUR_1)
        if newest is None:
            raise InputError(f"The warehouse holds no complete day of {instrument}.")
        first, end = day_window(newest).start, day_window(newest).end
        window = TimeWindow(arguments.earlier(first, before, f"{days} days"), end)
        found = candle_series.candles(connection, instrument, Resolution.HOUR_1, window)
        columns = "opened_at, open, high, low, close, volume_base as volume"
        return replace(found, query=f"select {columns} from ({found.query})")

    return read_frame(select, complete_only, frame, warehouse)
