"""Recorded snapshots as frames: chains and smiles of a moment, and all rows of a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Unpack, overload

from deribit_pipeline.datasets.book_summaries import BOOK_SUMMARIES
from deribit_pipeline.datasets.book_summaries.smile_reads import has_snapshot, newest_snapshot
from deribit_pipeline.domain.proofs import Proof
from deribit_pipeline.domain.windows import ONE_DAY, TimeWindow, day_window
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.selected_series import SelectedRows, state_as_text
from deribit_pipeline.reader import reader_arguments as arguments
from deribit_pipeline.reader.frame_kinds import (
    ArrowOfDays,
    Frame,
    FrameKind,
    PandasOfDays,
    Place,
    PolarsOfDays,
)
from deribit_pipeline.reader.reader_arguments import EVER, Moment
from deribit_pipeline.reader.reading import How, Select, of_dataset, read_series
from deribit_pipeline.reader.series_names import Names, wanted
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@overload
def book_summaries(
    currencies: Names, start: Moment, end: Moment | None = ..., **how: Unpack[PandasOfDays]
) -> pd.DataFrame: ...
@overload
def book_summaries(
    currencies: Names, start: Moment, end: Moment | None = ..., **how: Unpack[ArrowOfDays]
) -> pa.Table: ...
@overload
def book_summaries(
    currencies: Names, start: Moment, end: Moment | None = ..., **how: Unpack[PolarsOfDays]
) -> pl.DataFrame: ...
def book_summaries(
    currencies: Names,
    start: Moment,
    end: Moment | None = None,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Recorded snapshots of all instruments in the window: quotes, marks, mark IV, open interest.

    Parameters
    ----------
    currencies : str, or several
        BTC, ETH, USDC, USDT or EURR, or a list of them.
    start, end : str, date or datetime
        The window, in UTC. A day (`2024-01-31`) is included whole, the last one too; an instant
        (`2024-01-31T08:00`) is included as `start` and excluded as `end`. Without `end` it ends
        with the newest stored row.
    complete_only : bool
        Raise IncompleteDays where a day that the window touches is not proved complete, such as one
        with a slot that was not recorded; with False, return the stored rows.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `snapshot_at`, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, k)
        The columns of the table `book_summaries`, with the units of the data dictionary; `currency`
        only for several. A snapshot was not known before its `received_at`.

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
    >>> summaries = read.book_summaries("BTC", "2024-01-14", "2024-01-14")
    >>> summaries.index.unique().strftime("%H:%M").tolist()
    ['00:00', '12:00']
    """
    how = How(frame, warehouse, complete_only)
    window = arguments.window(start, end)
    return read_series(wanted(currencies, BOOK_SUMMARIES), window, of_dataset(BOOK_SUMMARIES), how)


