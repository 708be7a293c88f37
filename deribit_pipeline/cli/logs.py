"""`logs`: what the log file holds of a run."""

import json

from deribit_pipeline.cli.terminal import stdout
from deribit_pipeline.errors import InputError
from deribit_pipeline.logs import lines_of_run
from deribit_pipeline.settings import Settings


def run(run_id: str, *, as_json: bool) -> int:
    """The command `logs`; answers its exit code."""
    home = Settings.load().dagster_home
    console, count = stdout(), 0
    for line in lines_of_run(home, run_id):
        count += 1
        said = json.dumps(line) if as_json else f"{line['at']} {line['level']} {line['message']}"
        console.print(said, markup=False, soft_wrap=True)
        if not as_json and "exception" in line:
            console.print(line["exception"], markup=False, soft_wrap=True)
    if not count:
        raise InputError(f"--run {run_id}: no line in {home / 'logs'} is of such a run.")
    return 0
