"""What every backfill has in common: which days are left to make, and what becomes of them."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import date

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import Provenance
from deribit_pipeline.engine.failures import WRONG_INPUT, drop_what_is_gone, note_failures
from deribit_pipeline.engine.incomplete import settled_days
from deribit_pipeline.engine.jobs import Days, Job
from deribit_pipeline.engine.writing import OnWritten
from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitError,
    DeribitPipelineError,
    LakeAway,
    WarehouseUnusable,
)
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.relisted import Listings, is_supported, listed_now, unknown_to
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

_INTERRUPTED = "the backfill was interrupted"


class Backfill(ABC):
    """One backfill of a dataset: several tasks fetch, one writer proves and writes.

    Its jobs only say under which run a day is written and counted. A day is written whole as soon
    as it is proved; what fails leaves the other days standing and is named in its job's outcome.
    Days already settled are not asked for again unless `force` says so.
    """

    def __init__(
        self,
        exchange: Exchange,
        warehouse: Warehouse,
        dataset: Dataset,
        jobs: Sequence[Job],
        *,
        force: bool = False,
        on_written: OnWritten = lambda job, proofs: None,
    ) -> None:
        self._exchange = exchange
        self._client = exchange.client
        self._warehouse = warehouse.pinned()
        self._dataset = dataset
        self._jobs = jobs
        self._force = force
        self._on_written = on_written
        self._job_of = {key: job for job in jobs for key in job.series_days()}

    def run(self) -> None:
        """Make the days complete, as far as the exchange lets them be.

        Raises UnknownInstrument before anything is written, and DeribitError where not even the
        listing or the clock is to be had. A warehouse that fails ends the backfill with its days
        failed; one that is replaced or removed meanwhile raises WarehouseError. Days that failed
        are remembered in the warehouse until they are proved.
        """
        try:
            if days := self._unsettled():
                self._exchange.run(self._make(days))
            self._recount()
        except (*WRONG_INPUT, WarehouseUnusable):
            raise  # nothing was requested
        except BaseException as error:
            self.fail_the_rest(_said(error))
            raise
        finally:
            self._note_failures()

    def fail_the_rest(self, reason: str) -> None:
        """Nothing more will be written: every day that is not proved has failed."""
        for key, job in self._job_of.items():
            if key not in job.outcome.proofs:
                job.outcome.failures.setdefault(key, reason)
        logger.warning("The backfill ends here: %s", reason)

    def _recount(self) -> None:
        """What was proved is counted in the warehouse as it is now: another process may have put
        another file in its place, or withdrawn a proof. A lake that is away for the moment holds
        what was committed."""
        try:
            with self._warehouse.reading() as connection:
                for job in self._jobs:
                    drop_what_is_gone(connection, self._dataset, job.outcome)
        except LakeAway as error:
            logger.warning("What was proved cannot be counted again: %s", error)

    def _note_failures(self) -> None:
        failed = {
            key: (reason, job.run_id)
            for job in self._jobs
            for key, reason in job.outcome.failures.items()
            if reason != _INTERRUPTED  # whoever ended it knows, and wants it to end now
        }
        if not failed and any(job.outcome.failures for job in self._jobs):
            return
        proved = {key for job in self._jobs for key in job.outcome.proofs}
        note_failures(self._warehouse, self._dataset, failed, proved)

    @abstractmethod
    async def _make(self, days: Days) -> None:
        """Fetch, prove and write these days."""

    def _unsettled(self) -> dict[str, list[date]]:
        keys = set(self._job_of)
        if not self._force:
            asked: dict[str, list[date]] = {}
            for name, day in keys:
                asked.setdefault(name, []).append(day)
            with self._warehouse.reading() as connection:
                settled = settled_days(connection, self._dataset, asked)
                resting = unknown_to(connection, settled)
            listed: Listings = {}
            if resting:
                listed = self._exchange.run(listed_now(self._exchange, self._warehouse, resting))
            for proof in settled:
                if proof.series in listed and not is_supported(proof, listed[proof.series]):
                    continue
                key = (proof.series, proof.day)
                self._job_of[key].outcome.proofs[key] = proof
                keys.discard(key)
        days: dict[str, list[date]] = {}
        for name, day in sorted(keys):
            days.setdefault(name, []).append(day)
        # In the order of the jobs, so that the first of them ends first.
        order = {name: None for job in self._jobs for name in job.days if name in days}
        return {name: days[name] for name in order}

    def _provenance(self, run_id: str) -> Provenance:
        return Provenance(self._warehouse.environment, self._exchange.source, run_id)

    def _fail_days(self, days: Days, reason: str) -> None:
        for name, some in days.items():
            for day in some:
                outcome = self._job_of[name, day].outcome
                outcome.proofs.pop((name, day), None)
                outcome.failures[name, day] = reason

    def _end(self, raised: BaseException) -> None:
        """End with what this project raises on purpose; anything else is raised on."""
        error = raised
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if not isinstance(error, DeribitPipelineError):
            raise error from None
        self.fail_the_rest(str(error))


def _said(error: BaseException) -> str:
    if isinstance(error, DeribitError):
        return error.summary
    if isinstance(error, DeribitPipelineError):
        return str(error)
    if isinstance(error, Exception):
        return f"the backfill broke off ({type(error).__name__})"
    return _INTERRUPTED


def reason_of(error: DeribitError) -> str:
    """Without what was asked, so that days that failed alike can be named together."""
    return error.reason if isinstance(error, DeribitBadPayload) else error.summary
