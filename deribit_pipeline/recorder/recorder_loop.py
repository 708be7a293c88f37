"""Runs recorders until the time is up or the process is interrupted."""

import asyncio
import contextlib
import logging
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Protocol, cast

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.errors import DeribitPipelineError, InputError, first_of
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.recorder.clock import Clock
from deribit_pipeline.settings import Settings

logger = logging.getLogger(__name__)

RECORDABLE = tuple(DATASETS[name] for name in sorted(DATASETS) if DATASETS[name].recorder)
"""The datasets that have a recorder, by name."""


class Recorder(Protocol):
    """Records a dataset into the spool."""

    @property
    def has_recorded(self) -> bool:
        """Whether anything complete was recorded."""

    def status(self) -> str:
        """What was recorded so far, in a line."""

    async def run(self) -> None:
        """Record until cancelled, whatever the exchange and the disk do."""


def recorders_of(
    datasets: Iterable[Dataset], exchange: Exchange, settings: Settings
) -> list[Recorder]:
    """The recorders of datasets, which share one clock. One that has nothing to record is left out
    with a warning; raises InputError if all are."""
    clock, found = Clock(), []
    errors: list[InputError] = []
    for dataset in datasets:
        make = cast(
            Callable[[Exchange, Settings, Clock], Recorder], pkgutil.resolve_name(dataset.recorder)
        )
        try:
            found.append(make(exchange, settings, clock))
        except InputError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    for each in errors:
        logger.warning("%s", each)
    return found


def record(
    exchange: Exchange,
    recorders: Sequence[Recorder],
    *,
    duration: timedelta | None = None,
    on_tick: Callable[[], None] = lambda: None,
    is_enough: Callable[[], bool] = lambda: False,
) -> None:
    """Record into the exchange's spool, for a duration, until it is enough, or until interrupted.
    `on_tick` and `is_enough` are called about once a second.

    An exchange that is slow or away, or a disk that is full, does not end it. Raises InputError if
    another process records into the spool, and SpoolError if it cannot be created.
    """
    assert exchange.spool is not None
    with exchange.spool.recording():
        exchange.run(_record(recorders, duration, on_tick, is_enough))


async def _record(
    recorders: Sequence[Recorder],
    duration: timedelta | None,
    on_tick: Callable[[], None],
    is_enough: Callable[[], bool],
) -> None:
    seconds = None if duration is None else duration.total_seconds()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds) as limit:
            try:
                async with asyncio.TaskGroup() as group:
                    for recorder in recorders:
                        group.create_task(recorder.run())
                    while True:
                        on_tick()
                        await asyncio.sleep(1.0)
                        if is_enough():
                            limit.reschedule(asyncio.get_running_loop().time())
            except ExceptionGroup as group:
                if ours := group.subgroup(DeribitPipelineError):
                    raise first_of(ours) from group
                raise
