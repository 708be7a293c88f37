"""Backfills recorded as Dagster runs: days are fetched in the background meanwhile."""

import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime

from deribit_pipeline.cli.backfill_report import print_report
from deribit_pipeline.cli.interrupts import Interrupted, caught
from deribit_pipeline.cli.new_places import say_where_new
from deribit_pipeline.cli.terminal import BackfillProgress, stderr
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.engine.background import BackgroundBackfill
from deribit_pipeline.engine.failures import drop_what_is_gone
from deribit_pipeline.engine.group_members import Members, by_group, group_of, members_of
from deribit_pipeline.engine.incomplete import Known
from deribit_pipeline.engine.jobs import Days, Job, jobs_of
from deribit_pipeline.engine.outcome import Outcome, added_up
from deribit_pipeline.errors import MovedInstruments, RecordingError, WarehouseError
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.home import prepare_home
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse

# Seconds that an interrupted command still waits for the lock of the warehouse.
_GRACE = 0.5


@dataclass(frozen=True, slots=True)
class RequestedDays:
    """The days that a command requests. `known` is what the warehouse holds of them; None if the
    backfill has to find out. `now` is the exchange's time; None if it was not requested."""

    dataset: Dataset
    days: Days
    known: Known | None = None
    now: datetime | None = None
    force: bool = False

    @property
    def count(self) -> int:
        return sum(map(len, self.days.values()))


def make(
    settings: Settings, warehouse: Warehouse, exchange: Exchange | None, requested: RequestedDays
) -> Outcome:
    """Backfill the days and record them as Dagster runs meanwhile.

    Settled days that the UI does not show yet are recorded too.
    """
    known = requested.known or Known()
    members = members_of(settings, warehouse)
    began, jobs = time.monotonic(), _jobs(requested, known.unsettled(requested.days), members)
    prepare_home(settings.dagster_home)
    say_where_new(settings.warehouse)
    with ExitStack() as stack:
        progress = stack.enter_context(
            BackfillProgress(stderr(), requested.count, jobs, requested.dataset.rows)
        )
        background = stack.enter_context(
            BackgroundBackfill(
                exchange, warehouse, requested.dataset, jobs,
                force=requested.force, known=requested.known,
                on_written=lambda job, proofs: progress.show(),
            )
        )  # fmt: skip
        # Dagster installs signal handlers, but only in the main thread.
        dagster = stack.enter_context(ThreadPoolExecutor(1, "dagster"))
        recording = dagster.submit(
            _record, settings, warehouse, requested, members, jobs, background
        )
        interruption = _interruption(recording, background, warehouse)
        progress.show()
    total = added_up([job.outcome for job in jobs])
    total.requested, total.proofs = requested.count, {**known.settled, **total.proofs}
    try:
        with warehouse.reading() as connection:
            drop_what_is_gone(connection, requested.dataset, total)
    except WarehouseError:
        if interruption is None:
            raise
        # Another process has locked the file: the summary shows what this process knows.
    total.seconds = time.monotonic() - began
    if interruption is not None:
        print_report(total, requested.dataset, requested.days, requested.now)
        raise interruption
    return total


def _jobs(requested: RequestedDays, days: Days, members: Members) -> list[Job]:
    """The days as jobs, each of one group of instruments, which has assets of its own."""
    grouped = by_group(requested.dataset, days, members)
    return [
        job for names in grouped.values() for job in jobs_of({name: days[name] for name in names})
    ]


def _interruption(
    recording: Future[None], background: BackgroundBackfill, warehouse: Warehouse
) -> Interrupted | RecordingError | MovedInstruments | None:
    """Wait for the recording. The signal or error that ends it early, which cancels the background
    too; None if it is complete."""
    try:
        recording.result()
    except (Interrupted, RecordingError, MovedInstruments) as reason:
        if isinstance(reason, Interrupted):
            caught()
            grace = threading.Timer(_GRACE, warehouse.give_up)
            grace.daemon = True
            grace.start()
        background.cancel()
        return reason
    return None


def _record(
    settings: Settings,
    warehouse: Warehouse,
    requested: RequestedDays,
    members: Members,
    jobs: Sequence[Job],
    background: BackgroundBackfill,
) -> None:
    """Run Dagster for each job while the background fetches its days, and for settled days that
    this instance does not show yet."""
    # Dagster takes more than a second to import: requests are sent meanwhile.
    from deribit_pipeline.defs import runs
    from deribit_pipeline.defs.assigned_once import require_unmoved
    from deribit_pipeline.defs.recorded_lists import record_lists

    if background.is_cancelled:
        return
    with runs.recording(settings.dagster_home) as instance:
        dataset, days = requested.dataset, requested.days
        require_unmoved(instance, {name: group_of(dataset, name, members) for name in days})
        record_lists(instance, warehouse)
        for job in jobs:
            if background.is_cancelled:
                return
            group = group_of(dataset, next(iter(job.days)), members)
            runs.materialize(instance, dataset, job, background, group, force=requested.force)
        if requested.known is None:
            return
        made = {key for job in jobs for key in job.series_days()}
        for group, names in by_group(dataset, days, members).items():
            of_group = {name: days[name] for name in names}
            unrecorded = runs.unrecorded(instance, dataset, of_group, group)
            for job in _settled_jobs(requested.known, unrecorded - made):
                background.add_settled(job)
                runs.materialize(instance, dataset, job, background, group, force=False)


def _settled_jobs(known: Known, keys: Collection[tuple[str, date]]) -> list[Job]:
    """Settled days as jobs that are done."""
    days: dict[str, list[date]] = {}
    for name, day in keys:
        days.setdefault(name, []).append(day)
    jobs = jobs_of(days, bridging=0)
    for job in jobs:
        job.outcome.proofs = {key: known.settled[key] for key in job.series_days()}
    return jobs
