"""Days of every dataset but candles into the warehouse: written whole, on a connection that
somebody else opened. Identifiers come from the tables alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from deribit_pipeline.datasets.candles.writes import Provenance
from deribit_pipeline.datasets.candles_rebuilt import CANDLES_REBUILT
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proof_tables import DATASET_DAYS, DATASET_GAPS
from deribit_pipeline.domain.proofs import DatasetProof
from deribit_pipeline.domain.tables import Column, Table
from deribit_pipeline.engine.proof_hashes import proof_hash, stored, sum_of
from deribit_pipeline.engine.row_reads import Rows, day_parameters, on_day
from deribit_pipeline.engine.series_proofs import NO_HASH_YET, add_to_series, hashed_anew
from deribit_pipeline.warehouse.connections import insert_rows
from deribit_pipeline.warehouse.place import Connection

_OF_DAY = "dataset = $dataset and series = $series and day = $day"


@dataclass(frozen=True, slots=True, eq=False)
class WholeDay:
    """A day to be written: `rows` are all that are held of it from now on, `gaps` names what lacks
    and how much, `replaced` are held rows that the exchange changed. `former` is the proof that
    stands; where it is `proof` itself, nothing new was said. `as_of` is the exchange's clock."""

    proof: DatasetProof
    rows: Rows
    gaps: Sequence[tuple[str, int]]
    replaced: Rows
    former: DatasetProof | None
    as_of: datetime


def write_days(
    connection: Connection, dataset: Dataset, days: Sequence[WholeDay], provenance: Provenance
) -> None:
    """Write whole days of one series: rows, proofs, gaps and revisions. A day about which nothing
    new was said is left alone, but for its gaps, which count one more confirmation."""
    if not days:
        return
    series = days[0].proof.series
    hashes = {day.proof.day: _hash_of_first(day, provenance) for day in days if day.former is None}
    known = [day.proof.day for day in days if day.former is not None]
    with hashed_anew(connection, dataset, series, known):
        _write_days(connection, dataset, days, hashes, provenance)
    if hashes:
        add_to_series(connection, dataset, {series: (len(hashes), sum_of(hashes.values()))})


def _write_days(
    connection: Connection,
    dataset: Dataset,
    days: Sequence[WholeDay],
    hashes: dict[date, str],
    provenance: Provenance,
) -> None:
    """Write whole days with the hashes of those that were never written before."""
    new = [day for day in days if day.proof is not day.former]
    for day in days:
        of_day = _of_day(day.proof)
        if day.former is not None or day.gaps:
            _write_gaps(connection, of_day, day.gaps, day.as_of)
    for day in new:
        if day.former is not None:
            _keep_revisions(connection, dataset, day, provenance)
            _delete(connection, dataset, day.proof)
    if not new:
        return
    _insert(connection, dataset.table, new)
    insert_rows(
        connection,
        DATASET_DAYS,
        [
            (*_proof_row(day.proof, provenance), hashes.get(day.proof.day, NO_HASH_YET))
            for day in new
        ],
    )


def unprove(connection: Connection, dataset: Dataset, series: str, days: Sequence[date]) -> None:
    """Take the proofs of days back: they are open, and will be asked for again."""
    with hashed_anew(connection, dataset, series, days):
        connection.execute(
            "update dataset_days set state = 'open' "
            "where dataset = $dataset and series = $series and day in $days",
            {"dataset": dataset.name, "series": series, "days": list(days)},
        )


def unprove_candles_of(connection: Connection, series: str, days: Sequence[date]) -> None:
    """Take the proofs of candles back that were made of these days' trades before: of the days
    themselves, and of those after them up to the next one with trades, which repeat the last close.
    They are open, and will be made again."""
    made = connection.execute(
        """
        select distinct made.day from dataset_days as made, (select unnest($days) as day) as changed
        where made.dataset = 'candles_rebuilt' and made.series = $series and made.state <> 'open'
          and made.day >= changed.day
          and not exists (
              from dataset_days as traded
              where traded.dataset = 'trades' and traded.series = $series
                and traded.day > changed.day and traded.day < made.day and traded.received > 0
          )
        """,
        {"series": series, "days": list(days)},
    ).fetchall()
    if made:  # where nothing is to be changed, others may write beside
        unprove(connection, CANDLES_REBUILT, series, [day for (day,) in made])


