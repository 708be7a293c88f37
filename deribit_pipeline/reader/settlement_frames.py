"""Settlements as frames, and the open interest in them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack, overload

from deribit_pipeline.datasets.book_summaries import BOOK_SUMMARIES
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.specification import settlement_currency
from deribit_pipeline.domain.windows import TimeWindow
from deribit_pipeline.engine.selected_series import SelectedRows, rows
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
from deribit_pipeline.reader.series_names import Names, require_listed, wanted
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_POSITIONS = "select settled_at, type, position as open_interest, mark_price, index_price"

_ANY_INSTRUMENT = CANDLES[Resolution.MINUTE_1]


@overload
def settlements(
    currencies: Names, start: Moment, end: Moment | None = ..., **how: Unpack[PandasOfDays]
) -> pd.DataFrame: ...
@overload
def settlements(
    currencies: Names, start: Moment, end: Moment | None = ..., **how: Unpack[ArrowOfDays]
) -> pa.Table: ...
@overload
def settlements(
    currencies: Names, start: Moment, end: Moment | None = ..., **how: Unpack[PolarsOfDays]
) -> pl.DataFrame: ...
def settlements(
    currencies: Names,
    start: Moment,
    end: Moment | None = None,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Settlements, deliveries, exercises and bankruptcies in the window, sorted by `settled_at`.

    Parameters
    ----------
    currencies : str, or several
        BTC, ETH, USDC, USDT or EURR, or a list of them.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end` it ends
        with the newest stored row.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `settled_at`, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, k)
        The columns of the table `settlements`, with the units of the data dictionary; `currency`
        only for several.

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
    >>> read.settlements("BTC", "2024-01-01", "2024-01-02")["type"].unique().tolist()
    ['settlement']
    """
    how = How(frame, warehouse, complete_only)
    window = arguments.window(start, end)
    return read_series(wanted(currencies, SETTLEMENTS), window, of_dataset(SETTLEMENTS), how)


@overload
def open_interest(
    instruments: Names,
    start: Moment,
    end: Moment | None = ...,
    intraday: bool = ...,
    **how: Unpack[PandasOfDays],
) -> pd.DataFrame: ...
@overload
def open_interest(
    instruments: Names,
    start: Moment,
    end: Moment | None = ...,
    intraday: bool = ...,
    **how: Unpack[ArrowOfDays],
) -> pa.Table: ...
@overload
def open_interest(
    instruments: Names,
    start: Moment,
    end: Moment | None = ...,
    intraday: bool = ...,
    **how: Unpack[PolarsOfDays],
) -> pl.DataFrame: ...
def open_interest(
    instruments: Names,
    start: Moment,
    end: Moment | None = None,
    intraday: bool = False,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Open interest of instruments at each daily settlement in the window, at 08:00 UTC, or at each
    recorded snapshot.

    Daily it is the position that settlements and deliveries name; the exchange publishes no other
    history of it.

    Parameters
    ----------
    instruments : str, or several
        A name such as BTC-PERPETUAL, a list of names, or a selector such as `kind=future
        currency=BTC`.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end` it ends
        with the newest stored row.
    intraday : bool
        Read recorded snapshots instead of settlements.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `settled_at`, in UTC, or with
        `intraday` by `snapshot_at`.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 4)
        open_interest (USD for inverse futures, base currency for linear ones and options),
        mark_price, index_price: float64, and `type`: settlement, or delivery at the expiry. For
        several, `instrument_name` comes first. An instrument that did not settle has no row. With
        `intraday`: open_interest, mark_price, and `received_at`, before which it was not known.

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
    >>> daily = read.open_interest("BTC-PERPETUAL", "2024-01-01", "2024-01-07")
    >>> daily["open_interest"].size
    7
    """
    how = How(frame, warehouse, complete_only)
    window = arguments.window(start, end)

    def select(connection: Connection, _: Warehouse, name: str, part: TimeWindow) -> SelectedRows:
        if intraday:
            return _of_snapshots(connection, name, part)
        found = rows(connection, SETTLEMENTS, settlement_currency(name), part)
        require_listed(connection, name, found)
        return replace(
            found,
            query=f"{_POSITIONS} from ({found.query}) where instrument_name = $settled "
            "and type in ('settlement', 'delivery')",
            parameters={**found.parameters, "settled": name},
            order="settled_at, type",
        )

    return read_series(wanted(instruments, _ANY_INSTRUMENT), window, select, how)


def _of_snapshots(connection: Connection, name: str, part: TimeWindow) -> SelectedRows:
    """The open interest of an instrument in the snapshots of a window."""
    found = rows(connection, BOOK_SUMMARIES, settlement_currency(name), part)
    return replace(
        found,
        query="select snapshot_at, open_interest, mark_price, received_at "
        f"from ({found.query}) where instrument_name = $held",
        parameters={**found.parameters, "held": name},
        order="snapshot_at",
    )
