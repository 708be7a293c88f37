"""`sandbox`: the sandbox exchange as a separate server."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.errors import InputError
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults, rates_from
from deribit_pipeline.sandbox.invented_perpetuals import NUMBER_KNOWN, invented
from deribit_pipeline.sandbox.rush import rush_of_perpetuals
from deribit_pipeline.sandbox.server import HOST, ROOT, serve
from deribit_pipeline.sandbox.socket_faults import SOCKET_FAULTS, SocketFaults
from deribit_pipeline.sandbox.sockets import Sockets


@command(
    "deribit-pipeline sandbox --port 8787, and in another terminal "
    "DERIBIT_BASE_URL=http://127.0.0.1:8787/api/v2 deribit-pipeline check",
)
def sandbox(
    port: Annotated[
        int,
        typer.Option(
            metavar="PORT", help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535
        ),
    ] = 8787,
    requests_per_second: Annotated[
        float, typer.Option(metavar="CALLS", help="Rate limit; 0 for none.", min=0)
    ] = 20.0,
    burst: Annotated[
        int, typer.Option(metavar="CALLS", help="Number of calls in a burst.", min=1)
    ] = 100,
    latency_ms: Annotated[
        float, typer.Option(metavar="MS", help="Latency of every response.", min=0)
    ] = 0.0,
    now: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="The exchange's time at the start, such as 2026-09-20T21:17:00.  [default: now]",
        ),
    ] = None,
    trades_per_minute: Annotated[
        float,
        typer.Option(
            metavar="COUNT",
            help="Trades in a minute that has any; 700 make a million a day.",
            min=1,
        ),
    ] = 2.0,
    perpetuals: Annotated[
        int,
        typer.Option(
            metavar="COUNT",
            help="Perpetuals to list. More than the default are invented; Deribit has about 130.",
            min=NUMBER_KNOWN,
            max=1_000,
        ),
    ] = NUMBER_KNOWN,
    faults: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            metavar="NAME=SHARE",
            help="Corrupt a share of the responses with a named fault, or with all=0.2; or a share "
            "of the notifications of a WebSocket, as with socket_skips=0.1.",
        ),
    ] = None,
    rush: Annotated[
        int,
        typer.Option(
            metavar="COUNT",
            help="Trades a second of BTC-PERPETUAL and ETH-PERPETUAL together, for 20 minutes from "
            "the next minute on; 0 for none.",
            min=0,
            max=20_000,
        ),
    ] = 0,
    close_sockets_every: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Cut all WebSockets this often; 0 for never.", min=0),
    ] = 0.0,
) -> int:
    """Serve the sandbox exchange: an invented market behind a faithful API."""
    rates, of_sockets = _rates(faults or [])
    clock = _clock(now)
    exchange = SandboxExchange(
        clock,
        per_second=requests_per_second,
        burst=burst,
        trades_per_minute=trades_per_minute,
        rush=rush_of_perpetuals(int(clock() * 1000), rush) if rush else None,
        more_listings=invented(perpetuals - NUMBER_KNOWN),
    )
    sockets = Sockets(exchange, faults=SocketFaults(of_sockets, close_sockets_every))

    def announce(at_port: int) -> None:
        stderr().print(
            f"The sandbox exchange answers at http://{HOST}:{at_port}{ROOT} until interrupted."
        )

    try:
        serve(port, exchange, Faults(rates), latency_ms / 1000, announce, sockets)
    except OSError as error:
        raise InputError(
            f"--port {port} cannot be used ({error.strerror}): choose another, or 0 for any."
        ) from error
    return 0


def _rates(texts: list[str]) -> tuple[dict[str, float], dict[str, float]]:
    """The shares of faults of responses, and of those of notifications."""
    of_sockets = [text for text in texts if text.startswith("socket_")]
    try:
        rates = rates_from(text for text in texts if text not in of_sockets)
        return rates, rates_from(of_sockets, SOCKET_FAULTS)
    except ValueError as error:
        raise InputError(f"--fault is invalid: {error}.") from error


def _clock(now: str | None) -> Callable[[], float]:
    """The real time, or a clock that starts at `now`."""
    if now is None:
        return time.time
    try:
        start = datetime.fromisoformat(now)
    except ValueError as error:
        raise InputError(
            f"--now must be a time such as 2026-09-20T21:17:00, was {now!r}."
        ) from error
    start = start if start.tzinfo else start.replace(tzinfo=UTC)
    offset = start.timestamp() - time.time()
    return lambda: time.time() + offset
