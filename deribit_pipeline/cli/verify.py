"""`verify`: every day whose stored rows no longer match its proof."""

import time

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli.terminal import stderr, stdout
from deribit_pipeline.operations.incomplete import held_instruments
from deribit_pipeline.operations.verification import verify
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.file import Warehouse


def run(instruments: str | None, start: str | None, end: str | None, resolution: str | None) -> int:
    """The command `verify`; answers its exit code."""
    first, last = arguments.window(start, end)
    settings = Settings.load()
    warehouse = Warehouse(settings.warehouse, settings.environment)
    names = arguments.instruments(instruments)
    arguments.require_held(names, held_instruments(warehouse), settings.warehouse)
    began = time.monotonic()
    result = verify(
        warehouse,
        instrument_names=names,
        resolution=arguments.resolution(resolution) if resolution is not None else None,
        first=first,
        last=last,
    )
    console = stdout()
    for finding in result.findings:
        console.print(
            f"{finding.instrument_name} {finding.resolution.label} {finding.day}: "
            + "; ".join(finding.contradictions),
            markup=False,
            soft_wrap=True,
        )
    stderr().print(
        f"{result.days:,} days with {result.candles:,} candles recomputed in "
        f"{time.monotonic() - began:.1f} s; {len(result.findings):,} no longer match."
    )
    return 1 if result.findings else 0
