"""Rows of any dataset but candles as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.engine import selected_series as series
from deribit_pipeline.errors import InputError
from deribit_pipeline.reader import reader_arguments as arguments
from deribit_pipeline.reader.frames import Frame, FrameKind, Place, read_frame
from deribit_pipeline.reader.reader_arguments import Moment

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@overload
def rows(
    dataset: str,
    series_name: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = ...,
    frame: Literal["pandas"] = ...,
    warehouse: Place | None = ...,
) -> pd.DataFrame: ...


@overload
def rows(
    dataset: str,
    series_name: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = ...,
    frame: Literal["arrow"],
    warehouse: Place | None = ...,
) -> pa.Table: ...


@overload
def rows(
    dataset: str,
    series_name: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = ...,
    frame: Literal["polars"],
    warehouse: Place | None = ...,
) -> pl.DataFrame: ...


def rows(
    dataset: str,
    series_name: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Rows of any dataset but candles whose instant is in the window, sorted by their key.

    Parameters
    ----------
    dataset : str
        Its name, such as settlements; docs/data-dictionary.md lists the tables.
    series_name : str
        The name of the series: an instrument, a currency or an index, such as btc_usd.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by the column that
        dates a row, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, k)
        The columns of the dataset's table but that of the series, with the units of the data
        dictionary; n is 0 where there were no rows on complete days.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    IncompleteDays
        A day is not proved complete.
    WarehouseError
        The warehouse cannot be read.
    """
    held = DATASETS[arguments.one_of(dataset, "dataset", list(DATASETS))]
    if held.resolution is not None:
        raise InputError(
            f"rows does not read candles: use read.candles with a resolution, not {dataset}."
        )
    arguments.require_series(held, series_name)
    window = arguments.window(start, end)
    return read_frame(
        lambda connection, _: series.rows(connection, held, series_name, window),
        complete_only,
        frame,
        warehouse,
    )


@overload
def funding(
    instrument: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = ...,
    frame: Literal["pandas"] = ...,
    warehouse: Place | None = ...,
) -> pd.DataFrame: ...


@overload
def funding(
    instrument: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = ...,
    frame: Literal["arrow"],
    warehouse: Place | None = ...,
) -> pa.Table: ...


@overload
def funding(
    instrument: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = ...,
    frame: Literal["polars"],
    warehouse: Place | None = ...,
) -> pl.DataFrame: ...


def funding(
    instrument: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Funding of a perpetual for each hour that ends in the window, sorted by `funded_at`, the end.

    Parameters
    ----------
    instrument : str
        A perpetual, such as BTC-PERPETUAL.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `funded_at`, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 4)
        interest_1h and interest_8h (fractions of the position's value; longs pay a positive one),
        index_price, prev_index_price: float64.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    IncompleteDays
        A day is not proved complete.
    WarehouseError
        The warehouse cannot be read.
    """
    arguments.require_series(FUNDING_RATES, instrument)
    window = arguments.window(start, end)
    return read_frame(
        lambda connection, _: series.rows(connection, FUNDING_RATES, instrument, window),
        complete_only,
        frame,
        warehouse,
    )


@overload
def trades(
    instrument: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = ...,
    frame: Literal["pandas"] = ...,
    warehouse: Place | None = ...,
) -> pd.DataFrame: ...


@overload
def trades(
    instrument: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = ...,
    frame: Literal["arrow"],
    warehouse: Place | None = ...,
) -> pa.Table: ...


@overload
def trades(
    instrument: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = ...,
    frame: Literal["polars"],
    warehouse: Place | None = ...,
) -> pl.DataFrame: ...


def trades(
    instrument: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Trades of an instrument in the window, sorted by `trade_seq`; many share a millisecond.

    Parameters
    ----------
    instrument : str
        Such as BTC-PERPETUAL.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `traded_at`, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, k)
        The columns of the table `trades` but the instrument, with the units of the data dictionary.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    IncompleteDays
        A day is not proved complete.
    WarehouseError
        The warehouse cannot be read.
    """
    arguments.require_series(TRADES, instrument)
    window = arguments.window(start, end)
    return read_frame(
        lambda connection, _: series.rows(connection, TRADES, instrument, window),
        complete_only,
        frame,
        warehouse,
    )
