"""The terminal: data on stdout, messages on stderr, progress that fits either a person or a log."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from deribit_pipeline.operations.outcome import Outcome

# Without a terminal, how many seconds pass between two lines of progress.
_LINE_EVERY = 5.0


def stdout() -> Console:
    """For data. Not wrapped to a guessed width where it goes to a file or another program."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


def stderr() -> Console:
    """For messages."""
    console = Console(stderr=True, highlight=False)
    return console if console.is_terminal else Console(stderr=True, highlight=False, width=1_000)


class _ToConsole(logging.Handler):
    """Warnings of the package, above the progress bar and not through it."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(
            f"{record.levelname.capitalize()}: {record.getMessage()}", markup=False, soft_wrap=True
        )


@contextmanager
def warnings_on(console: Console) -> Iterator[None]:
    """Show the package's warnings on the console while the block lasts."""
    logger = logging.getLogger("deribit_pipeline")
    handler = _ToConsole(console)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class BackfillProgress:
    """Days done, candles, requests, rate and time left: a bar on a terminal, else plain lines.

    A backfill may take several runs: what the finished ones came to is added up.
    """

    def __init__(self, console: Console, days: int) -> None:
        self.total = Outcome(asked=days)
        self._finished = Outcome(asked=0)
        self._console = console
        self._began = self._last_line = time.monotonic()
        self._shown = -1
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.completed:,}/{task.total:,} days"),
                BarColumn(),
                TextColumn("{task.fields[counts]}"),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("days", total=days, counts="")

    def __enter__(self) -> "BackfillProgress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, outcome: Outcome) -> None:
        """Take in how far the current run has come."""
        total, finished = self.total, self._finished
        total.proofs |= outcome.proofs
        total.failures |= outcome.failures
        total.candles = finished.candles + outcome.candles
        total.revised = finished.revised + outcome.revised
        total.requests = finished.requests + outcome.requests
        total.seconds = time.monotonic() - self._began
        self._show()

    def run_ended(self) -> None:
        """The current run is over: what comes next is added to it."""
        self._finished = Outcome(
            asked=0,
            candles=self.total.candles,
            revised=self.total.revised,
            requests=self.total.requests,
        )

    def _show(self) -> None:
        total = self.total
        done = len(total.proofs) + len(total.failures)
        if done == self._shown:
            return
        self._shown = done
        rate = total.candles / max(total.seconds, 0.001)
        counts = f"{total.candles:,} candles, {total.requests:,} requests, {rate:,.0f} candles/s"
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=done, counts=counts)
            return
        now = time.monotonic()
        if done == total.asked or now - self._last_line >= _LINE_EVERY:
            self._last_line = now
            left = total.seconds / max(done, 1) * (total.asked - done)
            self._console.print(f"{done} of {total.asked} days, {counts}, {left:.0f} s left")
