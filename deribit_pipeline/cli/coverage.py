"""`coverage`: every series by day, coloured by state."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby, islice
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.text import Text

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli import page_files as pages
from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.options import DatasetHeld, InstrumentsHeld, ResolutionHeld, SeriesHeld
from deribit_pipeline.cli.terminal import is_ascii, stderr, stdout
from deribit_pipeline.datasets.registry import Selection, warning_of
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import FAILED, DayState, Proof
from deribit_pipeline.domain.windows import spans_of
from deribit_pipeline.engine.failed_days import FailedDay, failed_days
from deribit_pipeline.engine.incomplete import held_series
from deribit_pipeline.engine.proof_reads import gaps_of_days, proofs, runs_of_days
from deribit_pipeline.engine.selected_series import span
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse

# A glyph for each state, so that the calendar is readable without colours; the second is ASCII.
_STYLES: dict[str, tuple[str, str, str]] = {
    DayState.COMPLETE: ("█", "#", "green"),
    DayState.OPEN: ("▄", "o", "blue"),
    DayState.GAPPED: ("▒", "%", "yellow"),
    DayState.NOT_LISTED: ("·", ".", "dim"),
    FAILED: ("x", "x", "red"),
    "": (" ", " ", ""),
}
Item = TypeVar("Item")

_MONTH_WIDTH = len("2024-01 ") + 31 + 2


# How many gaps of a day the page lists; how many lines of failures and of verdicts per series.
_GAPS_NAMED, _LINES = 5, 5

_Key = tuple[Dataset, str]


@command("deribit-pipeline coverage --instruments BTC-PERPETUAL --resolution 1")
def coverage(
    instruments: InstrumentsHeld = None,
    resolution: ResolutionHeld = None,
    dataset_name: DatasetHeld = None,
    series: SeriesHeld = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Also write an HTML page with the proof of each day; an existing one is replaced.",
        ),
    ] = None,
) -> int:
    """Show the stored days of every series, coloured by state."""
    wanted = arguments.RequestedDays(dataset_name, resolution, instruments, series)
    settings = Settings.load()
    selection = wanted.selection(settings)
    if html:
        pages.require_place(html)
    warehouse = warehouse_of(settings).pinned()
    warehouse.require_there()
    with warehouse.reading() as connection:
        held = proofs(connection, selection)
        failed = failed_days(connection, selection)
    shown: dict[_Key, tuple[list[Proof], list[FailedDay]]] = {}
    for dataset in selection.all_datasets:
        for proof in held.get(dataset, ()):
            shown.setdefault((dataset, proof.series), ([], []))[0].append(proof)
        for each in failed:
            if each.dataset is dataset:
                shown.setdefault((dataset, each.series), ([], []))[1].append(each)
    if not {name for _, name in shown}.issuperset(selection.series):
        wanted.require_held(selection, held_series(warehouse, selection), settings.warehouse)
    if not shown:
        stderr().print(arguments.nothing_held(settings.warehouse), soft_wrap=True)
        return 1
    console = stdout()
    glyph = int(is_ascii(console))
    lines = [_legend(glyph)]
    for (dataset, name), (days, unproved) in shown.items():
        lines += _calendar(name, dataset, days, unproved, console.width, glyph)
    console.print(Text("\n").join(lines), soft_wrap=True)
    if html:
        _write_page(html, warehouse, selection, shown, pages.made_now(settings))
    return 0


def _write_page(
    html: Path,
    warehouse: Warehouse,
    selection: Selection,
    shown: Mapping[_Key, tuple[list[Proof], list[FailedDay]]],
    made: str,
) -> None:
    held = Selection(tuple({dataset for dataset, _ in shown}), selection.series)
    with warehouse.reading() as connection:
        runs = runs_of_days(connection, held)
        gaps = gaps_of_days(connection, held, _GAPS_NAMED)
    from deribit_pipeline.pages.coverage_page import Unproved, coverage_page

    days: list[Proof | Unproved] = []
    for (dataset, name), (some, failed) in shown.items():
        proved = {proof.day for proof in some}
        unproved = [
            Unproved(dataset, name, each.day, each.reason, each.failed_at) for each in failed
        ]
        for each in failed:
            runs.setdefault((dataset.name, name, each.day), each.run_id)
        days += sorted(
            [*some, *(each for each in unproved if each.day not in proved)],
            key=lambda each: each.day,
        )
    reasons = {
        (each.dataset.name, each.series, each.day): each.reason
        for _, failed in shown.values()
        for each in failed
    }
    pages.write(html, coverage_page(days, runs, gaps, str(warehouse), reasons, made))


def _legend(glyph: int) -> Text:
    legend = Text()
    for state, style in _STYLES.items():
        if state:
            legend.append(style[glyph], style[2]).append(f" {state.replace('_', ' ')}  ")
    return legend.append("blank: not requested")


def _calendar(
    series: str,
    dataset: Dataset,
    days: Sequence[Proof],
    failed: Sequence[FailedDay],
    width: int,
    glyph: int,
) -> Iterator[Text]:
    """The days of one series, with as many months per line as fit the width, followed by the
    reasons of days that are not proved and the verdicts."""
    counts = Counter(proof.state for proof in days)
    verdicts = {proof.day: verdict for proof in days if (verdict := warning_of(proof))}
    states = [f"{counts[state]:,} {state.replace('_', ' ')}" for state in DayState if counts[state]]
    states += [f"{len(failed):,} {FAILED.replace('_', ' ')}"] if failed else []
    states += [f"{len(verdicts):,} with a verdict"] if verdicts else []
    rows = sum(proof.received for proof in days)
    revised = sum(proof.revised for proof in days)
    held = f"{rows:,} {dataset.rows}" + (f", {revised:,} revised" if revised else "")
    yield Text(f"\n{series} {dataset.short_label}", "bold").append(
        f"   {', '.join(states)}; {held}", "not bold"
    )
    months: dict[date, dict[int, str]] = {}
    for day, state in sorted(
        [
            *((proof.day, str(proof.state)) for proof in days),
            *((each.day, FAILED) for each in failed),
        ],
        key=lambda each: each[0],
    ):
        months.setdefault(day.replace(day=1), {})[day.day] = state
    per_line = max(1, width // _MONTH_WIDTH)
    for some in batched(months.items(), per_line):
        line = Text()
        for month, cells in some:
            line.append(f"{month:%Y-%m} ", "dim")
            for state, run in groupby(cells.get(number, "") for number in range(1, 32)):
                style = _STYLES[state]
                line.append(style[glyph] * len(list(run)), style[2])
            line.append("  ")
        line.rstrip()
        yield line
    yield from _reasons("not proved", {each.day: each.reason for each in failed}, "red")
    yield from _reasons("verdict", verdicts, "yellow")


def _reasons(what: str, days: Mapping[date, str], style: str) -> Iterator[Text]:
    """One line for each distinct sentence, with the spans of its days; only the first lines."""
    by_sentence: dict[str, list[date]] = {}
    for day, sentence in days.items():
        by_sentence.setdefault(sentence, []).append(day)
    for sentence, some in list(by_sentence.items())[:_LINES]:
        spans = ", ".join(span(*ends) for ends in spans_of(some))
        yield Text("  ").append(f"{what} ", style).append(f"{spans}: {sentence}")
    if len(by_sentence) > _LINES:
        yield Text(f"  and {len(by_sentence) - _LINES:,} more, which --html shows", "dim")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`, as itertools.batched of Python 3.12."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
