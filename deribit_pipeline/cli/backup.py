"""`backup`: a copy of the warehouse, as it is at one moment."""

import time
from pathlib import Path

from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.backup_copy import back_up
from deribit_pipeline.warehouse.warehouse import Warehouse


def run(file: Path, *, replace: bool) -> int:
    """The command `backup`; answers its exit code."""
    settings, began = Settings.load(), time.monotonic()
    backup = back_up(Warehouse(settings.warehouse, settings.environment), file, replace=replace)
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
