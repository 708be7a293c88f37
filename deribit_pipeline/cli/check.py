"""`check`: one line per probe."""

from pathlib import Path

from deribit_pipeline.cli.terminal import stdout
from deribit_pipeline.engine.connectivity import probes
from deribit_pipeline.errors import InputError
from deribit_pipeline.settings import Settings


def run(*, assumptions: bool = False, report: Path | None = None) -> int:
    """The command `check`; answers its exit code."""
    if assumptions:
        from deribit_pipeline.cli import assumptions_report as command

        return command.run(report)
    if report:
        raise InputError("--json is the report of --assumptions: give that option too.")
    console = stdout()
    made = probes(Settings.load())
    for probe in made:
        mark = "[green]ok  [/]" if probe.is_ok else "[red]FAIL[/]"
        console.print(f"{mark} {probe.name:<12}", end="", soft_wrap=True)
        console.print(probe.detail, markup=False, soft_wrap=True)
    return 0 if all(probe.is_ok for probe in made) else 1
