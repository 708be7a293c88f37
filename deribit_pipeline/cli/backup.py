"""`backup`: a copy of the warehouse, as it is at one moment."""

import time
from pathlib import Path
from typing import Annotated

import typer

from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.engine.backup_copy import back_up
from deribit_pipeline.errors import InputError, WouldLose
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.settings import Settings


@command("deribit-pipeline backup /mnt/backups/mainnet.duckdb")
def backup(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Path of the copy. An existing backup is replaced unless it holds more than "
            "the warehouse.",
        ),
    ],
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Replace a backup even if it holds more, and keep it as FILE.former."
        ),
    ] = False,
) -> int:
    """Copy the warehouse as it is at one moment, while other processes use it.

    A backup with days that the warehouse does not hold is replaced only with --replace."""
    settings, began = Settings.load(), time.monotonic()
    try:
        backup = back_up(warehouse_of(settings), file, replace=replace)
    except WouldLose as error:
        raise InputError(
            f"{error} Or use --replace, which keeps the former backup beside the new one."
        ) from error
    stderr().print(
        f"{file} holds {backup.days:,} days with {backup.candles:,} candles in "
        f"{backup.size / 1e6:,.1f} MB, copied in {time.monotonic() - began:.1f} s.",
        markup=False,
        soft_wrap=True,
    )
    if backup.former:
        stderr().print(
            f"The former backup held more: it is kept as {backup.former}.",
            markup=False,
            soft_wrap=True,
        )
    return 0
