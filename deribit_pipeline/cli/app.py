"""The console script as one: its commands by name, and help that needs no heavy library."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from deribit_pipeline.version import __version__

DATASETS = "{datasets}"
"""In the help of an option: the names of all datasets."""


class Commands(TyperGroup):
    """Commands in the order of their names, whichever file they stand in."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx))


class OfDatasets(TyperCommand):
    """A command whose own help names the datasets: what they are made of takes a while to import,
    and all other help need not wait for it."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        for option in self.params:
            text = getattr(option, "help", None) or ""
            if DATASETS in text:
                option.help = text.replace(DATASETS, _names())  # type: ignore[attr-defined]
        super().format_options(ctx, formatter)


def _names() -> str:
    from deribit_pipeline.datasets.registry import ROW_DATASETS
    from deribit_pipeline.domain.dataset import Group

    own = [dataset.name for dataset in ROW_DATASETS if dataset.group is Group.ACCOUNT]
    told = [dataset.name for dataset in ROW_DATASETS if dataset.name not in own]
    return f"{', '.join(['candles', *told])}; with an API key {', '.join(own)}"


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
