"""Commands that show what is held, recompute it, and hand it on."""

from pathlib import Path
from typing import Annotated

import typer

from deribit_pipeline.cli.app import OfDatasets, app
from deribit_pipeline.cli.options import (
    DatasetHeld,
    DatasetName,
    FirstHeld,
    Instruments,
    InstrumentsHeld,
    LastHeld,
    Resolution,
    ResolutionHeld,
    ResolutionOfCandles,
    Series,
    SeriesHeld,
)


@app.command(
    short_help="Draw candles and volume.",
    epilog="Example: deribit-pipeline chart --instruments BTC-PERPETUAL,ETH-PERPETUAL "
    "--start 2024-01-01 --end 2024-01-14 --html candles.html",
)
def chart(
    instruments: Annotated[
        str,
        typer.Option(
            "--instruments", metavar="A,B", help="Instruments by Deribit's names, all of them held."
        ),
    ],
    html: Annotated[
        Path,
        typer.Option("--html", metavar="FILE", help="The page; one that is there is replaced."),
    ],
    start: FirstHeld = None,
    end: LastHeld = None,
    resolution: Resolution = "1",
) -> int:
    """Draw candles and volume as one page to zoom into, which needs nothing but a browser."""
    from deribit_pipeline.cli import chart as command

    return command.run(instruments, start, end, resolution, html)


@app.command(
    short_help="Show what is held, day by day.",
    epilog="Example: deribit-pipeline coverage --instruments BTC-PERPETUAL --resolution 1",
)
def coverage(
    instruments: InstrumentsHeld = None,
    resolution: ResolutionHeld = None,
    dataset: DatasetHeld = None,
    series: SeriesHeld = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Also as a page with the proof of each day; replaced."
        ),
    ] = None,
) -> int:
    """Show what is held: every series by day, coloured by state."""
    from deribit_pipeline.cli import arguments
    from deribit_pipeline.cli import coverage as command

    wanted = arguments.Wanted(dataset, resolution, instruments, series)
    return command.run(wanted, html)


@app.command(
    cls=OfDatasets,
    short_help="Write rows as files for other programs.",
    epilog="Example: deribit-pipeline export --instruments BTC-PERPETUAL --start 2024-01-01 "
    "--end 2024-03-31 --resolution 5 --format parquet --to research",
)
def export(
    start: Annotated[
        str, typer.Option("--start", metavar="DAY", help="First UTC day, such as 2024-01-31.")
    ],
    end: Annotated[str, typer.Option("--end", metavar="DAY", help="Last UTC day, included.")],
    format_name: Annotated[
        str, typer.Option("--format", metavar="NAME", help="parquet, csv, freqtrade or nautilus.")
    ],
    to: Annotated[
        Path,
        typer.Option("--to", metavar="FOLDER", help="The folder; an export in it is replaced."),
    ],
    instruments: Instruments = None,
    resolution: ResolutionOfCandles = None,
    dataset: DatasetName = None,
    series: Series = None,
    allow_incomplete: Annotated[
        bool,
        typer.Option("--allow-incomplete", help="Also what is held of days that are not complete."),
    ] = False,
) -> int:
    """Write rows as files for other programs, with a manifest of what proves them.

    Candles are as the exchange told them, or made of minutes where only those are complete.
    """
    from deribit_pipeline.cli import arguments
    from deribit_pipeline.cli import export_files as command

    wanted = arguments.Wanted(dataset, resolution, instruments, series)
    return command.run(wanted, start, end, format_name, to, allow_incomplete=allow_incomplete)


@app.command(
    short_help="List what the exchange lists.",
    epilog="Example: deribit-pipeline instruments --as-of 2024-01-31 --kind option --currency BTC",
)
def instruments(
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="DAY",
            help="As of a UTC day.  [default: when the exchange was last asked]",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", metavar="KIND", help="future, option, spot, future_combo or option_combo."
        ),
    ] = None,
    currency: Annotated[
        str | None,
        typer.Option("--currency", metavar="C", help="Those that settle in it: BTC, ETH, USDC, …"),
    ] = None,
    expired: Annotated[
        bool, typer.Option("--expired", help="Also those that had expired by then.")
    ] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the exchange first.")] = False,
) -> int:
    """List the instruments, as the exchange listed them now or on any day."""
    from deribit_pipeline.cli import listed_instruments as command

    return command.run(as_of, kind, currency, expired=expired, asks=refresh)


@app.command(
    short_help="Recompute every proof.",
    epilog="Example: deribit-pipeline verify --instruments BTC-PERPETUAL",
)
def verify(
    instruments: InstrumentsHeld = None,
    start: FirstHeld = None,
    end: LastHeld = None,
    resolution: ResolutionHeld = None,
    dataset: DatasetHeld = None,
    series: SeriesHeld = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="WAREHOUSE",
            help="Recompute nothing: compare the proofs with those of another warehouse, written "
            "as DERIBIT_WAREHOUSE is.",
        ),
    ] = None,
    against_data: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="The Parquet files of a lake that --against names.  "
            "[default: DERIBIT_WAREHOUSE_DATA]",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Recompute every proof from the stored rows, and name each day that no longer matches."""
    from deribit_pipeline.cli import arguments
    from deribit_pipeline.cli import verify as command

    wanted = arguments.Wanted(dataset, resolution, instruments, series)
    return command.run(wanted, start, end, against, against_data)
