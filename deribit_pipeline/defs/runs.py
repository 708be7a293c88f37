"""Dagster runs inside this process, in the instance that the UI shows."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from deribit_pipeline.defs.asset_names import asset_key
from deribit_pipeline.defs.assets import Backfills, dataset_asset
from deribit_pipeline.defs.liveness import fail_runs_of_the_dead, tags_of_this_process
from deribit_pipeline.defs.partitions import partition_key, series_days
from deribit_pipeline.defs.storage_errors import storage_errors
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.engine.group_members import PLAIN
from deribit_pipeline.engine.jobs import Days, Job
from deribit_pipeline.engine.outcome import Key
from deribit_pipeline.errors import RecordingError, first_line


@contextmanager
def recording(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of the DAGSTER_HOME prepared by `prepare_home`. Raises RecordingError if its
    databases fail, at once or inside the block."""
    try:
        with dg.DagsterInstance.get() as instance:
            fail_runs_of_the_dead(instance)
            yield instance
    except storage_errors() as error:
        raise RecordingError(
            f"Dagster cannot record runs {_what_to_do(error, home)}. Proved days are kept, and the "
            "same command continues from there."
        ) from error


def _what_to_do(error: BaseException, home: Path) -> str:
    while error.__cause__ and not isinstance(error, OSError):
        error = error.__cause__  # the original error of SQLite or PostgreSQL
    if isinstance(error, sqlite3.Error | OSError):
        reason = error.strerror if isinstance(error, OSError) else error
        return f"in DAGSTER_HOME {home} ({reason}): make room there, or make it writable"
    # Without the address, which may contain a malformed password.
    reason = first_line(error).rpartition(": ")[2]
    return f"in the database that dagster.yaml in {home} names ({reason}): check that it is running"


def unrecorded(
    instance: dg.DagsterInstance,
    dataset: Dataset,
    days: Days,
    group: str = PLAIN,
) -> set[Key]:
    """The days of a group that this instance does not show as materialized."""
    recorded = instance.get_materialized_partitions(asset_key(dataset, group))
    return {
        (name, day)
        for name, required in days.items()
        for day in required
        if partition_key(name, day) not in recorded
    }


def materialize(
    instance: dg.DagsterInstance,
    dataset: Dataset,
    job: Job,
    deribit: Backfills,
    group: str = PLAIN,
    *,
    force: bool,
) -> None:
    """Run the asset of a dataset and a group for one job; the run is recorded, also if it fails."""
    names = list(job.days)
    days = sorted({day for required in job.days.values() for day in required})
    asset = dataset_asset(dataset, series_days(dataset.series, names, days[0], days[-1]), group)
    location = dg.Definitions(assets=[asset], resources={"deribit": deribit})
    # Backfills from the UI run the implicit job too, so that the UI shows both alike.
    location.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        asset_selection=[asset.key],
        run_id=job.run_id,
        run_config={
            "ops": {asset.op.name: {"config": {"force": force}}},
            # The command line prints its own messages; the run's log and the log file are complete.
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        tags={
            "dagster/asset_partition_range_start": partition_key(names[0], days[0]),
            "dagster/asset_partition_range_end": partition_key(names[-1], days[-1]),
            # The user sees the command fail: the daemon must not retry it.
            "dagster/max_retries": "0",
            **tags_of_this_process(job.run_id),
        },
        raise_on_error=False,
    )
