"""The terminal: data on stdout, messages on stderr, progress as a bar or as log lines."""

import io
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from deribit_pipeline.masking import masked

if TYPE_CHECKING:  # keeps --help fast
    from deribit_pipeline.engine.jobs import Job

# Seconds between two progress lines without a terminal.
_LINE_EVERY = 5.0


def stdout() -> Console:
    """The console for data; of the width in COLUMNS, or else a fixed one, if it goes to a file or
    to another program."""
    console = Console(highlight=False)
    if console.is_terminal:
        return console
    columns = os.environ.get("COLUMNS", "")
    return Console(highlight=False, width=int(columns) if columns.isdigit() else 120)


def stderr() -> Console:
    """The console for messages."""
    console = Console(stderr=True, highlight=False)
    return console if console.is_terminal else Console(stderr=True, highlight=False, width=1_000)


def is_ascii(console: Console) -> bool:
    """Whether the console's encoding has no block characters."""
    try:
        "█·".encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def print_what_can_be() -> None:
    """Make both streams print a question mark for a character that their encoding does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


class _ToConsole(logging.Handler):
    """Prints the package's warnings above the progress bar."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(
            f"{record.levelname.capitalize()}: {masked(record.getMessage())}",
            markup=False,
            soft_wrap=True,
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


class ProgressLine:
    """Progress with rate and remaining time: a bar on a terminal, plain lines otherwise.

    `things` is the unit, in the plural; `done` is how many were done before.
    """

    def __init__(self, console: Console, things: str, total: int, done: int = 0) -> None:
        self._console = console
        self._things = things
        self._total = total
        self._before = done
        self._began = self._last_line = time.monotonic()
        self._shown = -1
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if console.is_terminal and done < total:
            self._bar = Progress(
                TextColumn("{task.completed:,}/{task.total:,} " + things),
                BarColumn(),
                TextColumn("{task.fields[counts]}"),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task(things, total=total, counts="")

    def __enter__(self) -> "ProgressLine":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, done: int, rows: int, called: str = "rows", also: str = "") -> None:
        """Show the progress: `done` items and `rows` rows, which are named `called`."""
        if done == self._shown or self._before == self._total:  # nothing to do
            return
        self._shown = done
        seconds = time.monotonic() - self._began
        rate = rows / max(seconds, 0.001)
        counts = f"{rows:,} {called}, {also}{rate:,.0f} {called}/s"
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=done, counts=counts)
        elif done == self._total or time.monotonic() - self._last_line >= _LINE_EVERY:
            self._last_line = time.monotonic()
            left = seconds / max(done - self._before, 1) * (self._total - done)
            self._console.print(
                f"{done} of {self._total} {self._things}, {counts}, {left:.0f} s left"
            )


class BackfillProgress:
    """The progress of a backfill: days done, rows and requests.

    `requested` is the number of days; days in no job are already settled. `rows` is the name of
    the rows.
    """

    def __init__(self, console: Console, requested: int, jobs: "Sequence[Job]", rows: str) -> None:
        self._rows = rows
        self._outcomes = [job.outcome for job in jobs]
        self._settled = requested - sum(outcome.requested for outcome in self._outcomes)
        self._line = ProgressLine(console, "days", requested, self._settled)

    def __enter__(self) -> "BackfillProgress":
        self._line.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.__exit__()

    def show(self) -> None:
        """Show the progress of the jobs."""
        made = sum(len(outcome.proofs) + len(outcome.failures) for outcome in self._outcomes)
        received = sum(outcome.rows for outcome in self._outcomes)
        requests = sum(outcome.requests for outcome in self._outcomes)
        self._line.show(self._settled + made, received, self._rows, f"{requests:,} requests, ")
