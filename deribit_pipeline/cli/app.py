"""The console script: its commands by name, each in the file of that name.

`COMMANDS` is the list of them. A command's file is imported when the command is run or its help is
printed, so that files import what they need at their top and `--help` loads none of it.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from deribit_pipeline.version import __version__

COMMANDS = {
    "backfill": "Make days complete.",
    "backup": "Copy the warehouse while others work with it.",
    "chart": "Draw candles and volume.",
    "check": "Check that all that is needed is usable.",
    "coverage": "Show what is held, day by day.",
    "export": "Write rows as files for other programs.",
    "instruments": "List what the exchange lists.",
    "logs": "Show what was logged in a run.",
    "maintain": "Merge a lake's small files and clean up.",
    "migrate-warehouse": "Move the warehouse to another place, and prove it there.",
    "prune": "Remove old runs from Dagster's storage.",
    "repair": "Request again what is not complete.",
    "sandbox": "Serve the sandbox exchange.",
    "ui": "Serve Dagster's UI and run its schedules.",
    "verify": "Recompute every proof.",
}
"""Each command and its line in `--help`. The command `migrate-warehouse` is the function
`migrate_warehouse` of `cli/migrate_warehouse.py`, made one by `command`."""


def command(example: str, **options: Any) -> Callable[[Callable[..., int]], TyperCommand]:
    """Make a function a command: its parameters are the options, its docstring is the help, and
    the number that it returns is the exit code. `example` ends the help; `options` are typer's."""

    def made(function: Callable[..., int]) -> TyperCommand:
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(epilog=f"Example: {example}", **options)(function)
        single = typer.main.get_command(alone)
        assert isinstance(single, TyperCommand)
        return single

    return made


class Commands(TyperGroup):
    """The commands of `COMMANDS`, each imported when it is needed."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = dict.fromkeys(COMMANDS)  # their names, to suggest one

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        found = getattr(import_module(f"deribit_pipeline.cli.{name}"), name)
        assert isinstance(found, TyperCommand)
        return found

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    cls=Commands,
    help="Keep a complete, provable, local warehouse of the Deribit exchange's market history.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show:
        typer.echo(f"deribit-pipeline {__version__}")
        raise typer.Exit
