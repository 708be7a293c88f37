"""Prices of indices as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack, overload

from deribit_pipeline.datasets.delivery_prices import DELIVERY_PRICES
from deribit_pipeline.datasets.index_prices import INDEX_PRICES
from deribit_pipeline.reader import reader_arguments as arguments
from deribit_pipeline.reader.frame_kinds import (
    ArrowOfDays,
    Frame,
    FrameKind,
    PandasOfDays,
    Place,
    PolarsOfDays,
)
from deribit_pipeline.reader.reader_arguments import Moment
from deribit_pipeline.reader.reading import How, of_dataset, read_series
from deribit_pipeline.reader.series_names import Names, wanted

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@overload
def delivery_prices(
    index_names: Names, start: Moment, end: Moment | None = ..., **how: Unpack[PandasOfDays]
) -> pd.DataFrame: ...
@overload
def delivery_prices(
    index_names: Names, start: Moment, end: Moment | None = ..., **how: Unpack[ArrowOfDays]
) -> pa.Table: ...
@overload
def delivery_prices(
    index_names: Names, start: Moment, end: Moment | None = ..., **how: Unpack[PolarsOfDays]
) -> pl.DataFrame: ...
def delivery_prices(
    index_names: Names,
    start: Moment,
    end: Moment | None = None,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """The price of each day at which contracts on an index that expire on it settle, at 08:00 UTC.

    Parameters
    ----------
    index_names : str, or several
        An index such as btc_usd, or a list of them.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end` it ends
        with the newest stored row.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `delivery_date`, at
        00:00 UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 1)
        delivery_price, in quote currency; for several, `index_name` comes first.

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
    >>> read.delivery_prices("btc_usd", "2024-01-01", "2024-01-03").shape
    (3, 1)
    """
    how = How(frame, warehouse, complete_only)
    window = arguments.window(start, end)
    return read_series(
        wanted(index_names, DELIVERY_PRICES), window, of_dataset(DELIVERY_PRICES), how
    )


@overload
def index_prices(
    index_names: Names, start: Moment, end: Moment | None = ..., **how: Unpack[PandasOfDays]
) -> pd.DataFrame: ...
@overload
def index_prices(
    index_names: Names, start: Moment, end: Moment | None = ..., **how: Unpack[ArrowOfDays]
) -> pa.Table: ...
@overload
def index_prices(
    index_names: Names, start: Moment, end: Moment | None = ..., **how: Unpack[PolarsOfDays]
) -> pl.DataFrame: ...
def index_prices(
    index_names: Names,
    start: Moment,
    end: Moment | None = None,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Points of the exchange's two-day chart of an index, as far as they were fetched in time.

    Parameters
    ----------
    index_names : str, or several
        An index such as btc_usd, or a list of them.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end` it ends
        with the newest stored row.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `priced_at`, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 1)
        price, in quote currency; for several, `index_name` comes first.

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
    >>> read.index_prices("btc_usd", "2024-01-01", complete_only=False).columns
    Index(['price'], dtype='str')
    """
    how = How(frame, warehouse, complete_only)
    window = arguments.window(start, end)
    return read_series(wanted(index_names, INDEX_PRICES), window, of_dataset(INDEX_PRICES), how)
