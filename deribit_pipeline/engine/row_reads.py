"""Days of every dataset but candles, read on a connection that somebody else opened. Identifiers
come from the tables alone."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.candles.reads import days_with_verdict
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import CrossCheck, DatasetProof, DayState
from deribit_pipeline.domain.tables import Column, Table
from deribit_pipeline.domain.windows import ONE_DAY, day_window
from deribit_pipeline.warehouse.place import Connection

Rows = dict[str, NDArray[Any]]
"""Rows by column in the table's order, without that of the series: float64 (NaN for null), int64,
datetime64[ms], datetime64[D], or objects that are texts (None for null)."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_FITS = """
    (len($datasets) = 0 or dataset in $datasets)
    and (len($series) = 0 or series in $series)
    and ($first is null or day >= $first)
    and ($last is null or day <= $last)
"""


def proofs(
    connection: Connection,
    datasets: Collection[str] = (),
    series: Collection[str] = (),
    first: date | None = None,
    last: date | None = None,
) -> list[DatasetProof]:
    """The proofs of every day that fits, by dataset, series and day."""
    rows = connection.execute(
        f"""
        select dataset, series, day, state, expected, received, missing, content_hash, revised,
               verdict, epoch_us(fetched_at), coalesce(cross_check, 'none')
        from {days_with_verdict("dataset_days")}
        where {_FITS}
        order by dataset, series, day
        """,
        _fits(datasets, series, first, last),
    ).fetchall()
    return [
        DatasetProof(
            dataset, name, day, DayState(state), expected, received, missing, content_hash,
            revised, verdict, _EPOCH + timedelta(microseconds=fetched_us), CrossCheck(cross_check),
        )
        for (
            dataset, name, day, state, expected, received, missing, content_hash, revised, verdict,
            fetched_us, cross_check,
        ) in rows
    ]  # fmt: skip


def runs_of_days(
    connection: Connection, datasets: Collection[str] = (), series: Collection[str] = ()
) -> dict[tuple[str, str, date], str]:
    """The id of the run that wrote a day, by dataset, series and day."""
    rows = connection.execute(
        f"select dataset, series, day, run_id from dataset_days where {_FITS}",
        _fits(datasets, series, None, None),
    ).fetchall()
    return {(dataset, name, day): run_id for dataset, name, day, run_id in rows}


def gaps_of_days(
    connection: Connection,
    datasets: Collection[str] = (),
    series: Collection[str] = (),
    first: date | None = None,
    last: date | None = None,
) -> dict[tuple[str, str, date], list[tuple[str, int, datetime]]]:
    """The gaps of each day, how many rows lack in each, and when they were last asked for in vain,
    by dataset, series and day."""
    rows = connection.execute(
        f"""
        select dataset, series, day, gap, missing, epoch_us(confirmed_at) from dataset_gaps
        where {_FITS} order by all
        """,
        _fits(datasets, series, first, last),
    ).fetchall()
    found: dict[tuple[str, str, date], list[tuple[str, int, datetime]]] = {}
    for dataset, name, day, gap, missing, confirmed_us in rows:
        confirmed_at = _EPOCH + timedelta(microseconds=confirmed_us)
        found.setdefault((dataset, name, day), []).append((gap, missing, confirmed_at))
    return found


def rows_of(connection: Connection, dataset: Dataset, series: str, day: date) -> Rows:
    """The rows held of a series' day, sorted by key."""
    return rows_by_day(connection, dataset, series, [day])[day]


def rows_by_day(
    connection: Connection, dataset: Dataset, series: str, days: Collection[date]
) -> dict[date, Rows]:
    """The rows held of each of a series' days, sorted by key; what is between them is read too."""
    table = dataset.table
    columns = table.columns_but(table.key[0])
    found = connection.execute(
        f"""
        select {", ".join(_as_number(column) for column in columns)},
               {day_of(table, dataset.at)} - date '1970-01-01' as row_day
        from {table.name}
        where {table.key[0]} = $series and {on_day(dataset)}
        order by row_day, {", ".join(dataset.key)}
        """,
        {"series": series} | day_parameters(table, dataset, min(days), max(days)),
    ).fetchnumpy()
    row_days = np.asarray(found.pop("row_day"), np.int64)
    rows = {column.name: _array_of(column, found[column.name]) for column in columns}
    by_day = {}
    for day in days:
        number = (day - _EPOCH.date()).days
        of_day = slice(*row_days.searchsorted([number, number + 1]))
        by_day[day] = {name: values[of_day] for name, values in rows.items()}
    return by_day


def days_without_proof(
    connection: Connection, dataset: Dataset, series: Collection[str] = ()
) -> list[tuple[str, date, int]]:
    """Series and day of rows that no proof speaks of, and how many."""
    table = dataset.table
    return connection.execute(
        f"""
        with held as (
            select {table.key[0]} as series, {day_of(table, dataset.at)} as day, count(*) as rows
            from {table.name}
            where len($series) = 0 or {table.key[0]} in $series
            group by all
        )
        select series, day, rows
        from held
        where not exists (
            from dataset_days as proof
            where proof.dataset = $dataset and proof.series = held.series and proof.day = held.day
        )
        order by all
        """,
        {"dataset": dataset.name, "series": list(series)},
    ).fetchall()


def on_day(dataset: Dataset) -> str:
    """What holds of the rows of a day, or of several; its parameters are `day_parameters`."""
    return f"{dataset.at} >= $start and {dataset.at} < $end"


def day_parameters(
    table: Table, dataset: Dataset, day: date, last: date | None = None
) -> dict[str, object]:
    """The day, or those to the last one, as `on_day` wants them."""
    end = (last or day) + ONE_DAY
    return {
        "start": beginning_of(table, dataset.at, day),
        "end": beginning_of(table, dataset.at, end),
    }


def day_of(table: Table, at: str) -> str:
    """The UTC day of a row, by its column of dates or of instants."""
    return at if table.column(at).type == "date" else f"cast(timezone('UTC', {at}) as date)"


def beginning_of(table: Table, at: str, day: date) -> date | datetime:
    """Where a UTC day begins in a column of dates or of instants."""
    return day if table.column(at).type == "date" else day_window(day).start


def _as_number(column: Column) -> str:
    """A column as numpy can have it: no time zone, no JSON."""
    casts = {
        "timestamptz": f"epoch_ms({column.name})",
        "date": f"epoch_ms({column.name}) // 86400000",
        "json": f"cast({column.name} as varchar)",
    }
    return f"{casts.get(column.type, column.name)} as {column.name}"


def _array_of(column: Column, values: NDArray[Any]) -> NDArray[Any]:
    """A column as it was read, null as NaN or None."""
    if column.type == "timestamptz":
        return np.asarray(values).astype("datetime64[ms]")
    if column.type == "date":
        return np.asarray(values).astype("datetime64[D]")
    if not isinstance(values, np.ma.MaskedArray):
        return values.astype(object) if values.dtype.kind in "OU" else values
    plain = values.data if values.dtype.kind == "f" else values.data.astype(object)
    plain[np.ma.getmaskarray(values)] = np.nan if values.dtype.kind == "f" else None
    return plain


def _fits(
    datasets: Collection[str], series: Collection[str], first: date | None, last: date | None
) -> dict[str, object]:
    return {"datasets": list(datasets), "series": list(series), "first": first, "last": last}
