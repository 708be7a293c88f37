"""Days made under Dagster runs: fetched in the background, recorded meanwhile."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date, datetime

from deribit_pipeline.cli.backfill_report import print_report
from deribit_pipeline.cli.interrupts import Interrupted, caught
from deribit_pipeline.cli.terminal import BackfillProgress, stderr
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import Proof
from deribit_pipeline.engine.background import BackgroundBackfill
from deribit_pipeline.engine.failures import drop_what_is_gone
from deribit_pipeline.engine.foreground import ForegroundBackfill
from deribit_pipeline.engine.incomplete import settled_days
from deribit_pipeline.engine.jobs import Days, Job, jobs_of
from deribit_pipeline.engine.outcome import Outcome, added_up
from deribit_pipeline.errors import RecordingError, WarehouseError
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.home import prepare_home
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse

# Seconds that an interrupted command still waits for its turn at the warehouse.
_GRACE = 0.5


def make(
    settings: Settings,
    warehouse: Warehouse,
    exchange: Exchange | None,
    dataset: Dataset,
    asked: Days,
    unsettled: Days,
    *,
    now: datetime | None,
    force: bool,
) -> Outcome:
    """Make the unsettled days complete, under Dagster runs that are recorded meanwhile.

    Days that are settled, and that the UI does not show yet, are recorded too.
    """
    began, jobs = time.monotonic(), jobs_of(unsettled)
    prepare_home(settings.dagster_home)
    interruption: Interrupted | RecordingError | None = None
    with ExitStack() as stack:
        progress = stack.enter_context(
            BackfillProgress(stderr(), _count(asked), jobs, dataset.rows)
        )
        background = None
        if jobs and exchange is not None:
            background = BackgroundBackfill(
                exchange, warehouse, dataset, jobs,
                force=force, on_written=lambda job, proofs: progress.show(),
            )  # fmt: skip
            stack.enter_context(background)
        # Dagster would take signals for itself, but only does so in the main thread.
        dagster = stack.enter_context(ThreadPoolExecutor(1, "dagster"))
        recording = dagster.submit(
            _record, settings, warehouse, exchange, dataset, asked, jobs, background, force
        )
        try:
            recording.result()
        except (Interrupted, RecordingError) as reason:
            interruption = reason
            if isinstance(reason, Interrupted):
                caught()
                grace = threading.Timer(_GRACE, warehouse.give_up)
                grace.daemon = True
                grace.start()
            if background is not None:
                background.cancel()
        progress.show()
    settled_now: list[Proof] = []
    total = added_up([job.outcome for job in jobs])
    try:
        with warehouse.reading() as connection:
            settled_now = settled_days(connection, dataset, asked)
            drop_what_is_gone(connection, dataset, total)
    except WarehouseError:
        if interruption is None:
            raise
        # Somebody holds the file: the summary says what this process knows.
    total.asked = _count(asked)
    total.proofs |= {(proof.series, proof.day): proof for proof in settled_now}
    total.seconds = time.monotonic() - began
    if interruption is not None:
        print_report(total, dataset, asked, now)
        raise interruption
    return total


def _record(
    settings: Settings,
    warehouse: Warehouse,
    exchange: Exchange | None,
    dataset: Dataset,
    asked: Days,
    jobs: Sequence[Job],
    background: BackgroundBackfill | None,
    force: bool,
) -> None:
    """Run Dagster for each job as the background makes its days, and for settled days that this
    instance does not show yet."""
    # Dagster takes more than a second to import: the exchange is already being asked.
    from deribit_pipeline.defs import runs

    if background is not None and background.is_cancelled:
        return
    with ExitStack() as stack:
        instance = stack.enter_context(runs.recording(settings.dagster_home))
        for job in jobs:
            assert background is not None
            if background.is_cancelled:
                return
            runs.materialize(instance, dataset, job, background, force=force)
        unrecorded = runs.unrecorded(instance, dataset, asked)
        settled: dict[str, list[date]] = {}
        for name, day in unrecorded.difference(*(job.series_days() for job in jobs)):
            settled.setdefault(name, []).append(day)
        if settled:
            exchange = exchange or stack.enter_context(open_exchange(settings))
            here = ForegroundBackfill(exchange, warehouse)
            for job in jobs_of(settled):
                runs.materialize(instance, dataset, job, here, force=False)


def _count(days: Days) -> int:
    return sum(map(len, days.values()))
