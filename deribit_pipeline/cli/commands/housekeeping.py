"""Commands that keep house: what is needed, copies, old runs, logs, the sandbox."""

from pathlib import Path
from typing import Annotated

import typer

from deribit_pipeline.cli.app import app


@app.command(
    short_help="Copy the warehouse while others work with it.",
    epilog="Example: deribit-pipeline backup /mnt/backups/mainnet.duckdb",
)
def backup(
    file: Annotated[
        Path,
        typer.Argument(help="The copy. A backup that is there is replaced if it holds no more."),
    ],
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Replace a backup that holds more, and keep it as FILE.former."
        ),
    ] = False,
) -> int:
    """Copy the warehouse as it is at one moment, while others work with it.

    A backup that holds days which the warehouse does not is never replaced, unless --replace is
    given."""
    from deribit_pipeline.cli import backup as command

    return command.run(file, replace=replace)


@app.command(
    short_help="Say whether all that is needed is at hand.",
    epilog="Example: DERIBIT_ENV=testnet deribit-pipeline check; "
    "deribit-pipeline check --assumptions --json assumptions.json",
)
def check(
    assumptions: Annotated[
        bool,
        typer.Option(
            "--assumptions",
            help="Instead, test what the code assumes of the exchange, with some thirty public "
            "requests.",
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="With --assumptions, also write the result as JSON, to attach to a bug report; "
            "a former one is replaced.",
        ),
    ] = None,
) -> int:
    """Say whether exchange, clock, credentials and warehouse are as they should be."""
    from deribit_pipeline.cli import check as command

    return command.run(assumptions=assumptions, report=report)


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
    from deribit_pipeline.cli import run_logs as command

    return command.run(run, as_json=as_json)


@app.command(
    short_help="Merge a lake's small files and clean up.",
    epilog="Example: deribit-pipeline maintain --keep-days 7",
)
def maintain(
    keep_days: Annotated[
        int,
        typer.Option(
            "--keep-days",
            metavar="DAYS",
            min=1,
            max=36_500,
            help="So many days back DuckLake's time travel goes.",
        ),
    ] = 30,
) -> int:
    """Merge the small files of a DuckLake, expire its old snapshots, and remove what none needs.

    Others may work meanwhile; those who write wait some seconds now and then. A DuckDB file needs
    none of it."""
    from deribit_pipeline.cli import maintain as command

    return command.run(keep_days)


@app.command(
    short_help="Move the warehouse to another place, and prove it there.",
    epilog="Example: deribit-pipeline migrate-warehouse data/mainnet.duckdb "
    "'ducklake:postgres:host=db dbname=deribit' --to-data s3://bucket/lake",
    # What is over may be the rest of a connection string, and typer would repeat it.
    context_settings={"allow_extra_args": True},
)
def migrate_warehouse(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FROM", help="The warehouse, written as DERIBIT_WAREHOUSE is. It stays."
        ),
    ],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TO",
            help="Where it is copied to, written likewise.  [default: DERIBIT_WAREHOUSE]",
            show_default=False,
        ),
    ] = None,
    source_data: Annotated[
        str | None,
        typer.Option(
            "--from-data",
            metavar="PLACE",
            help="The Parquet files of a lake FROM.  [default: DERIBIT_WAREHOUSE_DATA]",
            show_default=False,
        ),
    ] = None,
    target_data: Annotated[
        str | None,
        typer.Option(
            "--to-data",
            metavar="PLACE",
            help="The Parquet files of a lake TO.  [default: DERIBIT_WAREHOUSE_DATA]",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Copy all that a warehouse holds to another place, file or lake, and prove it there. The same
    command goes on where it was ended, and brings what has come since.

    A password belongs in PGPASSWORD, ~/.pgpass or DERIBIT_WAREHOUSE, and not on a command line.
    """
    from deribit_pipeline.cli import migrate as command

    return command.run(source, target, source_data, target_data, is_over=bool(context.args))


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


@app.command(
    short_help="Serve Dagster's UI and run its schedules.",
    epilog="Example: deribit-pipeline ui --port 3000",
)
def ui(
    port: Annotated[
        int, typer.Option(help="Port of the UI; 0 takes a free one.", min=0, max=65535)
    ] = 3000,
    host: Annotated[
        str, typer.Option(help="The address to listen at. The UI has no login.", metavar="ADDRESS")
    ] = "127.0.0.1",
) -> int:
    """Serve Dagster's UI with its daemon, on the DAGSTER_HOME and the settings of this folder,
    until interrupted. Requests that other web pages make, or that name an unknown host, are
    refused."""
    from deribit_pipeline.cli import ui as command

    return command.run(host, port)
