"""Funding as frames: rates, and what a position paid."""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Unpack, overload

from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.datasets.funding_rates.views import PAID
from deribit_pipeline.domain.windows import TimeWindow
from deribit_pipeline.engine.selected_series import SelectedRows, rows
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
from deribit_pipeline.reader.series_names import Names, wanted
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@overload
def funding(
    perpetuals: Names, start: Moment, end: Moment | None = ..., **how: Unpack[PandasOfDays]
) -> pd.DataFrame: ...
@overload
def funding(
    perpetuals: Names, start: Moment, end: Moment | None = ..., **how: Unpack[ArrowOfDays]
) -> pa.Table: ...
@overload
def funding(
    perpetuals: Names, start: Moment, end: Moment | None = ..., **how: Unpack[PolarsOfDays]
) -> pl.DataFrame: ...
def funding(
    perpetuals: Names,
    start: Moment,
    end: Moment | None = None,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Funding of perpetuals for each hour that ends in the window, sorted by `funded_at`, the end.

    The first row of a day is of the last hour of the day before. The hours of January are dated
    from `2024-01-01T01:00` to `2024-02-01T00:00`, like `candles(…, "2024-01-01", "2024-01-31",
    "1h", label="close")`: read them from `2024-01-01T01:00` until `2024-02-01T01:00`, which is
    excluded.

    Parameters
    ----------
    perpetuals : str, or several
        A name such as BTC-PERPETUAL, a list of names, or a selector such as `perpetual
        currency=USDC`.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end` it ends
        with the newest stored row.
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
        index_price, prev_index_price: float64. For several, `instrument_name` comes first.

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
    >>> rates = read.funding("BTC-PERPETUAL", "2024-01-01", "2024-01-07")
    >>> yearly = rates["interest_1h"].mean() * 24 * 365
    >>> hours = read.candles("BTC-PERPETUAL", "2024-01-01", "2024-01-07", "1h", label="close")
    >>> paid = read.funding("BTC-PERPETUAL", "2024-01-01T01:00", "2024-01-08T01:00")
    >>> hours.join(paid, how="inner").shape[0] == len(hours) == len(paid)
    True
    """
    how = How(frame, warehouse, complete_only)
    window = arguments.window(start, end)
    return read_series(wanted(perpetuals, FUNDING_RATES), window, of_dataset(FUNDING_RATES), how)


@overload
def cumulative_funding(
    perpetuals: Names, start: Moment, end: Moment | None = ..., amount: float = ...,
    **how: Unpack[PandasOfDays],
) -> pd.DataFrame: ...  # fmt: skip
@overload
def cumulative_funding(
    perpetuals: Names, start: Moment, end: Moment | None = ..., amount: float = ...,
    **how: Unpack[ArrowOfDays],
) -> pa.Table: ...  # fmt: skip
@overload
def cumulative_funding(
    perpetuals: Names, start: Moment, end: Moment | None = ..., amount: float = ...,
    **how: Unpack[PolarsOfDays],
) -> pl.DataFrame: ...  # fmt: skip
def cumulative_funding(
    perpetuals: Names,
    start: Moment,
    end: Moment | None = None,
    amount: float = 1.0,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """What a position paid for each hour that ends in the window, and so far.

    The position is held through all hours of `funding` of the same window. The macro
    `cumulative_funding` of the warehouse has the formula.

    Parameters
    ----------
    perpetuals : str, or several
        As in `funding`.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end` it ends
        with the newest stored row.
    amount : float
        The size of the position in the unit of trades: USD for an inverse perpetual, base currency
        for a linear one; negative for a short position.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `funded_at`, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 3)
        interest_1h (fraction), and paid and paid_so_far: in base currency for an inverse perpetual,
        in quote currency for a linear one; negative if it was received. float64. For several,
        `instrument_name` comes first.

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
    >>> carry = read.cumulative_funding("BTC-PERPETUAL", "2024-01-01", "2024-01-07", -10_000)
    >>> bitcoin_paid = carry["paid_so_far"].iloc[-1]
    """
    if not isinstance(amount, Real) or not math.isfinite(amount):
        raise InputError(f"amount must be a number such as -10000, was {amount!r}.")
    window = arguments.window(start, end)

    def select(connection: Connection, _: Warehouse, name: str, part: TimeWindow) -> SelectedRows:
        found = rows(connection, FUNDING_RATES, name, part)
        paid = PAID.format(amount="$amount", instrument="$series")
        return replace(
            found,
            query=f"select funded_at, interest_1h, {paid} as paid, "
            f"sum(paid) over (order by funded_at) as paid_so_far from ({found.query})",
            parameters={**found.parameters, "amount": float(amount)},
        )

    how = How(frame, warehouse, complete_only)
    return read_series(wanted(perpetuals, FUNDING_RATES), window, select, how)
