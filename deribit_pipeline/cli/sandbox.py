"""`sandbox`: the sandbox exchange as a server of its own."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.errors import InputError
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults, rates_from
from deribit_pipeline.sandbox.server import HOST, ROOT, serve


def run(
    port: int,
    requests_per_second: float,
    burst: int,
    latency: float,
    now: str | None,
    trades_per_minute: float,
    faults: Sequence[str],
) -> int:
    """The command `sandbox`; answers its exit code when interrupted."""
    try:
        rates = rates_from(faults)
    except ValueError as error:
        raise InputError(f"--fault is wrong: {error}.") from error
    exchange = SandboxExchange(
        _clock(now),
        per_second=requests_per_second,
        burst=burst,
        trades_per_minute=trades_per_minute,
    )

    def announce(at_port: int) -> None:
        stderr().print(
            f"The sandbox exchange answers at http://{HOST}:{at_port}{ROOT} until interrupted."
        )

    try:
        serve(port, exchange, Faults(rates), latency, announce)
    except OSError as error:
        raise InputError(
            f"--port {port} cannot be used ({error.strerror}): choose another, or 0 for any."
        ) from error
    return 0


def _clock(now: str | None) -> Callable[[], float]:
    """The real time, or one that runs on from `now`."""
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
