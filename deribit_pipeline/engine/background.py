"""A backfill in a thread, so that Dagster records its days while it runs."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Self

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import Proof
from deribit_pipeline.engine.backfill_days import make_complete
from deribit_pipeline.engine.incomplete import Known
from deribit_pipeline.engine.jobs import Days, Job
from deribit_pipeline.engine.outcome import Outcome, log_progress
from deribit_pipeline.engine.previews import Previews
from deribit_pipeline.engine.source import source_of
from deribit_pipeline.engine.writing import OnWritten
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.warehouse.warehouse import Warehouse


class BackgroundBackfill:
    """Makes jobs complete while the `with` block lasts; leaving the block early ends it.

    Nothing else may use the exchange meanwhile. Without jobs, no exchange is needed.
    """

    def __init__(
        self,
        exchange: Exchange | None,
        warehouse: Warehouse,
        dataset: Dataset,
        jobs: Sequence[Job],
        *,
        force: bool = False,
        known: Known | None = None,
        on_written: OnWritten = lambda job, proofs: None,
    ) -> None:
        self._exchange = exchange
        self._warehouse = warehouse
        self._dataset = dataset
        self._jobs = jobs
        self._settled: dict[str, Job] = {}
        self._on_written = on_written
        self._news = threading.Condition()
        self._written: defaultdict[str, list[Sequence[Proof]]] = defaultdict(list)
        self._is_over = False
        self._error: BaseException | None = None
        self.is_cancelled = False
        self._thread = threading.Thread(
            target=self._run, args=(force, known), name="backfill", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A thread that has finished its jobs ends by itself, and leaves the exchange usable.
        if not all(self._is_done(job) for job in self._jobs):
            self.cancel()
        self._thread.join()

    def cancel(self) -> None:
        """End the backfill: days not written by then have failed."""
        self.is_cancelled = True
        if self._exchange is not None and not self._is_over:
            self._exchange.cancel()

    def add_settled(self, job: Job) -> None:
        """Add a job whose days were all settled before: its run gets their proofs."""
        self._settled[job.run_id] = job

    def backfill(self, dataset: Dataset, job: Job, *, force: bool = False) -> Outcome:
        """The outcome of the job with this one's run, once it is done; its progress is logged
        meanwhile, so that it appears in the log of the waiting run.

        Raises the error that ended the backfill before its days could be attributed, such as
        UnknownInstrument.
        """
        jobs = {each.run_id: each for each in self._jobs} | self._settled
        known = jobs[job.run_id]
        for proofs in self._follow(known):
            log_progress(proofs, dataset, known.outcome)
        if self._error is not None:
            raise self._error
        return known.outcome

    def previews(self, dataset: Dataset, days: Days, outcome: Outcome) -> Previews:
        """See Source."""
        return source_of(dataset).previews(dataset, self._warehouse, days, outcome)

    def _follow(self, job: Job) -> Iterator[Sequence[Proof]]:
        """The days of the job as they are written."""
        written = self._written[job.run_id]
        is_done = False
        while not is_done:
            with self._news:
                self._news.wait_for(lambda: written or self._is_done(job))
                ready, is_done = list(written), self._is_done(job)
                written.clear()
            yield from ready

    def _is_done(self, job: Job) -> bool:
        outcome = job.outcome
        return self._is_over or len(outcome.proofs) + len(outcome.failures) >= outcome.requested

    def _note(self, job: Job, proofs: Sequence[Proof]) -> None:
        with self._news:
            self._written[job.run_id].append(proofs)
            self._news.notify_all()
        self._on_written(job, proofs)

    def _run(self, force: bool, known: Known | None) -> None:
        try:
            if self._exchange is not None and self._jobs:
                make_complete(
                    self._exchange, self._warehouse, self._dataset, self._jobs,
                    force=force, known=known, on_written=self._note,
                )  # fmt: skip
        except asyncio.CancelledError:
            pass  # the backfill has recorded it for its days
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that follows a job
            self._error = error
        finally:
            with self._news:
                self._is_over = True
                self._news.notify_all()
