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
    file: Annotated[Path, typer.Argument(help="The copy. A backup that stands there is replaced.")],
) -> int:
    """Copy the warehouse as it is at one moment, while others work with it."""
    from deribit_pipeline.cli import backup as command

    return command.run(file)


@app.command(
    short_help="Say whether all that is needed is at hand.",
    epilog="Example: DERIBIT_ENV=testnet deribit-pipeline check",
)
def check() -> int:
    """Say whether exchange, clock, credentials and warehouse are as they should be."""
    from deribit_pipeline.cli import check as command

    return command.run()


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
