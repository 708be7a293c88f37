"""`prune`: delete old runs from Dagster's storage."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.defs import retention
from deribit_pipeline.settings import Settings


@command("deribit-pipeline prune --older-than 90")
def prune(
    older_than: Annotated[
        int,
        typer.Option(
            "--older-than",
            metavar="DAYS",
            min=1,
            max=36_500,
            help="Delete runs that finished more than this many days ago.",
        ),
    ],
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Print how many runs would be deleted, without deleting them."),
    ] = False,
) -> int:
    """Delete old runs from DAGSTER_HOME; the UI still shows the same state of each
    instrument-day."""
    home = Settings.load().dagster_home
    before = datetime.now(UTC) - timedelta(days=older_than)
    if plan:
        runs = len(retention.old_runs(home, before))
        stderr().print(f"Runs to prune in {home}: {runs:,}.", markup=False, soft_wrap=True)
        return 0
    pruned = retention.prune(home, before)
    stderr().print(
        f"Runs pruned in {home}: {pruned.runs:,}; {pruned.freed / 1e6:,.1f} MB freed.",
        markup=False,
        soft_wrap=True,
    )
    return 0
