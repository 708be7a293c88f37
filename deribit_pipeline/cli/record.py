"""`record`: record what the exchange publishes, as it happens."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import typer
from rich.live import Live

from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.interrupts import Interrupted
from deribit_pipeline.cli.terminal import stderr, warnings_on
from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.errors import InputError
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.recorder.recorder_loop import RECORDABLE, Recorder, recorders_of
from deribit_pipeline.recorder.recorder_loop import record as run
from deribit_pipeline.settings import Settings

# Seconds between two lines without a terminal.
_LINE_EVERY = 60.0

# Seconds for a request, including its retries: the slot must not be over.
_PATIENCE, _TIMEOUT = 10.0, 30.0

_RECORDABLE = tuple(dataset.name for dataset in RECORDABLE)


@command("deribit-pipeline record; deribit-pipeline record --for 10m")
def record(
    datasets: Annotated[
        str,
        typer.Option(metavar="NAMES", help="What to record, separated by commas."),
    ] = ",".join(_RECORDABLE),
    duration: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="DURATION",
            help="End after this time, such as 90s, 10m or 2h.  [default: until interrupted]",
        ),
    ] = None,
) -> int:
    """Record what the exchange publishes at this moment into the spool, until interrupted: quotes
    and open interest, of which it has no history, and trades.
    `backfill --dataset NAME`, or its schedule, takes recordings into the warehouse.

    DERIBIT_SNAPSHOT_EVERY is the time between two snapshots (default 5m) of the quotes of all
    instruments in DERIBIT_RECORD_CURRENCIES. Trades are those of the kinds and currencies of
    DERIBIT_INSTRUMENTS and DERIBIT_GROUPS.
    """
    names = _names(datasets)
    length = None if duration is None else _duration(duration)
    settings = Settings.load()
    every = settings.snapshot_every.total_seconds()
    console = stderr()
    with (
        warnings_on(console),
        open_exchange(settings, min(_PATIENCE, every / 4), min(_TIMEOUT, every / 2)) as exchange,
        Live(console=console, transient=True, auto_refresh=False) as live,
    ):
        recorders = recorders_of([DATASETS[name] for name in names], exchange, settings)
        if not console.is_terminal:
            console.print(f"Recording {exchange.source} into {exchange.spool}.")
        shown = _Shown(live, recorders)
        with shown.to_the_end():
            run(exchange, recorders, duration=length, on_tick=shown.show)
    return 0 if any(recorder.has_recorded for recorder in recorders) else 1


class _Shown:
    """The status: lines that change on a terminal, one line a minute elsewhere, and the last one
    at the end."""

    def __init__(self, live: Live, recorders: Sequence[Recorder]) -> None:
        self._live = live
        self._recorders = recorders
        self._printed_at = time.monotonic()

    @contextmanager
    def to_the_end(self) -> Iterator[None]:
        """Print the status when the block ends or is interrupted."""
        try:
            yield
        except Interrupted:
            self._end()
            raise
        self._end()

    def _end(self) -> None:
        self._live.stop()
        self._live.console.print(self._text)

    @property
    def _text(self) -> str:
        separator = "\n" if self._live.console.is_terminal else "; "
        return separator.join(recorder.status() for recorder in self._recorders)

    def show(self) -> None:
        if self._live.console.is_terminal:
            self._live.update(self._text, refresh=True)
        elif time.monotonic() - self._printed_at >= _LINE_EVERY:
            self._printed_at = time.monotonic()
            self._live.console.print(self._text)


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names or not set(names) <= set(_RECORDABLE):
        raise InputError(
            f"--datasets may name {', '.join(_RECORDABLE)}, was {text!r}: everything else is only "
            "fetched, by backfill."
        )
    return names


def _duration(text: str) -> timedelta:
    found = re.fullmatch("([1-9][0-9]{0,5})([smhd])", text)
    if not found:
        raise InputError(f"--for must be a duration such as 90s, 10m or 2h, was {text!r}.")
    return int(found[1]) * timedelta(seconds={"s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2]])
