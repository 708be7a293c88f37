"""`logs`: the lines of a run in the log file."""

import json
from typing import Annotated, Any

import typer

from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.terminal import stdout
from deribit_pipeline.errors import InputError
from deribit_pipeline.logs import lines_of_run
from deribit_pipeline.settings import Settings


@command("deribit-pipeline logs --run 3f2a91c0")
def logs(
    run_id: Annotated[
        str, typer.Option("--run", metavar="RUN_ID", help="The run's id, or its first characters.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the lines as JSON, with all fields.")
    ] = False,
) -> int:
    """Print the log lines of one run, oldest first."""
    home = Settings.load().dagster_home
    console, count = stdout(), 0
    try:
        for line in lines_of_run(home, run_id):
            count += 1
            console.print(_shown(line, as_json=as_json), markup=False, soft_wrap=True)
    except OSError as error:
        if error.filename is None:  # an error of the output
            raise
        raise InputError(f"{error.filename} cannot be read ({error.strerror}).") from error
    if not count:
        raise InputError(f"--run {run_id}: no line in {home / 'logs'} belongs to such a run.")
    return 0


def _shown(line: dict[str, Any], *, as_json: bool) -> str:
    if as_json:
        return json.dumps(line)
    exception = f"\n{line['exception']}" if "exception" in line else ""
    return f"{line['at']} {line['level']} {line['message']}{exception}"
