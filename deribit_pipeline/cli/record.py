"""`record`: record what the exchange never publishes again."""

import re
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

import typer
from rich.live import Live

from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.terminal import stderr, warnings_on
from deribit_pipeline.datasets.book_summaries import BOOK_SUMMARIES
from deribit_pipeline.errors import InputError
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.recorder.progress import Counts, status
from deribit_pipeline.recorder.recorder_loop import record as run
from deribit_pipeline.settings import Settings

# Seconds between two lines without a terminal.
_LINE_EVERY = 60.0

# Seconds for a request, including its retries: the slot must not be over.
_PATIENCE, _TIMEOUT = 10.0, 30.0

_RECORDED = (BOOK_SUMMARIES.name,)


@command("deribit-pipeline record; deribit-pipeline record --for 10m")
def record(
    datasets: Annotated[
        str,
        typer.Option(metavar="NAMES", help="What to record, separated by commas."),
    ] = ",".join(_RECORDED),
    duration: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="DURATION",
            help="End after this time, such as 90s, 10m or 2h.  [default: until interrupted]",
        ),
    ] = None,
) -> int:
    """Record data that the exchange publishes no history of, into the spool, until interrupted.
    `backfill --dataset book_summaries`, or its schedule, takes it into the warehouse.

    DERIBIT_SNAPSHOT_EVERY is the time between two snapshots (default 5m), DERIBIT_RECORD_CURRENCIES
    names the currencies.
    """
    unknown = sorted(set(_names(datasets)) - set(_RECORDED))
    if unknown or not _names(datasets):
        raise InputError(
            f"--datasets may name {', '.join(_RECORDED)}, was {datasets!r}: everything else has a "
            "history, which backfill fetches."
        )
    length = None if duration is None else _duration(duration)
    settings = Settings.load()
    every = settings.snapshot_every.total_seconds()
    console = stderr()
    with (
        open_exchange(settings, min(_PATIENCE, every / 4), min(_TIMEOUT, every / 2)) as exchange,
        Live(console=console, transient=True, auto_refresh=False) as live,
        warnings_on(console),
    ):
        assert exchange.spool is not None
        if not console.is_terminal:
            console.print(f"Recording {exchange.source} into {exchange.spool}.")
        counts = run(
            exchange,
            exchange.spool,
            settings.record_currencies,
            duration=length,
            on_tick=_Shown(live).show,
        )
    console.print(status(counts))
    return 0 if any(each.complete for each in counts.values()) else 1


class _Shown:
    """The status: a line that changes on a terminal, one line a minute elsewhere."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._printed_at = time.monotonic()

    def show(self, counts: Mapping[str, Counts]) -> None:
        if self._live.console.is_terminal:
            self._live.update(status(counts), refresh=True)
        elif time.monotonic() - self._printed_at >= _LINE_EVERY:
            self._printed_at = time.monotonic()
            self._live.console.print(status(counts))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _duration(text: str) -> timedelta:
    found = re.fullmatch("([1-9][0-9]{0,5})([smhd])", text)
    if not found:
        raise InputError(f"--for must be a duration such as 90s, 10m or 2h, was {text!r}.")
    return int(found[1]) * timedelta(seconds={"s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2]])
