"""Days of every dataset but candles: read and written whole, on a connection that somebody else
opened. Identifiers come from the tables alone."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deribit_pipeline.datasets import Dataset
from deribit_pipeline.domain import DatasetProof, DayState, day_window
from deribit_pipeline.warehouse import account_tables, market_tables
from deribit_pipeline.warehouse.reads import Connection
from deribit_pipeline.warehouse.tables import Column, Table
from deribit_pipeline.warehouse.writes import Provenance

Rows = dict[str, NDArray[Any]]
"""Rows by column in the table's order, without that of the series: float64 (NaN for null), int64,
datetime64[ms], datetime64[D], or objects that are texts (None for null)."""

_TABLES = {table.name: table for table in (*market_tables.TABLES, *account_tables.TABLES)}
_EPOCH = datetime.fromtimestamp(0, UTC)
_FITS = """
    (len($datasets) = 0 or dataset in $datasets)
    and (len($series) = 0 or series in $series)
    and ($first is null or day >= $first)
    and ($last is null or day <= $last)
"""
_OF_DAY = "dataset = $dataset and series = $series and day = $day"


def table_of(dataset: Dataset) -> Table:
    """The table that holds a dataset's rows; its first key column is the series."""
    return _TABLES[dataset.name]


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
               verdict, epoch_us(fetched_at)
        from dataset_days
        where {_FITS}
        order by dataset, series, day
        """,
        _fits(datasets, series, first, last),
    ).fetchall()
    return [
        DatasetProof(
            dataset, name, day, DayState(state), expected, received, missing, content_hash,
            revised, verdict, _EPOCH + timedelta(microseconds=fetched_us),
        )
        for (
            dataset, name, day, state, expected, received, missing, content_hash, revised, verdict,
            fetched_us,
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
    table = table_of(dataset)
    columns = table.columns_but(table.key[0])
    found = connection.execute(
        f"""
        select {", ".join(_as_number(column) for column in columns)}
        from {table.name}
        where {table.key[0]} = $series and {_on_day(table, dataset)}
        order by {", ".join(dataset.key)}
        """,
        {"series": series} | _day(table, dataset, day),
    ).fetchnumpy()
    return {column.name: _array_of(column, found[column.name]) for column in columns}


def days_without_proof(
    connection: Connection, dataset: Dataset, series: Collection[str] = ()
) -> list[tuple[str, date, int]]:
    """Series and day of rows that no proof speaks of, and how many."""
    table = table_of(dataset)
    return connection.execute(
        f"""
        with held as (
            select {table.key[0]} as series, {_day_of(table, dataset)} as day, count(*) as rows
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


def write_day(
    connection: Connection,
    dataset: Dataset,
    proof: DatasetProof,
    rows: Rows,
    *,
    gaps: Sequence[tuple[str, int]],
    replaced: Rows,
    former: DatasetProof | None,
    provenance: Provenance,
    as_of: datetime,
) -> None:
    """Write a whole day: rows, proof, gaps and revisions. A day about which nothing new was said
    (`proof` is `former`) is left alone, but for its gaps, which count one more confirmation."""
    of_day = {"dataset": dataset.name, "series": proof.series, "day": proof.day}
    if former is not None or gaps:
        _write_gaps(connection, of_day, gaps, as_of)
    if proof is former:
        return
    if former is not None:
        _keep_revisions(connection, dataset, of_day, replaced, former, provenance, as_of)
        _delete(connection, dataset, proof.series, proof.day)
        connection.execute(f"delete from dataset_days where {_OF_DAY}", of_day)
    _insert(connection, table_of(dataset), proof.series, rows)
    connection.execute(
        "insert into dataset_days values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14)",
        [
            proof.dataset, proof.series, proof.day, str(proof.state), proof.expected,
            proof.received, proof.missing, proof.content_hash, proof.revised, proof.verdict,
            proof.fetched_at, str(provenance.environment), provenance.source, provenance.run_id,
        ],
    )  # fmt: skip


def _insert(connection: Connection, table: Table, series: str, rows: Rows) -> None:
    if not len(next(iter(rows.values()))):
        return
    columns = table.columns_but(table.key[0])
    names = ", ".join(column.name for column in columns)
    values = ", ".join(_as_stored(column) for column in columns)
    with _registered(connection, "incoming", rows):
        connection.execute(
            f"insert into {table.name} ({table.key[0]}, {names}) "
            f"select $series, {values} from incoming",
            {"series": series},
        )


def _delete(connection: Connection, dataset: Dataset, series: str, day: date) -> None:
    table = table_of(dataset)
    connection.execute(
        f"delete from {table.name} where {table.key[0]} = $series and {_on_day(table, dataset)}",
        {"series": series} | _day(table, dataset, day),
    )


def _write_gaps(
    connection: Connection,
    of_day: dict[str, object],
    gaps: Sequence[tuple[str, int]],
    confirmed_at: datetime,
) -> None:
    """The gaps of the day: those that were filled go, the others count one more confirmation."""
    former: dict[str, int] = dict(
        connection.execute(
            f"select gap, confirmed from dataset_gaps where {_OF_DAY}", of_day
        ).fetchall()
    )
    if former:
        connection.execute(f"delete from dataset_gaps where {_OF_DAY}", of_day)
    if gaps:
        connection.executemany(
            "insert into dataset_gaps values ($1, $2, $3, $4, $5, $6, $7)",
            [
                (*of_day.values(), gap, missing, former.get(gap, 0) + 1, confirmed_at)
                for gap, missing in gaps
            ],
        )


def _keep_revisions(
    connection: Connection,
    dataset: Dataset,
    of_day: dict[str, object],
    replaced: Rows,
    former: DatasetProof,
    provenance: Provenance,
    as_of: datetime,
) -> None:
    """Keep the rows that the day replaces, as they are held, with the time over which they were."""
    if not len(next(iter(replaced.values()))):
        return
    table = table_of(dataset)
    keys = {name: replaced[name] for name in dataset.key}
    typed = {column.name: _as_stored(column) for column in table.columns}
    with _registered(connection, "changed", keys):
        connection.execute(
            f"""
            insert into dataset_revisions
            with former as (
                select concat_ws(' ', {", ".join(dataset.key)}) as row_key, to_json(whole) as held
                from {table.name} as whole
                where {table.key[0]} = $series and {_on_day(table, dataset)}
                  and ({", ".join(dataset.key)}) in (
                      select ({", ".join(typed[name] for name in dataset.key)}) from changed
                  )
            )
            select $dataset, $series, $day, row_key, held,
                   coalesce(
                       (
                           select max(replaced_at) from dataset_revisions as earlier
                           where earlier.dataset = $dataset and earlier.series = $series
                             and earlier.row_key = former.row_key
                       ),
                       $held_from
                   ),
                   $replaced_at, $run_id
            from former
            """,
            of_day
            | _day(table, dataset, former.day)
            | {
                "held_from": former.fetched_at,
                "replaced_at": as_of,
                "run_id": provenance.run_id,
            },
        )


@contextmanager
def _registered(connection: Connection, name: str, rows: Rows) -> Iterator[None]:
    """Rows as a relation that a statement can read: of texts, DuckDB reads frames alone."""
    frame = pd.DataFrame(
        {
            column: pd.Series(
                values.astype("datetime64[s]") if values.dtype.str.endswith("[D]") else values,
                dtype=object if values.dtype.kind == "O" else None,
            )
            for column, values in rows.items()
        }
    )
    connection.register(name, frame)
    try:
        yield
    finally:
        connection.unregister(name)


def _on_day(table: Table, dataset: Dataset) -> str:
    if table.column(dataset.at).type == "date":
        return f"{dataset.at} = $day"
    return f"{dataset.at} >= $start and {dataset.at} < $end"


def _day(table: Table, dataset: Dataset, day: date) -> dict[str, object]:
    if table.column(dataset.at).type == "date":
        return {"day": day}
    window = day_window(day)
    return {"start": window.start, "end": window.end}


def _day_of(table: Table, dataset: Dataset) -> str:
    if table.column(dataset.at).type == "date":
        return dataset.at
    return f"cast(timezone('UTC', {dataset.at}) as date)"


def _as_number(column: Column) -> str:
    """A column as numpy can have it: no time zone, no JSON."""
    casts = {
        "timestamptz": f"epoch_ms({column.name})",
        "date": f"epoch_ms({column.name}) // 86400000",
        "json": f"cast({column.name} as varchar)",
    }
    return f"{casts.get(column.type, column.name)} as {column.name}"


def _as_stored(column: Column) -> str:
    """A column of arrays as the table has it."""
    if column.type == "double" and column.is_nullable:
        return f"case when isnan({column.name}) then null else {column.name} end"
    return f"cast({column.name} as {column.type})"


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
