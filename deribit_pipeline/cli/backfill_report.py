"""The summary of a backfill: a table on stdout, and the days that are not proved on stderr."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime

from rich.table import Table

from deribit_pipeline.cli.backfill_table import all_done, print_days
from deribit_pipeline.cli.terminal import stderr, stdout
from deribit_pipeline.datasets.registry import warning_of
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.windows import spans_of
from deribit_pipeline.engine.estimate import Estimate
from deribit_pipeline.engine.incomplete import newest_over
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.outcome import Key, Outcome, is_no_longer_available
from deribit_pipeline.engine.selected_series import span
from deribit_pipeline.engine.source import Recorded, source_of

_VERDICTS = 5  # lines of a summary


def counted(count: int, plural: str) -> str:
    """The number of things in words: `1 request`, `2 entries`."""
    singular = re.sub("s$", "", re.sub("ies$", "y", plural))
    return f"{count:,} {singular if count == 1 else plural}"


def print_report(
    total: Outcome,
    dataset: Dataset,
    requested: Days,
    now: datetime | None,
    *,
    is_done: bool = False,
) -> int:
    """Print the summary; returns the exit code, 0 if every day that can be proved at `now` is
    proved. `now` is the exchange's time, or None if nothing had to be fetched. With `is_done`,
    every day was proved before the command began, which is one line instead of a table."""
    messages = stderr()
    proved = {
        (name, day): total.proofs[name, day]
        for name, days in requested.items()
        for day in days
        if (name, day) in total.proofs and (name, day) not in total.failures
    }
    if is_done:
        stdout().print(all_done(proved.values()))
    else:
        print_days(dataset, requested, proved)

    requests = counted(total.requests, source_of(dataset).requests_label)
    of_spool = f", {total.recorded:,} of them from the spool" if total.recorded else ""
    messages.print(
        f"{requests}, {counted(total.rows, dataset.rows)} received{of_spool} in "
        f"{total.seconds:,.1f} s"
    )
    last_over = newest_over(dataset, now) if now else date.max
    is_open = [proof for proof in proved.values() if proof.state is DayState.OPEN]
    late = [proof for proof in is_open if proof.day <= last_over]
    if running := [proof for proof in is_open if proof.day > last_over]:
        messages.print(_not_over(dataset, running), soft_wrap=True)
    if late:
        messages.print(
            f"Not proved yet: {counted(len(late), 'days')} {'is' if len(late) == 1 else 'are'} "
            "over, and the exchange has not yet returned what closes "
            f"{'it' if len(late) == 1 else 'them'}: run deribit-pipeline repair later."
        )
    lost = sum(map(is_no_longer_available, proved.values()))
    if lost:
        messages.print(
            f"No longer returned by the exchange: {counted(lost, 'days')}, which "
            f"{'was' if lost == 1 else 'were'} not polled in time."
        )
    for name, sentence, days in _verdicts(proved):
        messages.print(f"Verdict: {name} {_spans(days)}: {sentence}", markup=False, soft_wrap=True)
    unproved: dict[tuple[str, str], list[date]] = {}
    for name, required in requested.items():
        for day in required:
            if (name, day) not in proved:
                reason = total.failures.get((name, day), "its run failed: see Dagster's UI")
                unproved.setdefault((name, reason), []).append(day)
    for (name, reason), days in unproved.items():
        messages.print(f"Not proved: {name} {_spans(days)}: {reason}", markup=False)
    return 1 if unproved or late else 0


def _not_over(dataset: Dataset, running: Sequence[Proof]) -> str:
    """What is stored of days that are not over, and how to get the rest, in words."""
    missing = sum(proof.missing for proof in running)
    lost = counted(missing, dataset.rows)
    if dataset.is_recorded:
        stored = "what was recorded so far is stored"
        stored += f"; not recorded, and missing for good: {lost}" if missing else ""
    elif missing:
        stored = f"every closed row that was returned is stored; missing so far: {lost}"
    else:
        stored = "every closed row is stored"
    return (
        f"Not over yet: {counted(len(running), 'days')}; {stored}. For the rest, run the same "
        f"command tomorrow with --start {min(proof.day for proof in running)}."
    )


def _verdicts(proved: Mapping[Key, Proof]) -> Iterator[tuple[str, str, list[date]]]:
    """The first verdicts that are warnings, each with its series and days."""
    found: dict[tuple[str, str], list[date]] = {}
    for (name, day), proof in proved.items():
        verdict = "" if is_no_longer_available(proof) else warning_of(proof)
        if verdict:
            found.setdefault((name, verdict), []).append(day)
    for (name, verdict), days in list(found.items())[:_VERDICTS]:
        yield name, verdict, days
    rest = [day for days in list(found.values())[_VERDICTS:] for day in days]
    if rest:
        yield "others", f"{counted(len(rest), 'days')} with other verdicts: see coverage", rest


def _spans(days: Iterable[date]) -> str:
    return ", ".join(span(first, last) for first, last in spans_of(days))


def print_plan(counted: Estimate, dataset: Dataset, recorded: Recorded | None = None) -> int:
    """Print the requests that a backfill would make, and what it would take from the spool."""
    table = Table(title="Plan", title_justify="left", show_header=False)
    table.add_row(f"requested {dataset.series.label}-days", f"{counted.days:,}")
    table.add_row("already proved", f"{counted.proved:,}")
    if recorded is not None:
        table.add_row(f"{dataset.rows} in the spool", f"{recorded.rows:,}")
        table.add_row(f"{dataset.rows} missing among them", f"{recorded.missing:,}")
    # If the number of rows is unknown in advance, so is the exact number of requests.
    about = ", about" if counted.rows is None else ""
    table.add_row(source_of(dataset).requests_label + about, f"{counted.requests:,}")
    if counted.rows is not None:
        table.add_row("rows, at most", f"{counted.rows:,}")
    table.add_row("seconds at the rate limit", f"{counted.seconds:,.1f}")
    table.add_row("seconds in all, about", f"{counted.seconds_in_all:,.0f}")
    stdout().print(table)
    return 0
