"""`verify`: every day whose stored rows no longer match its proof, or another warehouse's."""

import time
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli.terminal import stderr, stdout
from deribit_pipeline.domain import Resolution
from deribit_pipeline.errors import InputError
from deribit_pipeline.operations.comparison import compare
from deribit_pipeline.operations.incomplete import held_instruments
from deribit_pipeline.operations.verification import Finding, verify
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.file import Warehouse


def run(
    instruments: str | None,
    start: str | None,
    end: str | None,
    resolution: str | None,
    against: Path | None,
) -> int:
    """The command `verify`; answers its exit code."""
    first, last = arguments.window(start, end)
    settings = Settings.load()
    names = arguments.instruments(instruments)
    only = arguments.resolution(resolution) if resolution is not None else None
    if against is not None:
        return _against(settings, against, names, only, first, last)
    warehouse = Warehouse(settings.warehouse, settings.environment)
    arguments.require_held(names, held_instruments(warehouse), settings.warehouse)
    began = time.monotonic()
    result = verify(warehouse, instrument_names=names, resolution=only, first=first, last=last)
    _name(result.findings)
    stderr().print(
        f"{result.days:,} days with {result.candles:,} candles recomputed in "
        f"{time.monotonic() - began:.1f} s; {len(result.findings):,} no longer match."
    )
    return 1 if result.findings else 0


def _against(
    settings: Settings,
    file: Path,
    names: tuple[str, ...],
    only: Resolution | None,
    first: date | None,
    last: date | None,
) -> int:
    """Name each day of which the warehouse and `file` do not say the same."""
    warehouse, other = (
        Warehouse(path, settings.environment) for path in (settings.warehouse, file)
    )
    if not other.exists():
        raise InputError(f"--against {file} does not exist: name a backup of the warehouse.")
    other.require()
    held = held_instruments(warehouse) | held_instruments(other)
    arguments.require_held(names, held, settings.warehouse)
    began = time.monotonic()
    result = compare(
        warehouse, other, instrument_names=names, resolution=only, first=first, last=last
    )
    _name(result.differences)
    stderr().print(
        f"{result.days:,} days compared with {file} in {time.monotonic() - began:.1f} s; "
        f"{len(result.differences):,} differ.",
        markup=False,
        soft_wrap=True,
    )
    return 1 if result.differences else 0


def _name(findings: Iterable[Finding]) -> None:
    console = stdout()
    for finding in findings:
        console.print(
            f"{finding.instrument_name} {finding.resolution.label} {finding.day}: "
            + "; ".join(finding.contradictions),
            markup=False,
            soft_wrap=True,
        )
