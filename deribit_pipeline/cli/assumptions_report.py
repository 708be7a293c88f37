"""`check --assumptions`: a table of the code's assumptions and of the exchange's responses."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deribit_pipeline.assumptions.assumption import Finding, Verdict
from deribit_pipeline.assumptions.findings import Report, report
from deribit_pipeline.cli.terminal import stderr, stdout
from deribit_pipeline.errors import InputError
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.whole_files import whole_file

_COLOURS = {Verdict.HOLDS: "green", Verdict.DIFFERS: "red", Verdict.NOT_TESTED: "yellow"}

_ORDER = (Verdict.HOLDS, Verdict.NOT_TESTED, Verdict.DIFFERS)

_COMMAND = "deribit-pipeline check --assumptions"

_BEGINS = f'{{\n  "report": "{_COMMAND}"'.encode()


def report_assumptions(file: Path | None) -> int:
    """Test the assumptions, print the table and write it to `file`; returns the exit code."""
    settings = Settings.load()
    if file:
        _require_place(file)
    messages = stderr()
    messages.print(f"Making about thirty requests to {settings.source}", markup=False)
    made = report(settings)
    print_findings(stdout(), made.findings)
    if file:
        _write(file, made)
    counts = ", ".join(f"{made.counts[verdict]} {_counted(verdict)}" for verdict in Verdict)
    messages.print(f"{len(made.findings)} assumptions: {counts}.")
    if made.counts[Verdict.DIFFERS]:
        messages.print(
            f"The exchange differs from what the code assumes: report it, with the file of "
            f"`{_COMMAND} --json FILE`.",
            soft_wrap=True,
        )
    return 1 if made.counts[Verdict.DIFFERS] or not made.is_reached else 0


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Print the findings as a table, those that differ last, just above the prompt."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(min_width=9, max_width=19 if console.width > 100 else 9)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for finding in sorted(findings, key=lambda finding: _ORDER.index(finding.verdict)):
        colour = _COLOURS[finding.verdict]
        table.add_row(
            f"[{colour}]{finding.verdict}[/]", finding.assumption.id, escape(_detail(finding))
        )
    console.print(table)


def _detail(finding: Finding) -> str:
    """The text of a finding, with all details if the exchange differs."""
    assumption = finding.assumption
    if finding.verdict is Verdict.HOLDS:
        return f"{assumption.statement} Found: {finding.found}."
    if finding.verdict is Verdict.NOT_TESTED:
        return f"{assumption.statement} Not tested: {finding.reason}."
    return (
        f"{assumption.statement}\nAssumed: {finding.assumed}.\nFound: {finding.found}.\n"
        f"What follows: {assumption.follows}"
    )


def _counted(verdict: Verdict) -> str:
    return {Verdict.HOLDS: "hold", Verdict.DIFFERS: "differ"}.get(verdict, str(verdict))


def _require_place(file: Path) -> None:
    """Raise InputError, before any request, if the report could not be written or the file exists
    and is not a former report."""
    try:
        if not file.parent.is_dir():
            raise InputError(f"--json {file} cannot be written: {file.parent} is not a folder.")
        if file.exists() and not file.is_file():
            raise InputError(f"--json {file} is not a regular file: choose another path.")
        if file.exists():
            with file.open("rb") as there:
                begins = there.read(len(_BEGINS))
            if begins and begins != _BEGINS:
                raise InputError(
                    f"--json {file} exists and is not such a report: choose another path."
                )
    except OSError as error:
        raise _unwritable(file, error) from error


def _write(file: Path, made: Report) -> None:
    try:
        with whole_file(file, replacing=True) as written:
            written.write_text(
                json.dumps({"report": _COMMAND, **made.json()}, indent=2) + "\n", encoding="utf-8"
            )
    except OSError as error:
        raise _unwritable(file, error) from error
    stderr().print(f"The report is in {file}.", markup=False, soft_wrap=True)


def _unwritable(file: Path, error: OSError) -> InputError:
    return InputError(f"--json {file} cannot be written ({error.strerror}).")
