"""Proofs of any dataset: those of candles and those of all others have a table each."""

from collections.abc import Sequence
from datetime import date

from deribit_pipeline.datasets import Dataset, Selection
from deribit_pipeline.domain import Proof
from deribit_pipeline.warehouse import datasets, reads
from deribit_pipeline.warehouse.reads import Connection


def proofs(connection: Connection, selection: Selection) -> dict[Dataset, Sequence[Proof]]:
    """The proofs that are selected, by series and day; datasets without any are left out.

    A file of an older version may know candles alone.
    """
    found: dict[Dataset, Sequence[Proof]] = {}
    knows_others = bool(
        connection.execute(
            "select 1 from duckdb_tables() where table_name = 'dataset_days'"
        ).fetchall()
    )
    for dataset in selection.all_datasets:
        if dataset.resolution is not None:
            found[dataset] = reads.proofs(
                connection, selection.series, dataset.resolution, selection.first, selection.last
            )
        elif knows_others:
            found[dataset] = datasets.proofs(
                connection, [dataset.name], selection.series, selection.first, selection.last
            )
    return {dataset: some for dataset, some in found.items() if some}


def proofs_of(
    connection: Connection,
    dataset: Dataset,
    series: Sequence[str] = (),
    first: date | None = None,
    last: date | None = None,
) -> Sequence[Proof]:
    """The same of one dataset."""
    selection = Selection((dataset,), tuple(series), first, last)
    return proofs(connection, selection).get(dataset, ())
