"""Proofs of any dataset: those of candles and those of all others have a table each."""

from collections.abc import Sequence
from datetime import date

from deribit_pipeline.datasets import Dataset, Selection
from deribit_pipeline.domain import Proof
from deribit_pipeline.warehouse import datasets, reads
from deribit_pipeline.warehouse.dataset_tables import DATASET_DAYS
from deribit_pipeline.warehouse.store import Connection


def proofs(connection: Connection, selection: Selection) -> dict[Dataset, Sequence[Proof]]:
    """The proofs that are selected, by series and day; datasets without any are left out.

    A file of an older version may know candles alone.
    """
    found: dict[Dataset, Sequence[Proof]] = {}
    knows_others = reads.has_table(connection, DATASET_DAYS.name)
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


def days_held(connection: Connection, dataset: Dataset) -> int | None:
    """How many days of a dataset were ever asked for; None where the file, of an older version,
    knows no such dataset."""
    if dataset.resolution is None and not reads.has_table(connection, DATASET_DAYS.name):
        return None
    query, name = "select count(*) from dataset_days where dataset = $name", dataset.name
    if dataset.resolution is not None:
        query = "select count(*) from candle_days where resolution = $name"
        name = dataset.resolution.value
    [(days,)] = connection.execute(query, {"name": name}).fetchall()
    return int(days)
