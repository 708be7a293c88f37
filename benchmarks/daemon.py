"""The daemon's iterations over backfills: the first one and the later ones.

Prints, as JSON, the wall-clock and CPU seconds of four iterations, and the memory in MB. The
iteration is a private function of Dagster: the real daemon would wait 30 seconds between two.
"""

import json
import logging
import resource
import sys
import time

import dagster as dg
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.backfill import execute_backfill_iteration

TICKS = 4


def main(module: str) -> None:
    """Run the daemon's iterations on the instance in DAGSTER_HOME."""
    target = ModuleTarget(module, attribute=None, working_directory=None, location_name=module)
    seconds = []
    with (
        dg.DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, target) as workspace,
    ):
        for _ in range(TICKS):
            began, worked = time.perf_counter(), time.process_time()
            errors = filter(None, execute_backfill_iteration(workspace, logging.getLogger("tick")))
            assert not list(errors)
            seconds.append((time.perf_counter() - began, time.process_time() - worked))
    print(json.dumps([*seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


if __name__ == "__main__":
    main(sys.argv[1])
