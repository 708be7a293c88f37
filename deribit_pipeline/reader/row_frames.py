"""Rows of any dataset but candles as frames, and trades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack, overload

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.errors import InputError
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
from deribit_pipeline.reader.recorded_part import Recorded, require_unproved
from deribit_pipeline.reader.recorded_rows import trades_with_recorded
from deribit_pipeline.reader.series_names import Names, wanted

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@overload
def rows(
    dataset: str,
    series: Names,
    start: Moment,
    end: Moment | None = ...,
    **how: Unpack[PandasOfDays],
) -> pd.DataFrame: ...
@overload
def rows(
    dataset: str, series: Names, start: Moment, end: Moment | None = ..., **how: Unpack[ArrowOfDays]
) -> pa.Table: ...
@overload
def rows(
    dataset: str,
    series: Names,
    start: Moment,
    end: Moment | None = ...,
    **how: Unpack[PolarsOfDays],
) -> pl.DataFrame: ...
def rows(
    dataset: str,
    series: Names,
    start: Moment,
    end: Moment | None = None,
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
    series : str, or several
        Its instruments (or selectors of them), currencies, or indices such as btc_usd.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end` it ends
        with the newest stored row.
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
        The columns of the dataset's table, with the units of the data dictionary; that of the
        series only for several. n is 0 where there were no rows on complete days.

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
    >>> read.rows("historical_volatility", "BTC", "2024-01-01", complete_only=False).columns
    Index(['volatility'], dtype='str')
    """
    held = DATASETS[arguments.one_of(dataset, "dataset", list(DATASETS))]
    if held.resolution is not None:
        raise InputError(
            f"rows does not read candles: use read.candles with a resolution, not {dataset}."
        )
    how = How(frame, warehouse, complete_only)
    window = arguments.window(start, end)
    return read_series(wanted(series, held), window, of_dataset(held), how)


@overload
def trades(
    instruments: Names, start: Moment, end: Moment | None = ..., *, recorded: Recorded = ...,
    **how: Unpack[PandasOfDays],
) -> pd.DataFrame: ...  # fmt: skip
@overload
def trades(
    instruments: Names, start: Moment, end: Moment | None = ..., *, recorded: Recorded = ...,
    **how: Unpack[ArrowOfDays],
) -> pa.Table: ...  # fmt: skip
@overload
def trades(
    instruments: Names, start: Moment, end: Moment | None = ..., *, recorded: Recorded = ...,
    **how: Unpack[PolarsOfDays],
) -> pl.DataFrame: ...  # fmt: skip
def trades(
    instruments: Names,
    start: Moment,
    end: Moment | None = None,
    *,
    recorded: Recorded = False,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Trades in the window, sorted by `trade_seq`; many share a millisecond.

    Trades of several instruments are sorted by time, and those of one instrument within a
    millisecond by `trade_seq`.

    Parameters
    ----------
    instruments : str, or several
        A name such as BTC-PERPETUAL, a list of names, or a selector such as `kind=option
        currency=BTC expiry=2024-03-29`.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end` it ends
        with the newest stored row, or the newest recorded one.
    recorded : bool, path or str
        Also return trades that are recorded and not stored yet, within a second of their time: from
        the spool of the warehouse's environment (DERIBIT_SPOOL), or from another one. Needs
        `complete_only=False`, because they are proved by the next backfill only.
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
        The columns of the table `trades`, with the units of the data dictionary; `instrument_name`
        only for several. With `recorded`, `is_proved` comes last: whether the day of a trade is
        proved complete, or up to this trade. The `attrs` of a pandas frame then have the numbers
        that are `missing` among the trades that are not proved, and `recorded_until`, before which
        no other trade is missing; None if that is not known.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    IncompleteDays
        A day is not proved complete.
    WarehouseError
        The warehouse cannot be read.
    SettingsError
        The spool is of another environment.
    SpoolError
        A file of the spool cannot be read, or was removed meanwhile, because its day was stored.

    Warns
    -----
    MissingTradesWarning
        Numbers are missing among recorded trades.

    Examples
    --------
    >>> trades = read.trades("BTC-PERPETUAL", "2024-01-01", "2024-01-01")
    >>> trades["amount"].resample("1h").sum().size
    24
    """
    require_unproved(recorded, complete_only=complete_only)
    how = How(frame, warehouse, complete_only)
    window = arguments.window(start, end)
    select = of_dataset(TRADES) if recorded is False else trades_with_recorded(recorded)
    return read_series(wanted(instruments, TRADES), window, select, how)
