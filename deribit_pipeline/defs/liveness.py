"""The process that a run is in, as tags of the run, and the end of runs whose process is gone.

Dagster's default launcher looks after no run: one whose process was killed counts as started for
hours, and takes the place of another in the queue.
"""

import os
import socket

import dagster as dg
from dagster._core.events.log import EventLogEntry

from deribit_pipeline.processes import is_alive, name_of

_HOST, _PROCESS = "deribit_pipeline/host", "deribit_pipeline/process"

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def tags_of_this_process(run_id: str) -> dict[str, str]:
    """What a run that is in this process is tagged with. The run is named too: Dagster gives a
    run that repeats another the other's tags."""
    return {_HOST: socket.gethostname(), _PROCESS: f"{run_id[:8]}:{name_of(os.getpid())}"}


def note_process(instance: dg.DagsterInstance, event: EventLogEntry) -> None:
    """Tag a run with its process where this event says that it has started, as reported by the
    process itself."""
    if event.is_dagster_event and event.dagster_event_type is dg.DagsterEventType.RUN_START:
        instance.add_run_tags(event.run_id, tags_of_this_process(event.run_id))


def fail_runs_of_the_dead(instance: dg.DagsterInstance) -> None:
    """Say of this machine's runs whose process is gone that they failed; Dagster begins those again
    that it began."""
    filters = dg.RunsFilter(statuses=_UNFINISHED, tags={_HOST: socket.gethostname()})
    for run in instance.get_runs(filters):
        of, _, process = run.tags[_PROCESS].rpartition(":")
        if of in ("", run.run_id[:8]) and not is_alive(process):  # former versions named no run
            instance.report_run_failed(run, "The process of the run is gone: was it killed?")
