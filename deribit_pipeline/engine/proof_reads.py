"""Reads proofs of any dataset, and gaps of proved days, on an open connection. Identifiers come
only from the table definitions."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from deribit_pipeline.datasets.registry import DATASETS, Selection
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proof_tables import ProofTables
from deribit_pipeline.domain.proofs import CrossCheck, DayState, Proof
from deribit_pipeline.domain.tables import quoted
from deribit_pipeline.domain.windows import from_us
from deribit_pipeline.warehouse.connections import has_table
from deribit_pipeline.warehouse.place import Connection

DatasetDay = tuple[str, str, date]
"""A dataset by its name, one of its series and a day."""

LAYOUTS = tuple(dict.fromkeys(dataset.proved_in for dataset in DATASETS.values()))
"""The tables that hold proofs, each once."""

_ROWS_AT_ONCE = 10_000

_WANTED = """
    (len($series) = 0 or {series} in $series)
    and ($first is null or {day} >= $first) and ($last is null or {day} <= $last)
"""


def proofs(connection: Connection, selection: Selection) -> Mapping[Dataset, Sequence[Proof]]:
    """The selected proofs, by series and day; datasets without any are omitted.

    A file of an older version may have no tables of some datasets.
    """
    found: dict[Dataset, list[Proof]] = {dataset: [] for dataset in selection.all_datasets}
    # Values that most days share are kept once: a warehouse may have a million proofs.
    names: dict[str, str] = {}
    counts: dict[int, int] = {}
    instants: dict[int, datetime] = {}
    # One query for all datasets of a table: on a lake, each query takes some 20 ms.
    for tables, of_name in _selected(connection, selection):
        counted = {column.name for column in tables.days.columns}
        without_trades = "without_trades" if "without_trades" in counted else "0"
        # A file of an older version has no verdict, or no cross-check.
        absent = "select '' as verdict, '' as cross_check limit 0"
        rows = _rows(
            connection,
            selection,
            f"""
            select {tables.group}, {tables.series}, day, state, expected, received, missing,
                   content_hash, revised, coalesce(verdict, ''), epoch_us(fetched_at),
                   coalesce(cross_check, 'none'), {without_trades}
            from (from {tables.days.name} union all by name ({absent})) as days
            where {_wanted(tables, of_name, "day")}
            order by {tables.series}, day
            """,
        )
        for (
            name, series, day, state, expected, received, missing, content_hash, revised, verdict,
            fetched_us, cross_check, without,
        ) in rows:  # fmt: skip
            dataset = of_name[name]
            if fetched_us not in instants:
                instants[fetched_us] = from_us(fetched_us)
            proof = Proof(
                dataset.name, names.setdefault(series, series), day, DayState(state),
                counts.setdefault(expected, expected), counts.setdefault(received, received),
                missing, content_hash, revised, names.setdefault(verdict, verdict),
                instants[fetched_us], CrossCheck(cross_check), without,
            )  # fmt: skip
            found[dataset].append(proof)
    return {dataset: some for dataset, some in found.items() if some}


def parts_of(connection: Connection, selection: Selection, most: int) -> list[Selection]:
    """The selection in parts of at most `most` proofs, by series; a series is not divided."""
    counts: Counter[str] = Counter()
    for tables, of_name in _selected(connection, selection):
        for series, days in _rows(
            connection,
            selection,
            f"select {tables.series}, count(*) from {tables.days.name} "
            f"where {_wanted(tables, of_name, 'day')} group by all",
        ):
            counts[series] += days
    if counts.total() <= most:
        return [selection]
    parts: list[list[str]] = [[]]
    waiting = 0
    for series, days in sorted(counts.items()):
        if parts[-1] and waiting + days > most:
            parts.append([])
            waiting = 0
        parts[-1].append(series)
        waiting += days
    return [replace(selection, series=tuple(part)) for part in parts]


def proofs_of(
    connection: Connection,
    dataset: Dataset,
    series: Sequence[str] = (),
    first: date | None = None,
    last: date | None = None,
) -> Sequence[Proof]:
    """The same for one dataset."""
    selection = Selection((dataset,), tuple(series), first, last)
    return proofs(connection, selection).get(dataset, ())


def series_held(connection: Connection, dataset: Dataset) -> list[str]:
    """The series of a dataset of which any day was ever requested."""
    tables = dataset.proved_in
    if not is_there(connection, tables):
        return []
    rows = connection.execute(
        f"select distinct {tables.series} from {tables.days.name} where {tables.group} = $name",
        {"name": dataset.proved_as},
    ).fetchall()
    return [name for (name,) in rows]


def days_held(connection: Connection, dataset: Dataset) -> int | None:
    """How many days of a dataset were ever requested; None if the file, of an older version, has no
    table for it."""
    tables = dataset.proved_in
    if not is_there(connection, tables):
        return None
    [(days,)] = connection.execute(
        f"select count(*) from {tables.days.name} where {tables.group} = $name",
        {"name": dataset.proved_as},
    ).fetchall()
    return int(days)


def runs_of_days(connection: Connection, selection: Selection) -> dict[DatasetDay, str]:
    """The id of the run that wrote a day."""
    return {
        (of_name[name].name, series, day): run_id
        for tables, of_name in _selected(connection, selection)
        for name, series, day, run_id in _rows(
            connection,
            selection,
            f"select {tables.group}, {tables.series}, day, run_id from {tables.days.name} "
            f"where {_wanted(tables, of_name, 'day')}",
        )
    }


def gaps_of_days(
    connection: Connection, selection: Selection, most: int
) -> dict[DatasetDay, list[str]]:
    """The names of the first gaps of a day, at most `most`."""
    return {
        (of_name[name].name, series, day): gaps
        for tables, of_name in _selected(connection, selection)
        for name, series, day, gaps in _rows(
            connection,
            selection,
            f"""
            select {tables.group}, {tables.series}, {tables.gaps.day},
                   list_sort(list(distinct {tables.gap_name}))[:{most}]
            from {tables.gaps.table.name} where {_wanted(tables, of_name, tables.gaps.day)}
            group by all
            """,
        )
    }


def gaps_last_confirmed(
    connection: Connection, dataset: Dataset, series: Sequence[str] = ()
) -> dict[tuple[str, date], datetime]:
    """When the gaps of a day were last requested without success, by series and day."""
    selection = Selection((dataset,), tuple(series))
    return {
        (name, day): from_us(confirmed_us)
        for tables, of_name in _selected(connection, selection)
        for name, day, confirmed_us in _rows(
            connection,
            selection,
            f"""
            select {tables.series}, {tables.gaps.day}, epoch_us(max({tables.gaps.noted_at}))
            from {tables.gaps.table.name} where {_wanted(tables, of_name, tables.gaps.day)}
            group by all
            """,
        )
    }


def is_there(connection: Connection, tables: ProofTables) -> bool:
    """Whether the file has the tables; one of an older version, read without migration, may not."""
    return tables.is_of_every_version or has_table(connection, tables.days.name)


def _selected(
    connection: Connection, selection: Selection
) -> Iterator[tuple[ProofTables, Mapping[str, Dataset]]]:
    """The tables with proofs of selected datasets, and these datasets by their name in the
    tables."""
    for tables in LAYOUTS:
        of_name = {
            dataset.proved_as: dataset
            for dataset in selection.all_datasets
            if dataset.proved_in is tables
        }
        if of_name and is_there(connection, tables):
            yield tables, of_name


def _wanted(tables: ProofTables, of_name: Mapping[str, Dataset], day: str) -> str:
    names = ", ".join(map(quoted, of_name))
    return f"{tables.group} in ({names}) and {_WANTED.format(series=tables.series, day=day)}"


def _rows(connection: Connection, selection: Selection, query: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a query, which must be read to their end before the connection is used again. In
    parts: a warehouse may have a million proofs."""
    result = connection.execute(
        query,
        {"series": list(selection.series), "first": selection.first, "last": selection.last},
    )
    while rows := result.fetchmany(_ROWS_AT_ONCE):
        yield from rows
