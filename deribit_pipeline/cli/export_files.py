"""`export`: rows for other programs, with a manifest of what proves them."""

import time
from pathlib import Path

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.errors import InputError
from deribit_pipeline.export.export import FORMATS, export
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse


def run(
    wanted: arguments.Wanted,
    start: str,
    end: str,
    format_name: str,
    to: Path,
    *,
    allow_incomplete: bool,
) -> int:
    """The command `export`; answers its exit code."""
    if format_name not in FORMATS:
        raise InputError(f"--format must be one of {', '.join(FORMATS)}, was {format_name!r}.")
    first, last = arguments.window(start, end)
    assert first is not None
    assert last is not None
    settings, began = Settings.load(), time.monotonic()
    dataset = wanted.dataset()
    warehouse = Warehouse(settings.warehouse, settings.environment).pinned()
    warehouse.require_there()
    made = export(
        warehouse,
        dataset,
        wanted.names(dataset, settings),
        first,
        last,
        format_name=format_name,
        to=to,
        is_incomplete_allowed=allow_incomplete,
    )
    lacking = ""
    if made.incomplete:
        days = "1 day is" if made.incomplete == 1 else f"{made.incomplete:,} days are"
        lacking = f"; {days} not complete"
    files = "1 file" if made.files == 1 else f"{made.files:,} files"
    size = f"{made.size / 1e6:,.1f} MB" if made.size >= 1e6 else f"{made.size / 1e3:.0f} kB"
    stderr().print(
        f"{to} holds {made.rows:,} {dataset.rows} in {files} of {format_name}, {size}, "
        f"written in {time.monotonic() - began:.1f} s{lacking}.",
        markup=False,
        soft_wrap=True,
    )
    return 0
