"""Proofs of any dataset: those of candles and those of all others have a table each."""

from collections.abc import Mapping, Sequence
from datetime import date

from deribit_pipeline.datasets.candles import CANDLES, reads
from deribit_pipeline.datasets.registry import DATASETS, Selection
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proof_tables import DATASET_DAYS
from deribit_pipeline.domain.proofs import Proof
from deribit_pipeline.engine import row_reads as datasets
from deribit_pipeline.warehouse.place import Connection


def proofs(connection: Connection, selection: Selection) -> Mapping[Dataset, Sequence[Proof]]:
    """The proofs that are selected, by series and day; datasets without any are left out.

    A file of an older version may know candles alone.
    """
    found: dict[Dataset, list[Proof]] = {dataset: [] for dataset in selection.all_datasets}
    window = (selection.first, selection.last)
    # One question for all of a table: of a lake, each question takes some 20 ms.
    resolutions = [dataset.resolution for dataset in found if dataset.resolution is not None]
    others = [dataset.name for dataset in found if dataset.resolution is None]
    if resolutions:
        only = resolutions[0] if len(resolutions) == 1 else None
        for of_candles in reads.proofs(connection, selection.series, only, *window):
            if (dataset := CANDLES[of_candles.resolution]) in found:
                found[dataset].append(of_candles)
    if others and reads.has_table(connection, DATASET_DAYS.name):
        for of_rows in datasets.proofs(connection, others, selection.series, *window):
            found[DATASETS[of_rows.dataset]].append(of_rows)
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
