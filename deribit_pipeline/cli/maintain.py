"""`maintain`: compaction and clean-up of a lake."""

import time
from datetime import timedelta
from typing import Annotated

import typer

from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.printed_tables import Column, print_table
from deribit_pipeline.cli.terminal import stderr, stdout
from deribit_pipeline.domain.location import Lake
from deribit_pipeline.errors import InputError
from deribit_pipeline.lake import maintenance
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.settings import Settings

_COLUMNS = (
    Column("table", is_number=False),
    *map(Column, ("files before", "after", "MB before", "after")),
)


@command("deribit-pipeline maintain --keep-days 7")
def maintain(
    keep_days: Annotated[
        int,
        typer.Option(
            "--keep-days",
            metavar="DAYS",
            min=1,
            max=36_500,
            help="Days of DuckLake snapshots to keep for time travel.",
        ),
    ] = 30,
) -> int:
    """Merge the small files of a DuckLake, expire its old snapshots, and remove files that no
    snapshot needs.

    Other processes may use the lake meanwhile; writers sometimes wait a few seconds. A DuckDB file
    needs no maintenance."""
    settings, began = Settings.load(), time.monotonic()
    warehouse = warehouse_of(settings)
    if not isinstance(settings.warehouse, Lake):
        warehouse.require_there()
        stderr().print(
            f"{warehouse} is one file, which needs no maintenance.", markup=False, soft_wrap=True
        )
        return 0
    if not warehouse.exists():
        raise InputError(f"{warehouse} does not exist: there is nothing to maintain yet.")
    maintained = maintenance.maintain(warehouse, timedelta(days=keep_days))
    held = [each for each in maintained if each.before.files or each.after.files]
    print_table(stdout(), "", _COLUMNS, [_row(each) for each in held])
    stderr().print(
        f"{warehouse} was maintained in {time.monotonic() - began:.1f} s. Snapshots of the last "
        f"{keep_days:,} days are kept.",
        markup=False,
        soft_wrap=True,
    )
    return 0


def _row(each: maintenance.Maintained) -> tuple[str | int, ...]:
    sizes = [f"{held.size / 1e6:,.1f}" for held in (each.before, each.after)]
    return (each.table, each.before.files, each.after.files, *sizes)
