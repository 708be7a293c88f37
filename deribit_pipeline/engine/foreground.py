"""A backfill of any dataset, here and now."""

from collections.abc import Sequence

from deribit_pipeline.datasets.candles.backfill import CandlesBackfill
from deribit_pipeline.datasets.candles.previews import Glance, glances
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import Proof
from deribit_pipeline.engine.backfill import Backfill
from deribit_pipeline.engine.jobs import Days, Job
from deribit_pipeline.engine.outcome import Outcome, log_progress
from deribit_pipeline.engine.rows_backfill import RowsBackfill
from deribit_pipeline.engine.writing import OnWritten
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.warehouse.warehouse import Warehouse


def backfill_of(
    exchange: Exchange,
    warehouse: Warehouse,
    dataset: Dataset,
    jobs: Sequence[Job],
    *,
    force: bool = False,
    on_written: OnWritten = lambda job, proofs: None,
) -> Backfill:
    """The backfill that fits the dataset."""
    kind = CandlesBackfill if dataset.resolution else RowsBackfill
    return kind(exchange, warehouse, dataset, jobs, force=force, on_written=on_written)


class ForegroundBackfill:
    """Makes the days of one job complete, here and now."""

    def __init__(self, exchange: Exchange, warehouse: Warehouse) -> None:
        self._exchange = exchange
        self._warehouse = warehouse

    def backfill(self, dataset: Dataset, job: Job, *, force: bool = False) -> Outcome:
        """The job's outcome, once every day of it is settled or failed; as `Backfill.run`."""

        def log(job: Job, proofs: Sequence[Proof]) -> None:
            log_progress(proofs, dataset, job.outcome)

        backfill_of(
            self._exchange, self._warehouse, dataset, [job], force=force, on_written=log
        ).run()
        return job.outcome

    def glances(self, dataset: Dataset, days: Days, outcome: Outcome) -> list[Glance]:
        """What the warehouse holds of these days, small enough to be looked at; of candles."""
        if dataset.resolution is None:
            return []
        return glances(self._warehouse, dataset.resolution, days, outcome)