@overload
def option_chain(
    currencies: Names, moment: Moment | None = ..., **how: Unpack[PandasOfDays]
) -> pd.DataFrame: ...
@overload
def option_chain(
    currencies: Names, moment: Moment | None = ..., **how: Unpack[ArrowOfDays]
) -> pa.Table: ...
@overload
def option_chain(
    currencies: Names, moment: Moment | None = ..., **how: Unpack[PolarsOfDays]
) -> pl.DataFrame: ...
def option_chain(
    currencies: Names,
    moment: Moment | None = None,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Options of the newest recorded snapshot that was received by a moment, with their greeks.

    It is the macro `option_chain` of the warehouse; docs/options.md has the conventions.

    Parameters
    ----------
    currencies : str, or several
        BTC, ETH or USDC (options of all linear indices), or a list of them.
    moment : str, date or datetime, optional
        An instant in UTC such as `2024-01-31T08:00`, or a day, whose end it is. By default the
        newest stored snapshot is read.
    complete_only : bool
        Raise IncompleteDays where the snapshot of the moment was not recorded or is not stored;
        with False, return an earlier one.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `instrument_name`.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 23)
        index_name, expiry, strike, option_type, forward; bid, ask and mark, in coins or quote
        currency, and as bid_usd, ask_usd, mark_usd; mark_iv, bid_iv, ask_iv in percent a year;
        delta, gamma, vega, theta, rho; open_interest, volume; snapshot_at and received_at. For
        several, `currency` comes first.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    IncompleteDays
        The snapshot of the moment is missing.
    WarehouseError
        The warehouse cannot be read.

    Examples
    --------
    >>> chain = read.option_chain("BTC", "2024-01-14T12:30")
    >>> chain.loc["BTC-28JAN24-42000-C", ["mark_iv", "delta"]].astype(float).round(2).tolist()
    [60.15, 0.53]
    """
    how = How(frame, warehouse, complete_only)
    select = _at(moment, "option_chain", "index_name, expiry, strike, option_type")
    return read_series(wanted(currencies, BOOK_SUMMARIES), EVER, select, how, ("instrument_name",))


@overload
def option_smile(
    currencies: Names, moment: Moment | None = ..., **how: Unpack[PandasOfDays]
) -> pd.DataFrame: ...
@overload
def option_smile(
    currencies: Names, moment: Moment | None = ..., **how: Unpack[ArrowOfDays]
) -> pa.Table: ...
@overload
def option_smile(
    currencies: Names, moment: Moment | None = ..., **how: Unpack[PolarsOfDays]
) -> pl.DataFrame: ...
def option_smile(
    currencies: Names,
    moment: Moment | None = None,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """Volatility at the forward, risk reversals and butterflies of each expiry, in the newest
    recorded snapshot that was received by a moment.

    It is the macro `option_smile` of the warehouse; docs/options.md has the conventions.

    Parameters
    ----------
    currencies : str, or several
        BTC, ETH or USDC (options of all linear indices), or a list of them.
    moment : str, date or datetime, optional
        An instant in UTC such as `2024-01-31T08:00`, or a day, whose end it is. By default the
        newest stored snapshot is read.
    complete_only : bool
        Raise IncompleteDays where the snapshot of the moment was not recorded or is not stored;
        with False, return an earlier one.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `expiry`, in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 10)
        index_name, days, forward; atm_iv, risk_reversal_25, butterfly_25, risk_reversal_10 and
        butterfly_10 in percent a year; snapshot_at and received_at. For several, `currency` comes
        first.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    IncompleteDays
        The snapshot of the moment is missing.
    WarehouseError
        The warehouse cannot be read.

    Examples
    --------
    >>> smile = read.option_smile("BTC", "2024-01-14T12:30")
    >>> smile["atm_iv"].round(1).tolist()
    [60.0, 60.0]
    """
    how = How(frame, warehouse, complete_only)
    select = _at(moment, "option_smile", "index_name, expiry")
    return read_series(wanted(currencies, BOOK_SUMMARIES), EVER, select, how, ("expiry",))


def _at(moment: Moment | None, macro: str, order: str) -> Select:
    """Selects the rows of a macro of the newest snapshot that was received by a moment."""
    by = None if moment is None else arguments.instant(moment, "moment")

    def select(connection: Connection, _: Warehouse, name: str, __: TimeWindow) -> SelectedRows:
        known = by or datetime.now(UTC)
        snapshot_at = newest_snapshot(connection, name, known)
        wanted_at = snapshot_at if by is None and snapshot_at is not None else known
        wanted_at -= timedelta.resolution  # at midnight, of the day that ends
        first = (snapshot_at or wanted_at).date()
        proofs = proofs_of(connection, BOOK_SUMMARIES, (name,), first, wanted_at.date())
        return SelectedRows(
            BOOK_SUMMARIES,
            name,
            f"select * from {macro}($currency, $moment)",
            {"currency": name, "moment": known},
            "snapshot_at",
            order,
            # The verdict of a day is on its other snapshots.
            [replace(proof, verdict="") for proof in proofs],
            _missing(connection, name, proofs, snapshot_at, wanted_at),
            snapshot_at or known,
        )

    return select


def _missing(
    connection: Connection,
    currency: str,
    proofs: Sequence[Proof],
    snapshot_at: datetime | None,
    wanted_at: datetime,
) -> Mapping[date, str]:
    """The day of the moment, with its state, unless the snapshot of the moment's slot is stored: if
    it had not been received by then, that of the slot before must be."""
    day = wanted_at.date()
    proof = {each.day: each for each in proofs}.get(day)
    if proof is None or snapshot_at is None:
        return {day: state_as_text(proof)}
    every = ONE_DAY / max(proof.expected, 1)
    begins = day_window(day).start
    slot = begins + (wanted_at - begins) // every * every
    if snapshot_at >= slot or (
        snapshot_at >= slot - every and has_snapshot(connection, currency, slot, slot + every)
    ):
        return {}
    return {day: f"{proof.state}, no snapshot since {snapshot_at:%Y-%m-%d %H:%M}"}
