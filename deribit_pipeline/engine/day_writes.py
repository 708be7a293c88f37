"""Writes proved days of any dataset into the warehouse: each whole, on an open connection.
Identifiers come only from the table definitions."""

from collections.abc import Collection, Sequence
from datetime import date
from itertools import chain

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proof_tables import Row
from deribit_pipeline.domain.proofs import Proof, ProvedDay, Provenance
from deribit_pipeline.domain.rows import Pieces, count_of, joined_rows, pieces_of
from deribit_pipeline.engine.incoming_rows import as_stored, insert_from
from deribit_pipeline.engine.proof_hashes import as_hashed, proof_hash, stored, sum_of
from deribit_pipeline.engine.row_reads import (
    day_of,
    day_parameters,
    of_series,
    on_day,
    series_of,
)
from deribit_pipeline.engine.series_proofs import NO_HASH_YET, add_to_series, hashed_anew
from deribit_pipeline.warehouse.connections import insert_rows
from deribit_pipeline.warehouse.place import Connection


def write_days(
    connection: Connection, dataset: Dataset, days: Sequence[ProvedDay], provenance: Provenance
) -> None:
    """Write whole days of one series: rows, proofs, gaps, arrivals and revisions.

    A day for which nothing new was returned is not changed, except that its gaps count one more
    confirmation.
    """
    if not days:
        return
    series = days[0].proof.series
    known = [day for day in days if day.former is not None]
    new = [day for day in days if day.proof is not day.former]
    proofs = [_proof_row(dataset, day.proof, provenance) for day in new]
    arrivals = [_arrivals(dataset, day, provenance) for day in new]
    hashes = [
        NO_HASH_YET if day.former else _hash_of_first(dataset, day, proof, arrived)
        for day, proof, arrived in zip(new, proofs, arrivals, strict=True)
    ]
    with hashed_anew(connection, dataset, series, [day.proof.day for day in known]):
        _write_gaps(connection, dataset, days)
        for day in new:
            _keep_revisions(connection, dataset, day, provenance)
        _delete(connection, dataset, series, [day.proof.day for day in new if day.former])
        _insert(connection, dataset, new)
        if (noted := dataset.proved_in.arrivals) is not None:
            insert_rows(connection, noted.table, chain.from_iterable(arrivals))
        hashed = [(*proof, its_hash) for proof, its_hash in zip(proofs, hashes, strict=True)]
        insert_rows(connection, dataset.proved_in.days, hashed)
    if first := [each for each in hashes if each != NO_HASH_YET]:
        add_to_series(connection, dataset, {series: (len(first), sum_of(first))})


def invalidate(
    connection: Connection, dataset: Dataset, series: str, days: Collection[date]
) -> None:
    """Invalidate the proofs of days: they become open, and will be requested again."""
    with hashed_anew(connection, dataset, series, days):
        connection.execute(
            f"update {dataset.proved_in.days.name} set state = 'open' "
            f"where {_of_days(dataset, 'day')}",
            _days(dataset, series, days),
        )


def invalidate_what_is_made_of(
    connection: Connection, dataset: Dataset, series: str, days: Collection[date]
) -> None:
    """Invalidate days that were computed from these days' rows, such as candles rebuilt from
    trades: the days themselves, and those after them up to the next one with rows, which repeat the
    last value. They become open, and will be computed again."""
    for made in DATASETS.values():
        if made.made_of != dataset.name or not days:
            continue
        found = connection.execute(
            """
            select distinct made.day
            from dataset_days as made, (select unnest($days) as day) as changed
            where made.dataset = $made and made.series = $series and made.state <> 'open'
              and made.day >= changed.day
              and not exists (
                  from dataset_days as source
                  where source.dataset = $source and source.series = $series
                    and source.day > changed.day and source.day < made.day and source.received > 0
              )
            """,
            {"made": made.name, "source": dataset.name, "series": series, "days": list(days)},
        ).fetchall()
        if found:  # without an update, others may write concurrently
            invalidate(connection, made, series, [day for (day,) in found])


def _leading(dataset: Dataset, series: str) -> tuple[str, str]:
    """The first two values in each row of the tables of proofs: dataset and series."""
    tables = dataset.proved_in
    values = {tables.group: dataset.proved_as, tables.series: series}
    first, second, *_ = tables.days.columns
    return values[first.name], values[second.name]


def _proof_row(dataset: Dataset, proof: Proof, provenance: Provenance) -> Row:
    """The row of a proof, without its hash, which is last."""
    values = {
        dataset.proved_in.group: dataset.proved_as,
        dataset.proved_in.series: proof.series,
        "day": proof.day,
        "state": str(proof.state),
        "expected": proof.expected,
        "received": proof.received,
        "missing": proof.missing,
        "without_trades": proof.without_trades,
        "content_hash": proof.content_hash,
        "revised": proof.revised,
        "verdict": proof.verdict,
        "fetched_at": proof.fetched_at,
        "environment": str(provenance.environment),
        "source": provenance.source,
        "run_id": provenance.run_id,
        "cross_check": str(proof.cross_check),
    }
    return tuple(values[column.name] for column in dataset.proved_in.days.columns[:-1])


def _arrivals(dataset: Dataset, day: ProvedDay, provenance: Provenance) -> list[Row]:
    """The rows that record since when the day's new rows are stored."""
    leading = _leading(dataset, day.proof.series)
    return [(*leading, *row, provenance.run_id) for row in dataset.proved_in.arrival_rows(day)]


