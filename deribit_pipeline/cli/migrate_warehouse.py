"""`migrate-warehouse`: a warehouse copied to another place and verified there."""

import time
from contextlib import ExitStack
from typing import Annotated

import typer
from rich.console import Console

from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.terminal import ProgressLine, stderr, stdout, warnings_on
from deribit_pipeline.cli.verify import name_each
from deribit_pipeline.engine.migration import Migration, migrate
from deribit_pipeline.errors import InputError
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.settings import Settings, location


@command(
    "deribit-pipeline migrate-warehouse data/mainnet.duckdb "
    "'ducklake:postgres:host=db dbname=deribit' --to-data s3://bucket/lake",
    # Extra arguments may be parts of a connection string, which typer would print.
    context_settings={"allow_extra_args": True},
)
def migrate_warehouse(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FROM", help="The warehouse, written as DERIBIT_WAREHOUSE is. It is kept."
        ),
    ],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TO",
            help="The target, written in the same way.  [default: DERIBIT_WAREHOUSE]",
            show_default=False,
        ),
    ] = None,
    source_data: Annotated[
        str | None,
        typer.Option(
            "--from-data",
            metavar="PLACE",
            help="Location of the Parquet files if FROM is a lake.  ["
            "default: DERIBIT_WAREHOUSE_DATA]",
            show_default=False,
        ),
    ] = None,
    target_data: Annotated[
        str | None,
        typer.Option(
            "--to-data",
            metavar="PLACE",
            help="Location of the Parquet files if TO is a lake.  ["
            "default: DERIBIT_WAREHOUSE_DATA]",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Copy a warehouse to another place, a file or a lake, and verify every proof there. Run it
    again to continue after an interruption, or to copy what was stored since.

    Put a password into PGPASSWORD, ~/.pgpass or DERIBIT_WAREHOUSE, never on a command line.
    """
    if context.args:
        raise InputError("FROM and TO are one argument each: put a connection string in quotes.")
    began, settings, console = time.monotonic(), Settings.load(), stderr()
    place = settings.warehouse if target is None else location(target, target_data)
    source_place = location(source, source_data)
    moved = warehouse_at(source_place, settings.environment, is_foreign=True).pinned()
    to = warehouse_at(place, settings.environment).pinned()
    with warnings_on(console), _Progress(console) as progress:
        result = migrate(moved, to, progress.copied, progress.verified)
    name_each(result.findings)
    for difference in result.tables:
        stdout().print(difference, markup=False, soft_wrap=True)
    console.print(
        f"{result.days:,} days with {result.rows:,} rows copied to {to}, "
        f"{result.verified.days:,} with {result.verified.rows:,} recomputed there, in "
        f"{time.monotonic() - began:.1f} s; "
        f"{len(result.findings) + len(result.tables):,} differences.",
        markup=False,
        soft_wrap=True,
    )
    return 0 if result.is_proved else 1


class _Progress:
    """The progress of copying, then of verifying."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stack = ExitStack()
        self._line: ProgressLine | None = None
        self._is_copying = True

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def copied(self, so_far: Migration) -> None:
        self._shown("days copied", so_far.required).show(so_far.days, so_far.rows)

    def verified(self, so_far: Migration) -> None:
        if self._is_copying:
            self._stack.close()
            self._line, self._is_copying = None, False
        done = so_far.verified
        self._shown("days verified", so_far.held).show(done.days, done.rows)

    def _shown(self, things: str, total: int) -> ProgressLine:
        if self._line is None:
            self._line = self._stack.enter_context(ProgressLine(self._console, things, total))
        return self._line
