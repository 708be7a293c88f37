"""Reads rows of any dataset on an open connection. Identifiers come only from the table
definitions."""

from collections.abc import Collection
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.domain import pieces
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.rows import Columns, Pieces, Rows
from deribit_pipeline.domain.tables import Column, Table, quoted
from deribit_pipeline.domain.windows import ONE_DAY, TimeWindow, day_window, from_moment64
from deribit_pipeline.warehouse.place import Connection


def columns_of(dataset: Dataset) -> tuple[Column, ...]:
    """The columns of its rows, without that of the series and those that are constant."""
    left_out = {series_of(dataset), *dict(dataset.constants)}
    return tuple(column for column in dataset.table.columns if column.name not in left_out)


def series_of(dataset: Dataset) -> str:
    """The column with the series of a row."""
    return dataset.table.key[0]


def of_series(dataset: Dataset) -> str:
    """The condition that selects the rows of a series; its parameter is `$series`."""
    same = "".join(f" and {name} = {quoted(value)}" for name, value in dataset.constants)
    return f"{series_of(dataset)} = $series{same}"


def rows_of(connection: Connection, dataset: Dataset, series: str, day: date) -> Rows:
    """The stored rows of a series' day, sorted by key. Of a bulky dataset, not more are in memory
    than those of a piece."""
    if not dataset.is_bulky:
        return rows_by_day(connection, dataset, series, [day])[day]
    window, rows = day_parameters(dataset, day), Pieces()
    divisions = _divisions(connection, dataset, series, window)
    for bounds in pairwise([None, *divisions, None]):
        of_piece = dict(zip(_OF_PIECE, bounds, strict=True))
        given = {name: bound for name, bound in of_piece.items() if bound is not None}
        rows.append(_rows(connection, dataset, series, window | given))
    return rows.rows()


def rows_by_day(
    connection: Connection, dataset: Dataset, series: str, days: Collection[date]
) -> dict[date, Columns]:
    """The stored rows of each of a series' days, sorted by key; days in between are read too."""
    rows = _rows(connection, dataset, series, day_parameters(dataset, min(days), max(days)))
    row_days = rows[dataset.at].astype("datetime64[D]")
    by_day = {}
    for day in days:
        first = np.datetime64(day, "D")
        of_day = slice(*row_days.searchsorted([first, first + 1]))
        by_day[day] = {name: values[of_day] for name, values in rows.items()}
    return by_day


def rows_within(
    connection: Connection, dataset: Dataset, series: str, window: TimeWindow
) -> Columns:
    """The stored rows whose instant is in the window, sorted by day and key."""
    return _rows(connection, dataset, series, {"start": window.start, "end": window.end})


def _divisions(
    connection: Connection, dataset: Dataset, series: str, window: dict[str, object]
) -> list[object]:
    """Where the rows of a window are divided into pieces, in order: values of the key's first
    column, so that rows with the same value stay together."""
    column = dataset.table.column(dataset.key[0])
    found = connection.execute(
        f"""
        select {_as_number(column)} from {dataset.table.name}
        where {of_series(dataset)} and {on_day(dataset)}
        """,
        {"series": series} | window,
    ).fetchnumpy()
    keys = _array_of(column, found[column.name])
    keys.sort()
    values = np.unique(keys[pieces.PIECE :: pieces.PIECE])
    return list(map(from_moment64, values)) if values.dtype.kind == "M" else values.tolist()


_OF_PIECE = {"key_from": ">=", "key_until": "<"}
"""The parameters that bound a piece by the first column of the key, and how."""


def _rows(
    connection: Connection, dataset: Dataset, series: str, window: dict[str, object]
) -> Columns:
    """The rows of a window, and of a piece of it if it has the parameters `_OF_PIECE`."""
    table, columns = dataset.table, columns_of(dataset)
    order = (
        dataset.key if dataset.key[0] == dataset.at else (day_of(table, dataset.at), *dataset.key)
    )
    of_piece = [
        f"{dataset.key[0]} {sign} ${name}" for name, sign in _OF_PIECE.items() if name in window
    ]
    found = connection.execute(
        f"""
        select {", ".join(_as_number(column) for column in columns)}
        from {table.name}
        where {" and ".join([of_series(dataset), on_day(dataset), *of_piece])}
        order by {", ".join(order)}
        """,
        {"series": series} | window,
    ).fetchnumpy()
    return {column.name: _array_of(column, found[column.name]) for column in columns}


def days_without_proof(
    connection: Connection, dataset: Dataset, selection: Selection
) -> list[tuple[str, date, int]]:
    """Series and day of rows without a proof, and how many they are."""
    table, tables, series = dataset.table, dataset.proved_in, series_of(dataset)
    same = "".join(f" and {name} = {quoted(value)}" for name, value in dataset.constants)
    return connection.execute(
        f"""
        with held as (
            select {series} as series, {day_of(table, dataset.at)} as day, count(*) as rows
            from {table.name}
            where (len($series) = 0 or {series} in $series){same}
            group by all
        ), proved as (
            select {tables.series} as series, day from {tables.days.name}
            where {tables.group} = $name
        )
        select series, day, rows
        from held anti join proved using (series, day)
        where ($first is null or day >= $first) and ($last is null or day <= $last)
        order by all
        """,
        {
            "name": dataset.proved_as,
            "series": list(selection.series),
            "first": selection.first,
            "last": selection.last,
        },
    ).fetchall()


def on_day(dataset: Dataset) -> str:
    """The condition that selects the rows of a day, or of several; its parameters are
    `day_parameters`."""
    return f"{dataset.at} >= $start and {dataset.at} < $end"


def day_parameters(dataset: Dataset, day: date, last: date | None = None) -> dict[str, object]:
    """The parameters of `on_day` for the day, or for the days up to the last one."""
    table, end = dataset.table, (last or day) + ONE_DAY
    return {
        "start": beginning_of(table, dataset.at, day),
        "end": beginning_of(table, dataset.at, end),
    }


def day_of(table: Table, at: str) -> str:
    """The UTC day of a row, from its column of dates or instants, in SQL."""
    return at if table.column(at).type == "date" else f"cast(timezone('UTC', {at}) as date)"


def beginning_of(table: Table, at: str, day: date) -> date | datetime:
    """The start of a UTC day, for a column of dates or instants."""
    return day if table.column(at).type == "date" else day_window(day).start


def _as_number(column: Column) -> str:
    """A column in a form that numpy can represent: no time zone, no JSON."""
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