def _hash_of_first(dataset: Dataset, day: ProvedDay, proof: Row, arrivals: Sequence[Row]) -> str:
    """The hash of a day that is written for the first time, so that it has no gaps, arrivals or
    revisions from before; `proof` is its row."""
    tables, leading = dataset.proved_in, _leading(dataset, day.proof.series)
    gaps = [stored(*leading, *gap, 1, day.as_of) for gap in tables.gap_rows(day)]
    stored_arrivals = [stored(*row) for row in arrivals]
    notes = [gaps, stored_arrivals, []] if tables.arrivals else [gaps, []]
    return proof_hash(stored(*proof), notes)


def _insert(connection: Connection, dataset: Dataset, days: Sequence[ProvedDay]) -> None:
    """Insert the rows of days of one series: in one statement, which takes some milliseconds, and
    those of a day with many rows piece by piece."""
    filled = [day.rows for day in days if day.proof.received]
    if not filled:
        return
    small = [dict(rows) for rows in filled if not isinstance(rows, Pieces)]
    whole = [small[0] if len(small) == 1 else joined_rows(small)] if small else []
    same = {series_of(dataset): days[0].proof.series} | dict(dataset.constants)
    values = ", ".join(
        f"${column.name}" if column.name in same else as_stored(column)
        for column in dataset.table.columns
    )
    for rows in chain(whole, *(pieces_of(rows) for rows in filled if isinstance(rows, Pieces))):
        insert_from(connection, dataset.table, f"select {values} from incoming", same, rows)


def _delete(connection: Connection, dataset: Dataset, series: str, days: Collection[date]) -> None:
    """Delete the rows and proofs of days."""
    for day in days:
        connection.execute(
            f"delete from {dataset.table.name} where {of_series(dataset)} and {on_day(dataset)}",
            {"series": series} | day_parameters(dataset, day),
        )
    if days:
        connection.execute(
            f"delete from {dataset.proved_in.days.name} where {_of_days(dataset, 'day')}",
            _days(dataset, series, days),
        )


def _write_gaps(connection: Connection, dataset: Dataset, days: Sequence[ProvedDay]) -> None:
    """Update the gaps of days: filled ones are deleted, the others count one more confirmation."""
    noted, series = dataset.proved_in.gaps, days[0].proof.series
    *columns, confirmed, _ = noted.table.columns
    known = [day.proof.day for day in days if day.former is not None]
    former: dict[Row, int] = {}
    if known:
        where, parameters = _of_days(dataset, noted.day), _days(dataset, series, known)
        identity = ", ".join(as_hashed(column) for column in columns)
        former = {
            tuple(gap): times
            for *gap, times in connection.execute(
                f"select {identity}, {confirmed.name} from {noted.table.name} where {where}",
                parameters,
            ).fetchall()
        }
        if former:
            connection.execute(f"delete from {noted.table.name} where {where}", parameters)
    leading = _leading(dataset, series)
    gaps = [(day, (*leading, *gap)) for day in days for gap in dataset.proved_in.gap_rows(day)]
    insert_rows(
        connection,
        noted.table,
        [(*gap, former.get(stored(*gap), 0) + 1, day.as_of) for day, gap in gaps],
    )


def _keep_revisions(
    connection: Connection, dataset: Dataset, day: ProvedDay, provenance: Provenance
) -> None:
    """Store the former values of the rows that the day replaces, with the time during which they
    were stored."""
    if day.former is None or not count_of(day.replaced):
        return
    query = _former_rows(dataset)
    parameters = {
        "series": day.proof.series,
        "held_from": day.former.fetched_at,
        "replaced_at": day.as_of,
        "run_id": provenance.run_id,
    } | day_parameters(dataset, day.proof.day)
    for changed in pieces_of(day.replaced, *dataset.key):
        insert_from(connection, dataset.proved_in.revisions.table, query, parameters, changed)


def _former_rows(dataset: Dataset) -> str:
    """The query for the revisions of the stored rows whose keys are in `incoming`."""
    table, tables = dataset.table, dataset.proved_in
    revisions = tables.revisions.table
    typed = ", ".join(as_stored(table.column(name)) for name in dataset.key)
    key = ", ".join(dataset.key)
    kept = tables.revised.format(
        dataset=dataset.name, series=series_of(dataset), key=key, day=day_of(table, dataset.at)
    )
    is_same = " and ".join(f"earlier.{name} = former.{name}" for name in revisions.key[:-1])
    return f"""
        with former as (
            select {kept} from {table.name} as whole
            where {of_series(dataset)} and {on_day(dataset)}
              and ({key}) in (select ({typed}) from incoming)
        ), revised as (
            select *,
                   coalesce(
                       (select max(replaced_at) from {revisions.name} as earlier where {is_same}),
                       {tables.held_since}
                   ) as held_from,
                   $replaced_at as replaced_at, $run_id as run_id
            from former
        )
        select {", ".join(column.name for column in revisions.columns)} from revised
        """


def _of_days(dataset: Dataset, day: str) -> str:
    """The condition that selects days in the tables of proofs; its parameters are `_days`."""
    tables = dataset.proved_in
    return f"{tables.group} = $name and {tables.series} = $series and {day} in $days"


def _days(dataset: Dataset, series: str, days: Collection[date]) -> dict[str, object]:
    return {"name": dataset.proved_as, "series": series, "days": list(days)}
