"""Commands that make days complete."""

from typing import Annotated

import typer

from deribit_pipeline.cli.app import OfDatasets, app
from deribit_pipeline.cli.options import (
    DatasetHeld,
    DatasetName,
    FirstHeld,
    Instruments,
    InstrumentsHeld,
    LastDay,
    ResolutionHeld,
    ResolutionOfCandles,
    Series,
    SeriesHeld,
)


@app.command(
    cls=OfDatasets,
    short_help="Make days complete.",
    epilog="Example: deribit-pipeline backfill --instruments BTC-PERPETUAL,ETH-PERPETUAL "
    "--start 2024-01-01 --end 2024-01-31 --resolution 1; deribit-pipeline backfill "
    "--dataset funding_rates --start 2024-01-01 --end 2024-12-31",
)
def backfill(
    start: Annotated[
        str, typer.Option("--start", metavar="DAY", help="First UTC day, such as 2024-01-31.")
    ],
    instruments: Instruments = None,
    end: LastDay = None,
    resolution: ResolutionOfCandles = None,
    dataset: DatasetName = None,
    series: Series = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would be asked for, and do nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Ask again for days that are already proved complete.")
    ] = False,
    twice: Annotated[
        bool,
        typer.Option(
            "--twice",
            help="Store no row that two responses for different windows do not share, whatever one "
            "wrong response conserves. Candles, funding rates, volatility index and trades: each "
            "window is requested twice. Settlements, delivery prices and the account are read "
            "twice, in different pages, without it too. Historical volatility and index prices "
            "have no window that could differ: two equal responses, as without it. "
            "Days that are already proved need --force as well.",
        ),
    ] = False,
) -> int:
    """Make days complete: fetch, prove and store their candles, or the rows of a dataset."""
    from deribit_pipeline.cli import arguments
    from deribit_pipeline.cli import backfill as command

    wanted = arguments.Wanted(dataset, resolution, instruments, series)
    return command.run(wanted, start, end, plan=plan, force=force, twice=twice)


@app.command(
    short_help="Ask again for what is not complete.",
    epilog="Example: deribit-pipeline repair --start 2024-01-01 --end 2024-03-31",
)
def repair(
    instruments: InstrumentsHeld = None,
    start: FirstHeld = None,
    end: LastDay = None,
    resolution: ResolutionHeld = None,
    dataset: DatasetHeld = None,
    series: SeriesHeld = None,
) -> int:
    """Find every day that is not complete and should be, and ask for it again."""
    from deribit_pipeline.cli import arguments
    from deribit_pipeline.cli import backfill as command

    wanted = arguments.Wanted(dataset, resolution, instruments, series)
    return command.repair(wanted, start, end)
