"""`check`: one line per probe."""

from pathlib import Path
from typing import Annotated

import typer

from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.assumptions_report import report_assumptions
from deribit_pipeline.cli.terminal import stdout
from deribit_pipeline.connectivity import probes
from deribit_pipeline.errors import InputError
from deribit_pipeline.settings import Settings


@command(
    "DERIBIT_ENV=testnet deribit-pipeline check; "
    "deribit-pipeline check --assumptions --json assumptions.json",
)
def check(
    assumptions: Annotated[
        bool,
        typer.Option(
            "--assumptions",
            help="Test the code's assumptions about the exchange instead, with about thirty public "
            "requests.",
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="With --assumptions, also write the result as JSON, to attach to a bug report; "
            "an existing report is replaced.",
        ),
    ] = None,
) -> int:
    """Check that the exchange, its WebSocket, clock, credentials and warehouse are usable, and that
    the recorder records, where one was started."""
    if assumptions:
        return report_assumptions(report)
    if report:
        raise InputError("--json writes the report of --assumptions: add that option.")
    console = stdout()
    made = probes(Settings.load())
    for probe in made:
        mark = "[green]ok  [/]" if probe.is_ok else "[red]FAIL[/]"
        console.print(f"{mark} {probe.name:<12}", end="", soft_wrap=True)
        console.print(probe.detail, markup=False, soft_wrap=True)
    return 0 if all(probe.is_ok for probe in made) else 1
