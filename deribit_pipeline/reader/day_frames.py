"""What is known of the days of a warehouse, as frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack, overload

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import FAILED, DayState
from deribit_pipeline.domain.tables import quoted
from deribit_pipeline.engine.proof_reads import LAYOUTS, is_there
from deribit_pipeline.engine.selected_series import days_of
from deribit_pipeline.errors import InputError
from deribit_pipeline.reader import reader_arguments as arguments
from deribit_pipeline.reader.frame_kinds import (
    Arrow,
    Frame,
    FrameKind,
    Pandas,
    Place,
    Polars,
)
from deribit_pipeline.reader.frames import Rows
from deribit_pipeline.reader.reader_arguments import Moment
from deribit_pipeline.reader.reading import How, read_rows
from deribit_pipeline.reader.series_names import Names, wanted
from deribit_pipeline.warehouse.connections import has_table
from deribit_pipeline.warehouse.place import Connection

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

MISSING = "missing"
"""The condition of a day that was never requested."""

_NO_FAILURES = """
    select '' as dataset, '' as series, cast(null as date) as day, '' as reason,
           cast(null as timestamptz) as failed_at limit 0
"""

_CONDITION = """
    select series, day, coalesce(proof.state, if(failed.day is null, '{missing}', '{failed}'))
               as condition,
           proof.fetched_at as proved_at, proof.received as rows, proof.expected,
           proof.missing, coalesce(proof.verdict, failed.reason, '') as verdict, number
    from (select unnest($series) as series, unnest(range(len($series))) as number)
    cross join (select unnest($days) as day)
    left join ({proofs}) as proof using (series, day)
    left join ({failures}) as failed using (series, day)
"""

_COVERAGE = """
    select dataset, series, min(day) as first_day, max(day) as last_day,
           {states}, cast(sum(rows) as bigint) as rows,
           cast(sum(missing) as bigint) as missing, max(fetched_at) as proved_at
    from (
        select dataset, series, day, state, received as rows, missing, fetched_at from ({proofs})
        union all
        select dataset, series, day, '{failed}', 0, 0, null from ({failures}) as failed
        anti join ({proofs}) as proved using (dataset, series, day)
    )
    group by dataset, series
"""


@overload
def condition(
    dataset: str, series: Names, start: Moment, end: Moment | None = ..., **how: Unpack[Pandas]
) -> pd.DataFrame: ...
@overload
def condition(
    dataset: str, series: Names, start: Moment, end: Moment | None = ..., **how: Unpack[Arrow]
) -> pa.Table: ...
@overload
def condition(
    dataset: str, series: Names, start: Moment, end: Moment | None = ..., **how: Unpack[Polars]
) -> pl.DataFrame: ...
def condition(
    dataset: str,
    series: Names,
    start: Moment,
    end: Moment | None = None,
    *,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """What is known of each UTC day of series in the window, one row for each.

    Parameters
    ----------
    dataset : str
        Its name, such as candles_1m (or candles), candles_1d, funding_rates or trades.
    series : str, or several
        Its instruments, currencies, or indices such as btc_usd.
    start, end : str, date or datetime
        The days, in UTC, both included; without `end`, until today.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `day`, at 00:00 UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 6)
        condition: complete, open (not over yet), gapped (the exchange has no such rows),
        not_listed, not_proved (requested, and failed) or missing (never requested); proved_at, the
        exchange's time when it last returned something new for the day; rows, expected and missing
        rows; and a verdict or the reason of a failure. For several, `series` comes first.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    WarehouseError
        The warehouse cannot be read.

    Examples
    --------
    >>> days = read.condition("candles_1m", "BTC-PERPETUAL", "2024-01-01", "2024-01-03")
    >>> days["condition"].tolist()
    ['complete', 'complete', 'complete']
    """
    held = _dataset(dataset)
    which = wanted(series, held)
    if which.selectors:
        raise InputError(f"series must be names, was {series!r}.")
    window = arguments.window(start, end or arguments.current_day())
    days = days_of(window)
    column = "" if which.is_one else "series, "

    def select(connection: Connection) -> Rows:
        query = _CONDITION.format(
            missing=MISSING,
            failed=FAILED,
            proofs=_proofs(connection, [held]),
            failures=_failures(connection, [held]),
        )
        return Rows(
            f"select {column}* exclude (series) from ({query})",
            {"series": list(which.names), "days": days},
            ("day",),
            "day, number",
            "number",
        )

    return read_rows(select, How(frame, warehouse))


@overload
def coverage(dataset: str | None = ..., **how: Unpack[Pandas]) -> pd.DataFrame: ...
@overload
def coverage(dataset: str | None = ..., **how: Unpack[Arrow]) -> pa.Table: ...
@overload
def coverage(dataset: str | None = ..., **how: Unpack[Polars]) -> pl.DataFrame: ...
def coverage(
    dataset: str | None = None,
    *,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """What is stored of each dataset and series: one row for each that was ever requested.

    Parameters
    ----------
    dataset : str, optional
        Of this dataset alone, such as candles_1m (or candles) or trades.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. A pandas frame is indexed by `dataset` and `series`.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, 10)
        first_day and last_day; how many days are complete, open, gapped, not_listed and not_proved
        (requested, and failed); rows stored, rows missing at the exchange; and proved_at, the
        exchange's time when it last returned something new.

    Raises
    ------
    InputError
        An argument is wrong, or the warehouse does not exist.
    WarehouseError
        The warehouse cannot be read.

    Examples
    --------
    >>> int(read.coverage().loc[("candles_1m", "BTC-PERPETUAL"), "complete"])
    14
    """
    datasets = list(DATASETS.values()) if dataset is None else [_dataset(dataset)]
    states = [*DayState, FAILED]
    counts = ", ".join(f"count(*) filter (state = '{state}') as {state}" for state in states)

    def select(connection: Connection) -> Rows:
        query = _COVERAGE.format(
            states=counts,
            failed=FAILED,
            proofs=_proofs(connection, datasets),
            failures=_failures(connection, datasets),
        )
        return Rows(query, {}, ("dataset", "series"), "dataset, series")

    return read_rows(select, How(frame, warehouse))


def _dataset(name: str) -> Dataset:
    if name == "candles":
        return CANDLES[Resolution.MINUTE_1]
    return DATASETS[arguments.one_of(name, "dataset", list(DATASETS))]


def _proofs(connection: Connection, datasets: Sequence[Dataset]) -> str:
    """The proofs of datasets as a query, by the names of the datasets."""
    parts = []
    for tables in LAYOUTS:
        some = [each for each in datasets if each.proved_in is tables]
        if some and is_there(connection, tables):
            names = ", ".join(f"({quoted(each.name)}, {quoted(each.proved_as)})" for each in some)
            parts.append(
                f"select name as dataset, days.{tables.series} as series, day, state, fetched_at, "
                f"received, expected, missing, verdict from {tables.days.name} as days "
                f"join (values {names}) as named(name, proved_as) "
                f"on days.{tables.group} = proved_as"
            )
    return " union all ".join(parts)


def _failures(connection: Connection, datasets: Sequence[Dataset]) -> str:
    if not has_table(connection, "failed_days"):
        return _NO_FAILURES
    names = ", ".join(quoted(each.name) for each in datasets)
    return (
        "select dataset, series, day, reason, failed_at from failed_days "
        f"where dataset in ({names})"
    )
