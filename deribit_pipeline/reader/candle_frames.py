"""Candles as frames: of any length, and the newest hourly prices."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Unpack, overload

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles import series as candle_series
from deribit_pipeline.datasets.candles.composed import candles_of_length
from deribit_pipeline.datasets.candles.known import EVERYTHING, arrived_by, known_at
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.windows import ONE_DAY, TimeWindow, day_window
from deribit_pipeline.engine.selected_series import SelectedRows
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
from deribit_pipeline.reader.reader_arguments import Label, Length, Moment
from deribit_pipeline.reader.reading import How, read_series
from deribit_pipeline.reader.recorded_part import Recorded, require_unproved
from deribit_pipeline.reader.recorded_rows import with_rebuilt
from deribit_pipeline.reader.series_names import Names, wanted
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@overload
def candles(
    instruments: Names, start: Moment, end: Moment | None = ..., resolution: Length = ..., *,
    label: Label = ..., as_of: Moment | None = ..., recorded: Recorded = ...,
    **how: Unpack[PandasOfDays],
) -> pd.DataFrame: ...  # fmt: skip
@overload
def candles(
    instruments: Names, start: Moment, end: Moment | None = ..., resolution: Length = ..., *,
    label: Label = ..., as_of: Moment | None = ..., recorded: Recorded = ...,
    **how: Unpack[ArrowOfDays],
) -> pa.Table: ...  # fmt: skip
@overload
def candles(
    instruments: Names, start: Moment, end: Moment | None = ..., resolution: Length = ..., *,
    label: Label = ..., as_of: Moment | None = ..., recorded: Recorded = ...,
    **how: Unpack[PolarsOfDays],
) -> pl.DataFrame: ...  # fmt: skip
def candles(
    instruments: Names,
    start: Moment,
    end: Moment | None = None,
    resolution: Length = "1",
    *,
    label: Label = "open",
    as_of: Moment | None = None,
    recorded: Recorded = False,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Candles of instruments that open in the window, sorted by `opened_at`.

    On each UTC day whose candles of this resolution are stored and complete, the exchange's candles
    are returned; on any other day they are aggregated from its one-minute candles, if those are
    complete. A day that is not over is complete up to its last closed candle.

    Candles of 1d open at 08:00 UTC, those of 1w on Mondays at 08:00 UTC, so that a week is seven of
    the exchange's days. The last candle of 1d in a window needs the first 8 hours of the day after
    `end`, that of 1w all hours until the next Monday at 08:00. Candles of 180, 360 and 720 minutes
    open at the same times as stored ones of the instrument; if none are stored, they are counted
    from 00:00, which is undocumented (assumption:candles-anchor-180, assumption:candles-anchor-360,
    assumption:candles-anchor-720).
    All others are counted from 00:00 UTC. A length that the exchange does not publish, such as 4h
    or 1w, is aggregated from its coarsest stored resolution that is complete. A candle aggregated
    from minutes includes minutes without a trade, which repeat the last close.

    Parameters
    ----------
    instruments : str, or several
        A name such as BTC-PERPETUAL; a list of names; or a selector such as `kind=option
        currency=BTC expiry=2024-03-29`, for each instrument in the part of the window in which it
        was listed.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end` it ends
        with the last closed candle that is stored, of each instrument.
    resolution : str, int or timedelta
        As Deribit spells it (`1` to `720` minutes, `1D`), in minutes (`240`), or as 1m, 5m, 1h, 4h,
        1d, 1w. Each length that divides a day is possible.
    label : {"open", "close"}
        Whether a candle is dated by its opening, or as `closed_at` by its end. Funding and
        volatility are dated by their end: a join with them on `closed_at` does not look ahead.
    as_of : str, date or datetime, optional
        Return the candles as they were known at this instant of the exchange's clock (a day: at its
        end): what was published later is left out, what was revised since has its former values.
        Days of which some candles had closed by then and were stored later are not complete, except
        for the newest day: point-in-time history begins with the first backfill.
    recorded : bool, path or str
        Continue with the candles that stored and recorded trades make of the running day, as in
        the dataset `candles_rebuilt`; see `trades`. The candle that is not over is left out, and so
        is one in which trades are missing. Needs `complete_only=False`.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `opened_at`, or `closed_at`, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 6)
        open, high, low, close (quote currency), volume_base, volume_quote: float64; n is 0 where
        nothing is stored and `complete_only` is False. Of a list or a selector, `instrument_name`
        comes first, and rows of one instant are sorted as the names are; with `recorded`,
        `is_proved` comes last, and is False for candles made of trades. The `attrs` of a pandas
        frame name the `environment`, until when the rows are `proved_until`, and, as spans of days,
        those `rolled_up` from minutes and those `incomplete`, and `verdicts` by day.

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

    Examples
    --------
    >>> hours = read.candles(["BTC-PERPETUAL", "ETH-PERPETUAL"], "2024-01-01", "2024-01-07", "1h")
    >>> closes = hours.pivot(columns="instrument_name", values="close")
    >>> closes.shape
    (168, 2)
    """
    require_unproved(recorded, complete_only=complete_only)
    if recorded is not False and as_of is not None:
        raise InputError("as_of needs proved candles: leave out recorded.")
    length = arguments.length(resolution)
    arguments.one_of(label, "label", ("open", "close"))
    window = arguments.window(start, end)
    moment = None if as_of is None else arguments.known_at(as_of, window)

    def select(
        connection: Connection, held: Warehouse, name: str, part: TimeWindow
    ) -> SelectedRows:
        known = EVERYTHING
        if moment is not None:
            known = known_at(connection, name, moment, held.snapshot_at(connection, moment))
        found = candles_of_length(connection, name, length, part, known)
        found = found if moment is None else _stored_by(connection, found, moment)
        if recorded is not False:
            found = with_rebuilt(connection, held, recorded, found, length, part)
        return labelled(found, label, length)

    minutes = CANDLES[Resolution.MINUTE_1]
    how = How(frame, warehouse, complete_only)
    return read_series(wanted(instruments, minutes), window, select, how)


