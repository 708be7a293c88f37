"""A run is marked as failed once its process is killed."""

import os
import subprocess
from pathlib import Path

import dagster as dg
import pytest

from deribit_pipeline.defs import liveness
from deribit_pipeline.defs.runs import recording
from deribit_pipeline.home import prepare_home


@dg.job
def nothing() -> None:
    """A job without steps."""


def started_run(instance: dg.DagsterInstance, pid: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a run that the process has started and not ended."""
    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: pid)
        tags = liveness.tags_of_this_process(run.run_id)
    instance.add_run_tags(run.run_id, tags)
    return run.run_id


def test_a_run_whose_process_was_killed_has_failed_at_the_next_start_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    home = prepare_home(tmp_path)
    with recording(home) as instance, subprocess.Popen(["sleep", "60"]) as process:
        killed = started_run(instance, process.pid, monkeypatch)
        alive = started_run(instance, os.getpid(), monkeypatch)
        process.kill()
    with recording(home) as instance:
        status = {run.run_id: run.status for run in instance.get_runs()}
        messages = [log.message for log in instance.all_logs(killed)]
    assert status == {
        killed: dg.DagsterRunStatus.FAILURE,
        alive: dg.DagsterRunStatus.STARTED,
    }
    assert "The process of the run is gone: was it killed?" in messages
