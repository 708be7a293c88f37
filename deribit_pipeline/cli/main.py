"""The console script `deribit-pipeline`: commands, and what becomes of their errors.

Data goes to stdout, messages to stderr. Exit codes: 0 all that was asked is proved, 1 something
was not, 2 the command line or a setting was wrong, 130 and 143 a signal ended it.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from deribit_pipeline import __version__
from deribit_pipeline.cli.interrupts import Interrupted, interruptible
from deribit_pipeline.cli.options import (
    DatasetHeld,
    DatasetName,
    FirstHeld,
    Instruments,
    InstrumentsHeld,
    LastDay,
    LastHeld,
    Resolution,
    ResolutionHeld,
    ResolutionOfCandles,
    Series,
    SeriesHeld,
)
from deribit_pipeline.errors import (
    DeribitPipelineError,
    InputError,
    UnknownInstrument,
    WarehouseUnusable,
    WrongCredentials,
    WrongEnvironment,
)

PROVED, NOT_PROVED, WRONG_INPUT = 0, 1, 2

# What the command line or a setting can mend.
_WRONG = (InputError, WarehouseUnusable, UnknownInstrument, WrongCredentials, WrongEnvironment)

app = typer.Typer(
    help="Keep a complete, provable, local warehouse of the Deribit exchange's market history.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show:
        typer.echo(f"deribit-pipeline {__version__}")
        raise typer.Exit


@app.command(
    short_help="Make instrument-days complete.",
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
) -> int:
    """Make days complete: fetch, prove and store their candles, or the rows of a dataset."""
    from deribit_pipeline.cli import arguments
    from deribit_pipeline.cli import backfill as command

    wanted = arguments.Wanted(dataset, resolution, instruments, series)
    return command.run(wanted, start, end, plan=plan, force=force)


@app.command(
    short_help="Copy the warehouse while others work with it.",
    epilog="Example: deribit-pipeline backup /mnt/backups/mainnet.duckdb",
)
def backup(
    file: Annotated[Path, typer.Argument(help="The copy. A backup that stands there is replaced.")],
) -> int:
    """Copy the warehouse as it is at one moment, while others work with it."""
    from deribit_pipeline.cli import backup as command

    return command.run(file)


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
    short_help="Say whether all that is needed is at hand.",
    epilog="Example: DERIBIT_ENV=testnet deribit-pipeline check",
)
def check() -> int:
    """Say whether exchange, clock, credentials and warehouse are as they should be."""
    from deribit_pipeline.cli import check as command

    return command.run()


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
    """Show what is held: every instrument by day, coloured by state."""
    from deribit_pipeline.cli import arguments
    from deribit_pipeline.cli import coverage as command

    wanted = arguments.Wanted(dataset, resolution, instruments, series)
    return command.run(wanted, html)


@app.command(
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
    from deribit_pipeline.cli import export as command

    wanted = arguments.Wanted(dataset, resolution, instruments, series)
    return command.run(wanted, start, end, format_name, to, allow_incomplete=allow_incomplete)


@app.command(
    short_help="Remove old runs from Dagster's books.",
    epilog="Example: deribit-pipeline prune --older-than 90",
)
def prune(
    older_than: Annotated[
        int,
        typer.Option(
            "--older-than",
            metavar="DAYS",
            min=1,
            max=36_500,
            help="Runs that finished before so many days go.",
        ),
    ],
    plan: Annotated[
        bool, typer.Option("--plan", help="Say how many runs would go, and do nothing.")
    ] = False,
) -> int:
    """Remove old runs from DAGSTER_HOME; what Dagster's UI shows of instrument-days stays."""
    from deribit_pipeline.cli import prune as command

    return command.run(older_than, plan=plan)


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
        Path | None,
        typer.Option(
            metavar="FILE", help="Recompute nothing: compare the proofs with another warehouse's."
        ),
    ] = None,
) -> int:
    """Recompute every proof from the stored rows, and name each day that no longer matches."""
    from deribit_pipeline.cli import arguments
    from deribit_pipeline.cli import verify as command

    wanted = arguments.Wanted(dataset, resolution, instruments, series)
    return command.run(wanted, start, end, against)


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
    from deribit_pipeline.cli import instruments as command

    return command.run(as_of, kind, currency, expired=expired, asks=refresh)


@app.command(
    short_help="Show what was logged in a run.",
    epilog="Example: deribit-pipeline logs --run 3f2a91c0",
)
def logs(
    run: Annotated[
        str, typer.Option("--run", metavar="RUN_ID", help="The run's id, or how it begins.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they are.")] = False,
) -> int:
    """Show the lines of the log file that are of one run, the oldest first."""
    from deribit_pipeline.cli import logs as command

    return command.run(run, as_json=as_json)


@app.command(
    short_help="Serve the sandbox exchange.",
    epilog="Example: deribit-pipeline sandbox --port 8787, and in another terminal "
    "DERIBIT_BASE_URL=http://127.0.0.1:8787/api/v2 deribit-pipeline check",
)
def sandbox(
    port: Annotated[
        int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)
    ] = 8787,
    requests_per_second: Annotated[
        float, typer.Option(help="The rate limit; 0 for none.", min=0)
    ] = 20.0,
    burst: Annotated[int, typer.Option(help="Calls in a burst.", min=1)] = 100,
    latency_ms: Annotated[float, typer.Option(help="How long every answer takes.", min=0)] = 0.0,
    now: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="The exchange's time at the start, such as 2026-09-20T21:17:00.  [default: now]",
        ),
    ] = None,
    trades_per_minute: Annotated[
        float,
        typer.Option(help="Trades in a minute that has some; 700 are a million a day.", min=1),
    ] = 2.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SHARE", help="Spoil a share of the answers: a fault by name, or all=0.2."
        ),
    ] = None,
) -> int:
    """Serve the sandbox exchange: a made-up market behind a faithful API."""
    from deribit_pipeline.cli import sandbox as command

    return command.run(
        port, requests_per_second, burst, latency_ms / 1000, now, trades_per_minute, fault or []
    )


def main() -> None:
    """Run the command line and exit."""
    sys.exit(exit_code(sys.argv[1:]))


def exit_code(arguments: list[str]) -> int:
    """Run one command line; every error becomes one sentence and a code."""
    try:
        with interruptible():
            arguments = arguments or ["--help"]
            return app(arguments, prog_name="deribit-pipeline", standalone_mode=False) or PROVED
    except _WRONG as error:
        return _said(error, WRONG_INPUT)
    except DeribitPipelineError as error:
        return _said(error, NOT_PROVED)
    except TyperException as error:
        sentence = error.format_message().rstrip(".")
        return _said(f"{sentence}. See deribit-pipeline --help.", WRONG_INPUT)
    except Interrupted as interruption:
        kept = "what was proved is kept, and the same command goes on from there"
        return _said(f"{interruption}: {kept}.", interruption.exit_code)


def _said(sentence: object, code: int) -> int:
    typer.echo(f"Error: {sentence}", err=True)
    return code
