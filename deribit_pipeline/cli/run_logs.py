"""`logs`: what the log file holds of a run."""

import json
from typing import Any

from deribit_pipeline.cli.terminal import stdout
from deribit_pipeline.errors import InputError
from deribit_pipeline.logs import lines_of_run
from deribit_pipeline.settings import Settings


def run(run_id: str, *, as_json: bool) -> int:
    """The command `logs`; answers its exit code."""
    home = Settings.load().dagster_home
    console, count = stdout(), 0
    try:
        for line in lines_of_run(home, run_id):
            count += 1
            console.print(_shown(line, as_json=as_json), markup=False, soft_wrap=True)
    except OSError as error:
        if error.filename is None:  # of the output
            raise
        raise InputError(f"{error.filename} cannot be read ({error.strerror}).") from error
    if not count:
        raise InputError(f"--run {run_id}: no line in {home / 'logs'} is of such a run.")
    return 0


def _shown(line: dict[str, Any], *, as_json: bool) -> str:
    if as_json:
        return json.dumps(line)
    exception = f"\n{line['exception']}" if "exception" in line else ""
    return f"{line['at']} {line['level']} {line['message']}{exception}"
