"""`backfill` and `repair`: which days, through which Dagster runs, with what result."""

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

from rich.table import Table

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli.interrupts import Interrupted, caught
from deribit_pipeline.cli.terminal import BackfillProgress, stderr, stdout, warnings_on
from deribit_pipeline.domain import DayState, Instrument, Resolution, days_between, spans_of
from deribit_pipeline.errors import RecordingError, WarehouseError
from deribit_pipeline.home import prepare_home
from deribit_pipeline.operations.backfill import ForegroundBackfill
from deribit_pipeline.operations.background import BackgroundBackfill
from deribit_pipeline.operations.estimate import Estimate, estimate
from deribit_pipeline.operations.exchange import Exchange, open_exchange
from deribit_pipeline.operations.incomplete import (
    held_instruments,
    incomplete_days,
    settled_days,
)
from deribit_pipeline.operations.jobs import Days, Job, jobs_of
from deribit_pipeline.operations.listings import exchange_time, listings
from deribit_pipeline.operations.outcome import Outcome, added_up
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.file import Warehouse

# Seconds that an interrupted command still waits for its turn at the warehouse.
_GRACE = 0.5


def run(
    instruments: str | None,
    start: str,
    end: str | None,
    resolution: str,
    *,
    plan: bool,
    force: bool,
) -> int:
    """The command `backfill`; answers its exit code."""
    of_resolution = arguments.resolution(resolution)
    first, last = arguments.window(start, end)
    settings = Settings.load()
    names = arguments.instruments(instruments, settings.instruments)
    warehouse = Warehouse(settings.warehouse, settings.environment)
    warehouse.check()
    assert first is not None
    with ExitStack() as stack:
        stack.enter_context(warnings_on(stderr()))
        exchange: Exchange | None = None
        instruments_listed: dict[str, Instrument] = {}
        asked = _all(names, first, last or first)
        # Without an end, the exchange has to say which day it is in any case.
        unsettled = _unsettled(warehouse, of_resolution, asked, force) if last else asked
        if unsettled:
            exchange = stack.enter_context(open_exchange(settings))
            # Before anything is written: a name that is not listed is a mistake to say at once.
            instruments_listed, as_of = exchange.run(listings(exchange.client, unsettled))
            asked = _all(names, *_not_future(first, last, as_of.date()))
            unsettled = _unsettled(warehouse, of_resolution, asked, force)
        if plan:
            return _print_plan(
                estimate(
                    instruments_listed, of_resolution, asked, unsettled,
                    requests_per_second=settings.requests_per_second, burst=settings.burst,
                )
            )  # fmt: skip
        total = _make(settings, warehouse, exchange, of_resolution, asked, unsettled, force)
    return _report(total, of_resolution, asked)


def repair(
    instruments: str | None, start: str | None, end: str | None, resolution: str | None
) -> int:
    """The command `repair`; answers its exit code."""
    first, last = arguments.window(start, end)
    settings = Settings.load()
    names = arguments.instruments(instruments)
    only = arguments.resolution(resolution) if resolution is not None else None
    warehouse = Warehouse(settings.warehouse, settings.environment)
    warehouse.check()
    arguments.require_held(names, held_instruments(warehouse), settings.warehouse)
    code = 0
    with warnings_on(stderr()), open_exchange(settings) as exchange:
        now = exchange.run(exchange_time(exchange.client))
        found = incomplete_days(
            warehouse, now, instrument_names=names, resolution=only, first=first, last=last
        )
        if found.resting:
            stderr().print(
                f"Resting: {found.resting:,} gapped days, asked again from "
                f"{found.due_at:%Y-%m-%d %H:%M} UTC on, or now with --start and --end."
            )
        elif not found.days:
            stderr().print("Nothing to repair: every day that should be complete is.")
        for of_resolution, days in found.days.items():
            total = _make(settings, warehouse, exchange, of_resolution, days, days, force=False)
            code = max(code, _report(total, of_resolution, days))
    return code


def _all(names: Collection[str], first: date, last: date) -> dict[str, list[date]]:
    return {name: list(days_between(first, last)) for name in names}


def _count(days: Days) -> int:
    return sum(map(len, days.values()))


def _not_future(first: date, last: date | None, today: date) -> tuple[date, date]:
    last = last or today
    for option, day in (("--start", first), ("--end", last)):
        if day > today:
            raise arguments.future(option, day, today)
    return first, last


def _unsettled(
    warehouse: Warehouse, resolution: Resolution, asked: Days, force: bool
) -> dict[str, list[date]]:
    """The days that must be asked for, by instrument; instruments without any are left out."""
    if force:
        return {name: list(days) for name, days in asked.items()}
    with warehouse.reading() as connection:
        proofs = settled_days(connection, resolution, asked)
    settled = {(proof.instrument_name, proof.day) for proof in proofs}
    unsettled = {
        name: [day for day in days if (name, day) not in settled] for name, days in asked.items()
    }
    return {name: days for name, days in unsettled.items() if days}


