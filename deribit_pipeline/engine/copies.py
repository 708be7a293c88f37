"""Copies days from one warehouse to another: which days differ, and whole pieces of them.

A dataset's days are more than its rows: proofs, gaps, revisions and arrivals belong to them. Within
one DuckDB that has both warehouses attached, millions of rows a second are copied.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proof_tables import SERIES_PROOFS, Noted, ProofTables
from deribit_pipeline.domain.tables import Table
from deribit_pipeline.domain.windows import ONE_DAY
from deribit_pipeline.engine.proof_hashes import sum_of
from deribit_pipeline.engine.proof_reads import LAYOUTS, DatasetDay
from deribit_pipeline.engine.row_reads import beginning_of, day_of, series_of
from deribit_pipeline.engine.series_proofs import Added, add_to_series
from deribit_pipeline.warehouse.place import SOURCE, Change, Connection
from deribit_pipeline.warehouse.schema import TABLES, WAREHOUSE_INFO
from deribit_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class HeldDay:
    """The stored contents of a series' day: the number of rows, a checksum over everything recorded
    about them, and when something was last recorded, in microseconds since 1970."""

    rows: int
    mark: int
    noted_us: int


@dataclass(frozen=True, slots=True)
class Span:
    """Days of a series from `first` to `last`, both included."""

    series: str
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class _Part:
    """A table with data of a dataset's days: the column of the series, and the column with the
    instant or day of a row. `noted_at` is when a row was recorded, in tables of gaps, arrivals and
    revisions; `of` is the condition that selects the rows of a dataset, with the parameter
    `name`."""

    table: Table
    series: str
    at: str
    noted_at: str = ""
    of: str = ""

    @property
    def among(self) -> str:
        """The condition that selects the rows of some days, for a statement whose `from` has the
        table and the spans; its parameters are those of `days`."""
        name = self.table.name
        return f"""
            {name}.{self.series} = span.series
            and {name}.{self.at} >= span.begin and {name}.{self.at} < span.until
            and {name}.{self.series} between $lowest and $highest
            and {name}.{self.at} >= $begin and {name}.{self.at} < $until
            {f"and {name}.{self.of}" if self.of else ""}
        """

    def days(self, dataset: Dataset, spans: Sequence[Span]) -> dict[str, object]:
        """The parameters of `among`: the days, and the range that contains all of them, which lets
        DuckDB skip files and row groups."""
        begins = partial(beginning_of, self.table, self.at)
        return {
            "spans": [
                {
                    "series": span.series,
                    "begin": begins(span.first),
                    "until": begins(span.last + ONE_DAY),
                }
                for span in spans
            ],
            "lowest": min(span.series for span in spans),
            "highest": max(span.series for span in spans),
            "begin": begins(min(span.first for span in spans)),
            "until": begins(max(span.last for span in spans) + ONE_DAY),
        } | ({"name": dataset.proved_as} if self.of else {})


_SPANS = "(select unnest($spans, recursive := true)) as span"


def _proof_parts(tables: ProofTables) -> list[_Part]:
    """The tables of proofs and of gaps, arrivals and revisions, the proofs last."""
    days = Noted(tables.days, "day", "fetched_at")
    return [
        _Part(noted.table, tables.series, noted.at, noted.noted_at, f"{tables.group} = $name")
        for noted in (*tables.notes, days)
    ]


def _parts(dataset: Dataset) -> list[_Part]:
    """The tables with data of the dataset's days, the proofs last."""
    table, tables = dataset.table, dataset.proved_in
    of = f"{tables.group} = $name" if tables.group in dict(dataset.constants) else ""
    return [_Part(table, series_of(dataset), dataset.at, "", of), *_proof_parts(tables)]


_BY_DAY = {part.table.name for dataset in DATASETS.values() for part in _parts(dataset)}

_NOT_WHOLE = {*_BY_DAY, WAREHOUSE_INFO.name, SERIES_PROOFS.name}

WHOLE = tuple(table for table in TABLES if table.name not in _NOT_WHOLE)
"""The tables that belong to no dataset, and are copied whole."""


def held_days(connection: Connection) -> dict[DatasetDay, HeldDay]:
    """Everything stored, by dataset name, series and day, in this order."""
    names = {(dataset.proved_in, dataset.proved_as): dataset.name for dataset in DATASETS.values()}
    found = {
        (names[tables, name], series, day): HeldDay(*held)
        for tables in LAYOUTS
        for name, series, day, *held in _noted(connection, tables)
    }
    return dict(sorted(found.items()))