def labelled(selected: SelectedRows, label: Label, length: timedelta) -> SelectedRows:
    """The candles, dated by their opening or by their end."""
    if label == "open":
        return selected
    return replace(
        selected,
        query="select opened_at + to_seconds($labelled) as closed_at, * exclude (opened_at) "
        f"from ({selected.query})",
        parameters={**selected.parameters, "labelled": length // timedelta(seconds=1)},
        at="closed_at",
        order="closed_at",
    )


def _stored_by(connection: Connection, found: SelectedRows, moment: datetime) -> SelectedRows:
    """The same rows, proved until the newest that was stored by the moment."""
    until = [moment]
    for resolution, dataset in CANDLES.items():
        days = [
            proof.day for proof in found.proofs if proof.dataset == dataset.name and proof.received
        ]
        if days:
            arrived = arrived_by(connection, found.series, resolution, days, moment)
            until += [arrived.until] if arrived.until else []
    return replace(found, proved_until=min(found.proved_until, *until))


@overload
def historical_prices(
    instruments: Names, days: int = ..., *, label: Label = ..., **how: Unpack[PandasOfDays]
) -> pd.DataFrame: ...
@overload
def historical_prices(
    instruments: Names, days: int = ..., *, label: Label = ..., **how: Unpack[ArrowOfDays]
) -> pa.Table: ...
@overload
def historical_prices(
    instruments: Names, days: int = ..., *, label: Label = ..., **how: Unpack[PolarsOfDays]
) -> pl.DataFrame: ...
def historical_prices(
    instruments: Names,
    days: int = 7,
    *,
    label: Label = "open",
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Hourly prices of the last `days` UTC days, up to the newest complete one in the warehouse.

    Parameters
    ----------
    instruments : str, or several
        As in `candles`.
    days : int
        How many UTC days, 1 or more; the newest complete one is included.
    label : {"open", "close"}
        Whether an hour is dated by its opening, or as `closed_at` by its end.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete; with False,
        return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `opened_at`, or `closed_at`, in UTC.
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

    Examples
    --------
    >>> read.historical_prices("BTC-PERPETUAL", 2).shape
    (48, 5)
    """
    before = ONE_DAY // timedelta(minutes=1) * (arguments.whole(days, "days") - 1)
    arguments.one_of(label, "label", ("open", "close"))
    hour = Resolution.HOUR_1

    def select(connection: Connection, _: Warehouse, name: str, __: TimeWindow) -> SelectedRows:
        newest = candle_series.newest_complete_day(connection, name, hour)
        if newest is None:
            raise InputError(f"The warehouse holds no complete day of {name}.")
        first, end = day_window(newest).start, day_window(newest).end
        window = TimeWindow(arguments.earlier(first, before, f"{days} days"), end)
        found = candle_series.candles(connection, name, hour, window)
        columns = "opened_at, open, high, low, close, volume_base as volume"
        found = replace(found, query=f"select {columns} from ({found.query})")
        return labelled(found, label, hour.duration)

    how = How(frame, warehouse, complete_only)
    return read_series(wanted(instruments, CANDLES[hour]), arguments.EVER, select, how)
