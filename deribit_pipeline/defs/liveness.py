"""Tags each run with its process, and fails runs whose process is gone.

Dagster's default launcher does not monitor runs: a run whose process was killed counts as started
for hours, and occupies a slot of the queue.
"""

import os
import socket

import dagster as dg
from dagster._core.events.log import EventLogEntry

from deribit_pipeline.processes import is_alive, name_of

# The UI does not show tags that begin with a dot. Former versions left it out.
_TAGS = (".dagster/deribit_pipeline/host", ".dagster/deribit_pipeline/process")
_FORMER_TAGS = ("deribit_pipeline/host", "deribit_pipeline/process")

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def tags_of_this_process(run_id: str) -> dict[str, str]:
    """The tags of a run in this process. They include the run's id, because Dagster copies the tags
    of a run to a run that repeats it."""
    host, process = _TAGS
    return {host: socket.gethostname(), process: f"{run_id[:8]}:{name_of(os.getpid())}"}


def note_process(instance: dg.DagsterInstance, event: EventLogEntry) -> None:
    """Tag a run with its process if this event, reported by the process itself, says that it has
    started."""
    if event.is_dagster_event and event.dagster_event_type is dg.DagsterEventType.RUN_START:
        instance.add_run_tags(event.run_id, tags_of_this_process(event.run_id))


def fail_runs_of_the_dead(instance: dg.DagsterInstance) -> None:
    """Mark this machine's runs whose process is gone as failed; Dagster restarts those that it
    launched."""
    for host, tag in (_TAGS, _FORMER_TAGS):
        filters = dg.RunsFilter(statuses=_UNFINISHED, tags={host: socket.gethostname()})
        for run in instance.get_runs(filters):
            of, _, process = run.tags[tag].rpartition(":")
            if of in ("", run.run_id[:8]) and not is_alive(process):  # once without the run
                instance.report_run_failed(run, "The process of the run is gone: was it killed?")