def _noted(connection: Connection, tables: ProofTables) -> list[tuple[Any, ...]]:
    """Everything recorded about rows, by the dataset's name in these tables, series and day."""
    parts = " union all ".join(
        f"""
        select {tables.group} as dataset, {part.series} as series,
               {day_of(part.table, part.at)} as day,
               {"received" if part.table is tables.days else 0} as rows,
               hash('{part.table.name}', {_columns(part.table)}) as mark,
               epoch_us({part.noted_at}) as noted_us
        from {part.table.name}
        """
        for part in _proof_parts(tables)
    )
    return connection.execute(
        f"""
        select dataset, series, day, sum(rows)::bigint, sum(mark), max(noted_us)
        from ({parts}) group by all
        """
    ).fetchall()


def held_whole(connection: Connection, table: Table) -> tuple[int, int]:
    """The number of rows of a table, and a checksum of all of them."""
    [found] = connection.execute(
        f"select count(*), coalesce(sum(hash({_columns(table)})), 0) from {table.name}"
    ).fetchall()
    rows, mark = found
    return int(rows), int(mark)


def row_counts(connection: Connection) -> dict[str, int]:
    """How many rows each table has."""
    return {
        table.name: connection.execute(f"select count(*) from {table.name}").fetchall()[0][0]
        for table in TABLES
    }


def _columns(table: Table) -> str:
    return ", ".join(column.name for column in table.columns)


def copy_days(
    source: Warehouse,
    target: Warehouse,
    dataset: Dataset,
    spans: Sequence[Span],
    require: Change[None] = lambda connection: None,
) -> None:
    """Replace everything that `target` holds of these days by that of `source`, in one transaction,
    which begins with `require`: it raises if `target` has changed by then."""

    def copy(connection: Connection) -> None:
        require(connection)
        *_, proofs = parts = _parts(dataset)
        held = _hashes(connection, dataset, proofs, spans)
        for part in parts:
            table, days = part.table.name, part.days(dataset, spans)
            if held:
                connection.execute(f"delete from {table} using {_SPANS} where {part.among}", days)
            connection.execute(
                f"insert into {table} by name "
                f"select {table}.* from {SOURCE}.{table}, {_SPANS} where {part.among}",
                days,
            )
        copied = _hashes(connection, dataset, proofs, spans)
        added = {}
        for series in held | copied:
            (some, total), (former, former_total) = (
                sums.get(series, (0, 0)) for sums in (copied, held)
            )
            added[series] = (some - former, total - former_total)
        add_to_series(connection, dataset, added, is_merging=bool(held))

    _copy(source, target, copy, {span.series for span in spans})


def _hashes(
    connection: Connection, dataset: Dataset, proofs: _Part, spans: Sequence[Span]
) -> dict[str, Added]:
    """How many of these days are stored for each series, and the sum of their hashes."""
    found = connection.execute(
        f"select span.series, list(proof_hash) from {proofs.table.name}, {_SPANS} "
        f"where {proofs.among} group by all",
        proofs.days(dataset, spans),
    ).fetchall()
    return {series: (len(hashes), sum_of(hashes)) for series, hashes in found}


def copy_whole(
    source: Warehouse,
    target: Warehouse,
    table: Table,
    require: Change[None] = lambda connection: None,
) -> None:
    """Replace all rows of a table in `target` by those of `source`, in one transaction, which
    begins with `require`."""

    def copy(connection: Connection) -> None:
        require(connection)
        connection.execute(f"delete from {table.name}")
        connection.execute(f"insert into {table.name} by name from {SOURCE}.{table.name}")

    _copy(source, target, copy, {table.name})


def _copy(
    source: Warehouse, target: Warehouse, copy: Change[None], series: Collection[str]
) -> None:
    def change(connection: Connection) -> None:
        try:
            with source.attached_to(connection):
                copy(connection)
        finally:
            # The DuckDB that a lake is attached to stays open and would keep the source attached; a
            # failed transaction could not detach it.
            with connection.cursor() as another:
                another.execute(f"detach database if exists {SOURCE}")

    with source.reading():
        target.write(change, series)