def _make(
    settings: Settings,
    warehouse: Warehouse,
    exchange: Exchange | None,
    resolution: Resolution,
    asked: Days,
    unsettled: Days,
    force: bool,
) -> Outcome:
    """Make the unsettled days complete, under Dagster runs that are recorded meanwhile.

    Days that are settled, and that the UI does not show yet, are recorded too.
    """
    began, jobs = time.monotonic(), jobs_of(unsettled)
    prepare_home(settings.dagster_home)
    interruption: Interrupted | RecordingError | None = None
    with ExitStack() as stack:
        progress = stack.enter_context(BackfillProgress(stderr(), _count(asked), jobs))
        background = None
        if jobs and exchange is not None:
            background = BackgroundBackfill(
                exchange, warehouse, resolution, jobs,
                force=force, on_written=lambda job, proofs: progress.show(),
            )  # fmt: skip
            stack.enter_context(background)
        # Dagster would take signals for itself, but only does so in the main thread.
        dagster = stack.enter_context(ThreadPoolExecutor(1, "dagster"))
        recording = dagster.submit(
            _record, settings, warehouse, exchange, resolution, asked, jobs, background, force
        )
        try:
            recording.result()
        except (Interrupted, RecordingError) as reason:
            interruption = reason
            if isinstance(reason, Interrupted):
                caught()
                grace = threading.Timer(_GRACE, warehouse.give_up)
                grace.daemon = True
                grace.start()
            if background is not None:
                background.cancel()
        progress.show()
    try:
        with warehouse.reading() as connection:
            settled_now = settled_days(connection, resolution, asked)
    except WarehouseError:
        if interruption is None:
            raise
        settled_now = []  # somebody holds the file: the summary says what this process knows
    total = added_up([job.outcome for job in jobs])
    total.asked = _count(asked)
    total.proofs |= {(proof.instrument_name, proof.day): proof for proof in settled_now}
    total.seconds = time.monotonic() - began
    if interruption is not None:
        _report(total, resolution, asked)
        raise interruption
    return total


def _record(
    settings: Settings,
    warehouse: Warehouse,
    exchange: Exchange | None,
    resolution: Resolution,
    asked: Days,
    jobs: Sequence[Job],
    background: BackgroundBackfill | None,
    force: bool,
) -> None:
    """Run Dagster for each job as the background makes its days, and for settled days that this
    instance does not show yet."""
    # Dagster takes more than a second to import: the exchange is already being asked.
    from deribit_pipeline.defs import runs

    if background is not None and background.is_cancelled:
        return
    with ExitStack() as stack:
        stack.enter_context(_recording(settings.dagster_home))
        instance = stack.enter_context(runs.open_instance())
        for job in jobs:
            assert background is not None
            if background.is_cancelled:
                return
            runs.materialize(instance, resolution, job, background, force=force)
        unrecorded = runs.unrecorded(instance, resolution, asked)
        settled: dict[str, list[date]] = {}
        for name, day in unrecorded.difference(*(job.instrument_days() for job in jobs)):
            settled.setdefault(name, []).append(day)
        if settled:
            exchange = exchange or stack.enter_context(open_exchange(settings))
            here = ForegroundBackfill(exchange, warehouse)
            for job in jobs_of(settled):
                runs.materialize(instance, resolution, job, here, force=False)


@contextmanager
def _recording(home: Path) -> Iterator[None]:
    """Turn what Dagster's databases raise into RecordingError."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, OSError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error.strerror
        raise RecordingError(
            f"Dagster cannot record in DAGSTER_HOME {home} ({reason}): make room there, or make it "
            "writable. What was proved is kept, and the same command goes on from there."
        ) from error


def _report(total: Outcome, resolution: Resolution, asked: Days) -> int:
    """Print the summary; answers the exit code that it amounts to."""
    messages = stderr()
    proved = {
        (name, day): total.proofs[name, day]
        for name, days in asked.items()
        for day in days
        if (name, day) in total.proofs and (name, day) not in total.failures
    }
    table = Table(title=f"{resolution.label} candles by instrument-day", title_justify="left")
    table.add_column("instrument", no_wrap=True)
    for heading in (*(str(state).replace("_", " ") for state in DayState), "not proved"):
        table.add_column(heading, justify="right")
    for heading in ("candles", "missing", "revised"):
        table.add_column(heading, justify="right")
    for name, days in asked.items():
        proofs = [proved[name, day] for day in days if (name, day) in proved]
        by_state = [sum(proof.state == state for proof in proofs) for state in DayState]
        table.add_row(
            name,
            *(f"{count:,}" for count in (*by_state, len(days) - len(proofs))),
            f"{sum(proof.received for proof in proofs):,}",
            f"{sum(proof.missing for proof in proofs):,}",
            f"{sum(proof.revised for proof in proofs):,}",
        )
    stdout().print(table)

    messages.print(
        f"{total.requests:,} chart requests, {total.candles:,} candles received in "
        f"{total.seconds:,.1f} s"
    )
    is_open = sum(proof.state is DayState.OPEN for proof in proved.values())
    if is_open:
        messages.print(
            f"Not over yet: {is_open:,} of the days; the same command completes them tomorrow."
        )
    unproved: dict[tuple[str, str], list[date]] = {}
    for name, days in asked.items():
        for day in days:
            if (name, day) not in proved:
                reason = total.failures.get((name, day), "its run failed: see Dagster's UI")
                unproved.setdefault((name, reason), []).append(day)
    for (name, reason), days in unproved.items():
        spans = ", ".join(
            f"{first}" if first == last else f"{first} to {last}" for first, last in spans_of(days)
        )
        messages.print(f"Not proved: {name} {spans}: {reason}", markup=False)
    return 1 if unproved or is_open else 0


def _print_plan(counted: Estimate) -> int:
    table = Table(title="Plan", title_justify="left", show_header=False)
    table.add_row("instrument-days asked for", f"{counted.days:,}")
    table.add_row("already proved", f"{counted.proved:,}")
    table.add_row("chart requests", f"{counted.requests:,}")
    table.add_row("rows, at most", f"{counted.rows:,}")
    table.add_row("seconds at the rate limit", f"{counted.seconds:,.1f}")
    stdout().print(table)
    return 0