def _of_day(proof: DatasetProof) -> dict[str, object]:
    return {"dataset": proof.dataset, "series": proof.series, "day": proof.day}


def _proof_row(proof: DatasetProof, provenance: Provenance) -> tuple[object, ...]:
    return (
        proof.dataset, proof.series, proof.day, str(proof.state), proof.expected, proof.received,
        proof.missing, proof.content_hash, proof.revised, proof.verdict, proof.fetched_at,
        str(provenance.environment), provenance.source, provenance.run_id,
        str(proof.cross_check),
    )  # fmt: skip


def _hash_of_first(day: WholeDay, provenance: Provenance) -> str:
    """The hash of a day that was never written before, so that nothing else is noted of it."""
    of_day = _of_day(day.proof).values()
    gaps = [stored(*of_day, gap, missing, 1, day.as_of) for gap, missing in day.gaps]
    return proof_hash(stored(*_proof_row(day.proof, provenance)), (gaps, ()))


def _insert(connection: Connection, table: Table, days: Sequence[WholeDay]) -> None:
    """The rows of days of one series, together: each statement costs some milliseconds."""
    filled = [day.rows for day in days if day.proof.received]
    if not filled:
        return
    rows = {name: np.concatenate([some[name] for some in filled]) for name in filled[0]}
    columns = table.columns_but(table.key[0])
    names = ", ".join(column.name for column in columns)
    values = ", ".join(_as_stored(column) for column in columns)
    with _registered(connection, "incoming", rows):
        connection.execute(
            f"insert into {table.name} ({table.key[0]}, {names}) "
            f"select $series, {values} from incoming",
            {"series": days[0].proof.series},
        )


def _delete(connection: Connection, dataset: Dataset, proof: DatasetProof) -> None:
    table = dataset.table
    connection.execute(
        f"delete from {table.name} where {table.key[0]} = $series and {on_day(dataset)}",
        {"series": proof.series} | day_parameters(table, dataset, proof.day),
    )
    connection.execute(f"delete from dataset_days where {_OF_DAY}", _of_day(proof))


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
    insert_rows(
        connection,
        DATASET_GAPS,
        [
            (*of_day.values(), gap, missing, former.get(gap, 0) + 1, confirmed_at)
            for gap, missing in gaps
        ],
    )


def _keep_revisions(
    connection: Connection, dataset: Dataset, day: WholeDay, provenance: Provenance
) -> None:
    """Keep the rows that the day replaces, as they are held, with the time over which they were."""
    if day.former is None or not len(next(iter(day.replaced.values()))):
        return
    table = dataset.table
    keys = {name: day.replaced[name] for name in dataset.key}
    typed = {column.name: _as_stored(column) for column in table.columns}
    with _registered(connection, "changed", keys):
        connection.execute(
            f"""
            insert into dataset_revisions
            with former as (
                select concat_ws(' ', {", ".join(dataset.key)}) as row_key, to_json(whole) as held
                from {table.name} as whole
                where {table.key[0]} = $series and {on_day(dataset)}
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
            _of_day(day.proof)
            | day_parameters(table, dataset, day.proof.day)
            | {
                "held_from": day.former.fetched_at,
                "replaced_at": day.as_of,
                "run_id": provenance.run_id,
            },
        )


@contextmanager
def _registered(connection: Connection, name: str, rows: Rows) -> Iterator[None]:
    """Rows as a relation that a statement can read: of texts, DuckDB reads frames alone."""
    import pandas as pd  # which takes most of a second, and candles do without it

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


def _as_stored(column: Column) -> str:
    """A column of arrays as the table has it."""
    if column.type == "double" and column.is_nullable:
        return f"case when isnan({column.name}) then null else {column.name} end"
    return f"cast({column.name} as {column.type})"
