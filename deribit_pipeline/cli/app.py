"""The console script: its commands by name, each in the file of the same name.

`COMMANDS` lists them. The file of a command is imported only when the command runs or its help is
printed, so that these files can have top-level imports and `--help` stays fast.
"""

from collections import Counter
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from deribit_pipeline.version import __version__

COMMANDS = {
    "backfill": "Fetch, verify and store days of a dataset.",
    "backup": "Copy the warehouse while it is in use.",
    "chart": "Draw candles and volume as an HTML page.",
    "check": "Check exchange, clock, warehouse and recorder.",
    "coverage": "Show the stored days of each series, by state.",
    "demo": "Backfill two weeks from the sandbox exchange.",
    "docs": "Print the documents of this version.",
    "export": "Export rows as files for other programs.",
    "instruments": "List instruments, now or as of any day.",
    "logs": "Print the log lines of one run.",
    "maintain": "Merge small files of a lake and expire snapshots.",
    "migrate-warehouse": "Copy the warehouse to another place and verify it.",
    "prune": "Remove old runs from Dagster's storage.",
    "record": "Record quotes and trades as they happen.",
    "repair": "Fetch days again that are not complete.",
    "sandbox": "Serve the sandbox exchange.",
    "sql": "Print the rows of a query on the warehouse.",
    "ui": "Serve Dagster's UI and run its schedules.",
    "verify": "Recompute every proof from the stored rows.",
}
"""Each command and its line in `--help`. For example, the command `migrate-warehouse` is
the function `migrate_warehouse` in `cli/migrate_warehouse.py`, decorated with `@command`."""


_HELP = {"help_option_names": ["-h", "--help"]}


class Single(TyperCommand):
    """A command that refuses an option with one value that is given twice: the last value would
    silently win."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = Counter(self.make_parser(ctx).parse_args(args=list(args))[2])
        for option, times in given.items():
            is_single = not getattr(option, "is_flag", False) and not option.multiple
            if times > 1 and option.param_type_name == "option" and is_single:
                ctx.fail(f"{option.opts[-1]} takes one value and was given {times} times")
        return super().parse_args(ctx, args)


def command(example: str, **options: Any) -> Callable[[Callable[..., int]], TyperCommand]:
    """Turn a function into a command: its parameters are the options, its docstring is the help,
    and its return value is the exit code. The help ends with `example`; `options` go to typer."""

    def made(function: Callable[..., int]) -> TyperCommand:
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        settings = _HELP | options.pop("context_settings", {})
        epilog = f"Example: {example}"
        alone.command(cls=Single, context_settings=settings, epilog=epilog, **options)(function)
        single = typer.main.get_command(alone)
        assert isinstance(single, TyperCommand)
        return single

    return made


class Commands(TyperGroup):
    """The commands in `COMMANDS`, each imported on demand."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = dict.fromkeys(COMMANDS)  # typer suggests a similar name
        self._only_named = False

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        if cmd_name not in COMMANDS:
            return None
        if self._only_named:
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name])
        name = cmd_name.replace("-", "_")
        found = getattr(import_module(f"deribit_pipeline.cli.{name}"), name)
        assert isinstance(found, TyperCommand)
        return found

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """The names of commands and options for a shell, without importing any command."""
        self._only_named = True
        return super().shell_complete(ctx, incomplete)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    cls=Commands,
    help="Keep a complete, provable, local warehouse of the Deribit exchange's market history.",
    context_settings=_HELP,
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
