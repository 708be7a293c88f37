"""Volatility as frames: realised, and implied by options."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, overload

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles import series as candle_series
from deribit_pipeline.datasets.volatility_index import VOLATILITY_INDEX
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.windows import TimeWindow
from deribit_pipeline.engine import selected_series as series
from deribit_pipeline.engine.selected_series import SelectedRows
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
def realised_volatility(
    instrument: str,
    start: Moment,
    end: Moment,
    sampling: int = ...,
    samples: int = ...,
    *,
    complete_only: bool = ...,
    frame: Literal["pandas"] = ...,
    warehouse: Place | None = ...,
) -> pd.DataFrame: ...


@overload
def realised_volatility(
    instrument: str,
    start: Moment,
    end: Moment,
    sampling: int = ...,
    samples: int = ...,
    *,
    complete_only: bool = ...,
    frame: Literal["arrow"],
    warehouse: Place | None = ...,
) -> pa.Table: ...


@overload
def realised_volatility(
    instrument: str,
    start: Moment,
    end: Moment,
    sampling: int = ...,
    samples: int = ...,
    *,
    complete_only: bool = ...,
    frame: Literal["polars"],
    warehouse: Place | None = ...,
) -> pl.DataFrame: ...


def realised_volatility(
    instrument: str,
    start: Moment,
    end: Moment,
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
    instrument : str
        Such as BTC-PERPETUAL.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`.
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
        (0.65 is 65 %), float64. A run with a missing minute has no row.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    IncompleteDays
        A day is not proved complete.
    WarehouseError
        The warehouse cannot be read.
    """
    arguments.require_series(CANDLES[Resolution.MINUTE_1], instrument)
    sampling, samples = arguments.whole(sampling, "sampling"), arguments.whole(samples, "samples")
    window = arguments.window(start, end)
    what = f"{samples} samples of {sampling} minutes"
    begins = arguments.earlier(window.start, sampling * (samples + 1), what)

    def select(connection: Connection, _: Warehouse) -> SelectedRows:
        of_minutes = TimeWindow(begins, window.end)
        found = candle_series.candles(connection, instrument, Resolution.MINUTE_1, of_minutes)
        return replace(
            found,
            at="ended_at",
            order="ended_at",
            query="select * exclude (samples) from realised_volatility("
            "$name, $sampling, $samples, since := $start, until := $end)",
            parameters={
                "name": instrument,
                "sampling": sampling,
                "samples": samples,
                "start": window.start,
                "end": window.end,
            },
        )

    return read_frame(select, complete_only, frame, warehouse)


@overload
def volatility_index(
    currency: str,
    start: Moment,
    end: Moment,
    resolution: str = ...,
    *,
    complete_only: bool = ...,
    frame: Literal["pandas"] = ...,
    warehouse: Place | None = ...,
) -> pd.DataFrame: ...


@overload
def volatility_index(
    currency: str,
    start: Moment,
    end: Moment,
    resolution: str = ...,
    *,
    complete_only: bool = ...,
    frame: Literal["arrow"],
    warehouse: Place | None = ...,
) -> pa.Table: ...


@overload
def volatility_index(
    currency: str,
    start: Moment,
    end: Moment,
    resolution: str = ...,
    *,
    complete_only: bool = ...,
    frame: Literal["polars"],
    warehouse: Place | None = ...,
) -> pl.DataFrame: ...


def volatility_index(
    currency: str,
    start: Moment,
    end: Moment,
    resolution: str = "3600",
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Candles of a currency's DVOL that open in the window, sorted by `opened_at`.

    Parameters
    ----------
    currency : str
        BTC or ETH.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`.
    resolution : str
        In seconds: 60 or 3600.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `opened_at`, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 4)
        open, high, low, close in percent a year: float64.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    IncompleteDays
        A day is not proved complete.
    WarehouseError
        The warehouse cannot be read.
    """
    arguments.require_series(VOLATILITY_INDEX, currency)
    only = {"resolution": arguments.one_of(resolution, "resolution (seconds)", ("60", "3600"))}
    window = arguments.window(start, end)
    return read_frame(
        lambda connection, _: series.rows(connection, VOLATILITY_INDEX, currency, window, only),
        complete_only,
        frame,
        warehouse,
    )
