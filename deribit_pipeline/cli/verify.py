"""`verify`: days whose stored rows no longer match their proof, or another warehouse's proof."""

import time
from collections.abc import Iterable
from typing import Annotated

import typer

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.backfill_report import counted
from deribit_pipeline.cli.options import (
    DatasetHeld,
    FirstHeld,
    InstrumentsHeld,
    LastHeld,
    ResolutionHeld,
    SeriesHeld,
)
from deribit_pipeline.cli.terminal import stderr, stdout
from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.domain.location import Location
from deribit_pipeline.engine import verification
from deribit_pipeline.engine.comparison import compare
from deribit_pipeline.engine.failed_days import failed_days
from deribit_pipeline.engine.incomplete import held_series
from deribit_pipeline.engine.verification import Finding
from deribit_pipeline.errors import InputError
from deribit_pipeline.opening import warehouse_at, warehouse_of
from deribit_pipeline.settings import Settings, location


@command("deribit-pipeline verify --instruments BTC-PERPETUAL")
def verify(
    instruments: InstrumentsHeld = None,
    start: FirstHeld = None,
    end: LastHeld = None,
    resolution: ResolutionHeld = None,
    dataset_name: DatasetHeld = None,
    series: SeriesHeld = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="WAREHOUSE",
            help="Compare the proofs with those of another warehouse, written as "
            "DERIBIT_WAREHOUSE is, instead of recomputing them.",
        ),
    ] = None,
    against_data: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Location of the Parquet files of a lake in --against.  "
            "[default: DERIBIT_WAREHOUSE_DATA]",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Recompute every proof from the stored rows, and list each day that no longer matches."""
    wanted = arguments.RequestedDays(dataset_name, resolution, instruments, series)
    first, last = arguments.window(start, end)
    settings = Settings.load()
    selection = wanted.selection(settings, first, last)
    if against is not None:
        return _against(wanted, settings, location(against, against_data), selection)
    if against_data is not None:
        raise InputError("--against-data is for a DuckLake in --against: add that option.")
    warehouse = warehouse_of(settings).pinned()
    warehouse.require_there()
    wanted.require_held(selection, held_series(warehouse, selection), settings.warehouse)
    began = time.monotonic()
    result = verification.verify(warehouse, selection)
    for problem in result.problems:
        stdout().print(f"{warehouse}: {problem}", markup=False, soft_wrap=True)
    name_each(result.findings)
    with warehouse.reading() as connection:
        failed = failed_days(connection, selection)
    if not (result.days or result.found or failed):
        stderr().print(arguments.nothing_held(settings.warehouse), soft_wrap=True)
        return 1
    stderr().print(
        f"{result.days:,} days with {result.rows:,} rows recomputed in "
        f"{time.monotonic() - began:.1f} s; {result.found:,} no longer match."
    )
    for each in failed:
        stdout().print(
            f"{each.series} {each.dataset.short_label} {each.day}: requested and not proved: "
            f"{each.reason}",
            markup=False,
            soft_wrap=True,
        )
    if failed:
        stderr().print(
            f"{counted(len(failed), 'days')} requested and not proved: repair requests them again."
        )
    return 1 if result.found or failed else 0


def _against(
    wanted: arguments.RequestedDays, settings: Settings, place: Location, selection: Selection
) -> int:
    """List each day whose proofs differ between the warehouse and the one at `place`."""
    warehouse = warehouse_of(settings).pinned()
    other = warehouse_at(place, settings.environment, is_foreign=True).pinned()
    warehouse.require_there()
    if not other.exists():
        raise InputError(f"--against {other} does not exist: name a backup of the warehouse.")
    other.require()
    held = held_series(warehouse, selection) | held_series(other, selection)
    wanted.require_held(selection, held, settings.warehouse)
    began = time.monotonic()
    result = compare(warehouse, other, selection)
    name_each(result.differences)
    stderr().print(
        f"{result.days:,} days compared with {other} in {time.monotonic() - began:.1f} s; "
        f"{len(result.differences):,} differ.",
        markup=False,
        soft_wrap=True,
    )
    if not (result.days or result.differences):
        stderr().print(arguments.nothing_held(settings.warehouse), soft_wrap=True)
        return 1
    return 1 if result.differences else 0


def name_each(findings: Iterable[Finding]) -> None:
    """Print each day with its contradictions, on stdout."""
    console = stdout()
    for finding in findings:
        day = f" {finding.day}" if finding.day else ""
        console.print(
            f"{finding.series} {finding.dataset.short_label}{day}: "
            + "; ".join(finding.contradictions),
            markup=False,
            soft_wrap=True,
        )
