"""Runs the recorders of all streams until the time is up or the process is interrupted."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import timedelta

from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.recorder.clock import Clock
from deribit_pipeline.recorder.progress import Counts
from deribit_pipeline.recorder.snapshots import SnapshotRecorder
from deribit_pipeline.spool.folder import Spool

OnTick = Callable[[Mapping[str, Counts]], None]
"""Called about once a second with the counts by currency."""

Enough = Callable[[Mapping[str, Counts]], bool]
"""Whether recording may end before its time is up."""


def record(
    exchange: Exchange,
    spool: Spool,
    currencies: tuple[str, ...],
    *,
    duration: timedelta | None = None,
    on_tick: OnTick = lambda counts: None,
    is_enough: Enough = lambda counts: False,
) -> Mapping[str, Counts]:
    """Record the book summaries of these currencies, for a duration, until it is enough, or until
    interrupted.

    An exchange that is slow or away, or a disk that is full, does not end it. Returns the counts by
    currency. Raises InputError if another process records into the spool, and SpoolError if it
    cannot be created.
    """
    counts = {currency: Counts() for currency in currencies}
    with spool.recording():
        exchange.run(_record(exchange, spool, counts, duration, on_tick, is_enough))
    return counts


async def _record(
    exchange: Exchange,
    spool: Spool,
    counts: Mapping[str, Counts],
    duration: timedelta | None,
    on_tick: OnTick,
    is_enough: Enough,
) -> None:
    clock = Clock()
    seconds = None if duration is None else duration.total_seconds()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds) as limit, asyncio.TaskGroup() as group:
            for currency, of_currency in counts.items():
                recorder = SnapshotRecorder(exchange.client, spool, currency, clock, of_currency)
                group.create_task(recorder.run())
            while True:
                on_tick(counts)
                await asyncio.sleep(1.0)
                if is_enough(counts):
                    limit.reschedule(asyncio.get_running_loop().time())
