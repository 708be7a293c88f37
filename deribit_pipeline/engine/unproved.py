"""Stored rows without a proof, and proved days that are not stored; for all datasets."""

from collections.abc import Iterator
from datetime import date

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import CrossCheck, DayState
from deribit_pipeline.engine.proof_hashes import sum_of
from deribit_pipeline.engine.proof_reads import LAYOUTS
from deribit_pipeline.engine.series_proofs import written_sums
from deribit_pipeline.warehouse.place import Connection

_DATASETS = {(dataset.proved_in, dataset.proved_as): dataset for dataset in DATASETS.values()}


def unknown_words(connection: Connection) -> list[str]:
    """Values in the tables of proofs that no version writes, as sentences."""
    found = []
    for tables in LAYOUTS:
        of_tables = [dataset for dataset in DATASETS.values() if dataset.proved_in is tables]
        shared = {dataset.table for dataset in of_tables if dataset.constants}
        for table in (tables.days, *(noted.table for noted in tables.notes), *shared):
            found += _unknown(
                connection, table.name, tables.group, [each.proved_as for each in of_tables]
            )
        found += _unknown(connection, tables.days.name, "state", list(DayState))
        found += _unknown(connection, tables.days.name, "cross_check", list(CrossCheck))
    return found + _unknown(connection, "series_proofs", "dataset", list(DATASETS))


def differing_series(connection: Connection) -> Iterator[tuple[Dataset, str, str]]:
    """The series whose stored days differ from those that were written, and how."""
    written = written_sums(connection)
    held: dict[tuple[str, str], list[str]] = {}
    for tables in LAYOUTS:
        for group, series, hashed in connection.execute(
            f"select {tables.group}, {tables.series}, proof_hash from {tables.days.name}"
        ).fetchall():
            held.setdefault((_DATASETS[tables, group].name, series), []).append(hashed)
    for key in sorted(held.keys() | written.keys()):
        hashes, (days, total) = held.get(key, []), written.get(key, (0, 0))
        dataset, series = DATASETS[key[0]], key[1]
        if len(hashes) != days:
            yield dataset, series, f"{len(hashes):,} days are held, {days:,} were written"
        elif sum_of(hashes) != total:
            yield dataset, series, "other days are held, or other proofs of them, than were written"


def noted_without_proof(connection: Connection) -> Iterator[tuple[Dataset, str, date, str]]:
    """Dataset, series, day and table of gaps, arrivals and revisions of days without a proof."""
    for tables in LAYOUTS:
        for noted in tables.notes:
            for group, series, day in connection.execute(
                f"""
                with noted as (
                    select distinct {tables.group} as of, {tables.series} as series,
                           {noted.day} as day
                    from {noted.table.name}
                )
                from noted
                where not exists (
                    from {tables.days.name} as proved
                    where proved.{tables.group} = noted.of
                      and proved.{tables.series} = noted.series and proved.day = noted.day
                )
                order by all
                """
            ).fetchall():
                yield _DATASETS[tables, group], series, day, noted.table.name


def _unknown(connection: Connection, table: str, column: str, known: list[str]) -> list[str]:
    found = connection.execute(
        f"select distinct {column} from {table} where {column} not in $known order by all",
        {"known": list(map(str, known))},
    ).fetchall()
    return [f"{table} has {column} {word}, which no version writes" for (word,) in found]
