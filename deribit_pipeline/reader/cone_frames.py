"""Volatility cones as frames, and realised against implied volatility."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Unpack, overload

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles.volatility_views import AGAINST_DVOL, CONE
from deribit_pipeline.datasets.volatility_index import VOLATILITY_INDEX
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.windows import ONE_DAY, TimeWindow
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
from deribit_pipeline.reader.reading import How, read_series
from deribit_pipeline.reader.series_names import Names, wanted
from deribit_pipeline.reader.volatility_frames import minutes_since
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_CLOSES = AGAINST_DVOL.format(
    realised="realised_volatility($name, $sampling, $samples, since := $start, "
    "until := cast($end as timestamptz) + to_minutes($minutes + 1))",
    currency="$currency",
    days="$days",
)
_AGAINST = f"select * from ({_CLOSES}) where measured_at > $start and measured_at <= $end"

_MINUTES = CANDLES[Resolution.MINUTE_1]
_DAYS_OF_HOURS = (24, 7 * 24, 14 * 24, 30 * 24)


@overload
def volatility_cone(
    instruments: Names,
    start: Moment,
    end: Moment | None = ...,
    windows: int | Iterable[int] = ...,
    sampling: int = ...,
    **how: Unpack[PandasOfDays],
) -> pd.DataFrame: ...
@overload
def volatility_cone(
    instruments: Names,
    start: Moment,
    end: Moment | None = ...,
    windows: int | Iterable[int] = ...,
    sampling: int = ...,
    **how: Unpack[ArrowOfDays],
) -> pa.Table: ...
@overload
def volatility_cone(
    instruments: Names,
    start: Moment,
    end: Moment | None = ...,
    windows: int | Iterable[int] = ...,
    sampling: int = ...,
    **how: Unpack[PolarsOfDays],
) -> pl.DataFrame: ...
def volatility_cone(
    instruments: Names,
    start: Moment,
    end: Moment | None = None,
    windows: int | Iterable[int] = _DAYS_OF_HOURS,
    sampling: int = 60,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """The distribution of realised volatility over all windows of a length within a span, and the
    latest value.

    It is the macro `volatility_cone` of the warehouse (docs/volatility.md has the formulas), made
    of the one-minute candles of the span alone.

    Parameters
    ----------
    instruments : str, or several
        A name such as BTC-PERPETUAL, a list of names, or a selector.
    start, end : str, date or datetime
        The span of the candles, in UTC. A day (`2024-01-31`) is included whole, the last one too;
        an instant (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end`
        it ends with the last closed candle that is stored.
    windows : int, or several
        The lengths of the windows, in samples: by default 1, 7, 14 and 30 days of hours. A length
        that does not fit into the span has no row.
    sampling : int
        Minutes of a sampled candle, 1 or more.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `samples` and
        `estimator`.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (5 · len(windows), 9)
        windows (how many), lowest, p10, p25, p50, p75, p90, highest, latest: annualised fractions;
        and latest_ended_at. For several, `instrument_name` comes first.

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
    >>> cone = read.volatility_cone("BTC-PERPETUAL", "2024-01-01", "2024-01-07", [24, 72])
    >>> cone.xs("yang_zhang", level="estimator")["windows"].tolist()
    [144, 96]
    """
    lengths = arguments.wholes(windows, "windows")
    sampling = arguments.whole(sampling, "sampling")

    def select(connection: Connection, _: Warehouse, name: str, part: TimeWindow) -> SelectedRows:
        found = minutes_since(connection, name, part, 0)
        # A window also needs the close before it, and may end with the span.
        realised = (
            "select * from realised_volatilities($name, $sampling, $windows, since := $start, "
            "until := cast($end as timestamptz) + to_microseconds(1)) "
            "where ended_at >= $start + to_minutes($sampling * (samples + 1))"
        )
        return replace(
            found,
            at="samples",
            order="samples, estimator",
            query=CONE.format(realised=realised),
            parameters={
                "name": name,
                "sampling": sampling,
                "windows": lengths,
                "start": part.start,
                "end": min(part.end, found.proved_until),
            },
        )

    how = How(frame, warehouse, complete_only)
    window = arguments.window(start, end)
    return read_series(wanted(instruments, _MINUTES), window, select, how, ("samples", "estimator"))


@overload
def realised_against_dvol(
    instruments: Names,
    start: Moment,
    end: Moment | None = ...,
    days: int = ...,
    sampling: int = ...,
    **how: Unpack[PandasOfDays],
) -> pd.DataFrame: ...
@overload
def realised_against_dvol(
    instruments: Names,
    start: Moment,
    end: Moment | None = ...,
    days: int = ...,
    sampling: int = ...,
    **how: Unpack[ArrowOfDays],
) -> pa.Table: ...
@overload
def realised_against_dvol(
    instruments: Names,
    start: Moment,
    end: Moment | None = ...,
    days: int = ...,
    sampling: int = ...,
    **how: Unpack[PolarsOfDays],
) -> pl.DataFrame: ...
def realised_against_dvol(
    instruments: Names,
    start: Moment,
    end: Moment | None = None,
    days: int = 30,
    sampling: int = 60,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Implied volatility at each DVOL candle that opens in the window, and the volatility realised
    over the `days` before and after its close.

    DVOL is that of the instrument's base currency. It is the macro `realised_against_dvol` of the
    warehouse (docs/volatility.md has the formulas). One-minute candles must be complete from `days`
    before the window until its end.

    Parameters
    ----------
    instruments : str, or several
        A name such as BTC-PERPETUAL, or a list of names.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end` it ends
        with what is stored.
    days : int
        The length of the realised windows, 1 or more.
    sampling : int
        Minutes of a sampled candle, which must divide a day.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `measured_at`, the close of DVOL's
        candle, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 4)
        implied, realised_before, realised_after and premium (implied less realised_after):
        annualised fractions, float64. A realised volatility is null if a candle of its window is
        not stored, such as one of the future; an instant without either has no row. For several,
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
    >>> against = read.realised_against_dvol("BTC-PERPETUAL", "2024-01-03", "2024-01-05", days=1)
    >>> against["realised_after"].count()
    np.int64(72)
    """
    days, sampling = arguments.whole(days, "days"), arguments.whole(sampling, "sampling")
    minutes = days * (ONE_DAY // timedelta(minutes=1))
    if minutes % sampling:
        raise InputError(f"sampling must divide a day of 1440 minutes, was {sampling}.")
    window = arguments.window(start, end)
    arguments.earlier(window.start, minutes + sampling, f"{days} days")

    def select(connection: Connection, _: Warehouse, name: str, part: TimeWindow) -> SelectedRows:
        implied = rows(connection, VOLATILITY_INDEX, _dvol_of(name), part)
        return replace(
            minutes_since(connection, name, part, minutes + sampling),
            at="measured_at",
            order="measured_at",
            query=_AGAINST,
            parameters={
                "name": name,
                "currency": _dvol_of(name),
                "days": days,
                "minutes": minutes,
                "sampling": sampling,
                "samples": minutes // sampling,
                "start": part.start,
                "end": part.end,
            },
            also=(implied,),
        )

    how = How(frame, warehouse, complete_only)
    return read_series(wanted(instruments, _MINUTES), window, select, how)


def _dvol_of(instrument_name: str) -> str:
    """The currency whose DVOL belongs to an instrument. Raises InputError if there is none."""
    currency = instrument_name.partition("-")[0].partition("_")[0]
    if currency not in VOLATILITY_INDEX.currencies:
        raise InputError(
            f"{VOLATILITY_INDEX.name} is available for {', '.join(VOLATILITY_INDEX.currencies)}, "
            f"not for {currency}, the base currency of {instrument_name}."
        )
    return currency
