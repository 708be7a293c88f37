"""`export`: rows for other programs, with a manifest of their proofs."""

import time
from pathlib import Path
from typing import Annotated

import typer

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.backfill_command import with_command
from deribit_pipeline.cli.backfill_report import counted
from deribit_pipeline.cli.instrument_choice import refresh_all, window_of
from deribit_pipeline.cli.options import (
    DatasetName,
    FirstDay,
    Instruments,
    ResolutionOfCandles,
    Series,
)
from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.domain.specification import settlement_currency
from deribit_pipeline.errors import IncompleteDays, InputError, UnknownSpecification
from deribit_pipeline.export import export_folder
from deribit_pipeline.export.export_folder import FORMATS, Contents, Exported
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.settings import Settings


@command(
    "deribit-pipeline export --instruments BTC-PERPETUAL --start 2024-01-01 "
    "--end 2024-03-31 --resolution 5 --format parquet --to research",
)
def export(
    start: FirstDay,
    end: Annotated[str, typer.Option("--end", metavar="DAY", help="Last UTC day, included.")],
    format_name: Annotated[
        str, typer.Option("--format", metavar="NAME", help="parquet, csv, freqtrade or nautilus.")
    ],
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="FOLDER",
            help="Target folder; other series and datasets that were exported to it are kept.",
        ),
    ],
    instruments: Instruments = None,
    resolution: ResolutionOfCandles = None,
    dataset_name: DatasetName = None,
    series: Series = None,
    allow_incomplete: Annotated[
        bool,
        typer.Option("--allow-incomplete", help="Also export the stored rows of incomplete days."),
    ] = False,
) -> int:
    """Export rows as files for other programs, with a manifest of their proofs.

    Candles are those returned by the exchange, or rolled up from minutes on days on which only
    the minutes are complete.
    """
    wanted = arguments.RequestedDays(dataset_name, resolution, instruments, series)
    if format_name not in FORMATS:
        raise InputError(f"--format must be one of {', '.join(FORMATS)}, was {format_name!r}.")
    first, last = arguments.window(start, end)
    assert first is not None
    assert last is not None
    settings, began = Settings.load(), time.monotonic()
    dataset = wanted.dataset()
    warehouse = warehouse_of(settings).pinned()
    warehouse.require_there()
    names = wanted.names(dataset, settings, warehouse, window_of(first, last))
    contents = Contents(warehouse, dataset, names, first, last, allow_incomplete)
    try:
        made = _exported(contents, format_name, to, settings)
    except IncompleteDays as error:
        otherwise = "export what is held with --allow-incomplete"
        raise with_command(error, otherwise) from None
    incomplete = ""
    if made.incomplete:
        days = "1 day is" if made.incomplete == 1 else f"{made.incomplete:,} days are"
        incomplete = f"; {days} not complete"
    size = f"{made.size / 1e6:,.1f} MB" if made.size >= 1e6 else f"{made.size / 1e3:.0f} kB"
    kept = f"; {counted(made.kept, 'files')} of earlier exports kept" if made.kept else ""
    stderr().print(
        f"{to} holds {counted(made.rows, dataset.rows)} in {counted(made.files, 'files')} of "
        f"{format_name}, {size}, "
        f"written in {time.monotonic() - began:.1f} s{incomplete}{kept}.",
        markup=False,
        soft_wrap=True,
    )
    return 0


def _exported(contents: Contents, format_name: str, to: Path, settings: Settings) -> Exported:
    """Export; if instruments were never requested, request the lists that have them first."""
    try:
        return export_folder.export(contents, format_name, to)
    except UnknownSpecification:
        lists = tuple(dict.fromkeys(map(settlement_currency, contents.names)))
        refresh_all(settings, warehouse_of(settings), lambda known: lists)
        return export_folder.export(contents, format_name, to)
