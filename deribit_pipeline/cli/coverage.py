"""`coverage`: every series by day, coloured by state."""

from collections import ChainMap, Counter
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
from deribit_pipeline.cli.backfill_report import counted
from deribit_pipeline.cli.options import DatasetHeld, InstrumentsHeld, ResolutionHeld, SeriesHeld
from deribit_pipeline.cli.terminal import is_ascii, stderr, stdout
from deribit_pipeline.datasets.registry import Selection, warning_of
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import FAILED, DayState, Proof
from deribit_pipeline.domain.windows import spans_of
from deribit_pipeline.engine.failed_days import FailedDay, by_series, failed_days
from deribit_pipeline.engine.incomplete import held_series
from deribit_pipeline.engine.proof_reads import gaps_of_days, parts_of, proofs, runs_of_days
from deribit_pipeline.engine.selected_series import span
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.pages.coverage_days import DayKey, SeriesDays, Unproved, series_days
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

# The gaps of a day that the page lists, the lines of failures and of verdicts per series, and the
# proofs that are read at once.
_GAPS_NAMED, _LINES, _MOST_DAYS = 5, 5, 50_000

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
    console = stdout()
    glyph = int(is_ascii(console))
    found: dict[_Key, tuple[Text, SeriesDays | None]] = {}
    for key, days, failed, for_page in _read(warehouse, selection, with_page=html is not None):
        lines = _calendar(key, days, failed, console.width, glyph)
        found[key] = (Text("\n").join(lines), for_page)
    if not {name for _, name in found}.issuperset(selection.series):
        wanted.require_held(selection, held_series(warehouse, selection), settings.warehouse)
    if not found:
        stderr().print(arguments.nothing_held(settings.warehouse), soft_wrap=True)
        return 1
    place = {dataset: number for number, dataset in enumerate(selection.all_datasets)}
    shown = [found[key] for key in sorted(found, key=lambda key: place[key[0]])]
    for text in (_legend(glyph), *(calendar for calendar, _ in shown)):
        console.print(text, soft_wrap=True)
    if html:
        from deribit_pipeline.pages.coverage_page import coverage_page

        drawn = [for_page for _, for_page in shown if for_page]
        pages.write(html, coverage_page(drawn, str(warehouse), pages.made_now(settings)))
    return 0


def _read(
    warehouse: Warehouse, selection: Selection, *, with_page: bool
) -> Iterator[tuple[_Key, list[Proof], list[FailedDay], SeriesDays | None]]:
    """The proofs and failed days of each series, by series; and what the page has of them. A
    warehouse may have a million proofs, so they are read in parts."""
    with warehouse.reading() as connection:
        failed = by_series(failed_days(connection, selection))
        for part in parts_of(connection, selection, _MOST_DAYS):
            held = proofs(connection, part)
            runs = runs_of_days(connection, part) if with_page else {}
            gaps = gaps_of_days(connection, part, _GAPS_NAMED) if with_page else {}
            for dataset, of_dataset in held.items():
                for name, of_series in groupby(of_dataset, key=lambda proof: proof.series):
                    days, of_failed = list(of_series), failed.pop((dataset, name), [])
                    page = _for_page(days, of_failed, runs, gaps) if with_page else None
                    yield (dataset, name), days, of_failed, page
        for key, of_failed in failed.items():
            yield key, [], of_failed, _for_page([], of_failed, {}, {}) if with_page else None


def _for_page(
    days: Sequence[Proof],
    failed: Sequence[FailedDay],
    runs: dict[DayKey, str],
    gaps: Mapping[DayKey, Sequence[str]],
) -> SeriesDays:
    proved = {proof.day for proof in days}
    unproved = [
        Unproved(each.dataset, each.series, each.day, each.reason, each.failed_at)
        for each in failed
        if each.day not in proved
    ]
    keys = [(each.dataset.name, each.series, each.day) for each in failed]
    return series_days(
        sorted([*days, *unproved], key=lambda each: each.day),
        ChainMap(runs, {key: each.run_id for key, each in zip(keys, failed, strict=True)}),
        gaps,
        {key: each.reason for key, each in zip(keys, failed, strict=True)},
    )


def _legend(glyph: int) -> Text:
    legend = Text()
    for state, style in _STYLES.items():
        if state:
            legend.append(style[glyph], style[2]).append(f" {state.replace('_', ' ')}  ")
    return legend.append("blank: not requested")


def _calendar(
    key: _Key,
    days: Sequence[Proof],
    failed: Sequence[FailedDay],
    width: int,
    glyph: int,
) -> Iterator[Text]:
    """The days of one series: a title, the months, the reasons of days that are not proved, and the
    verdicts."""
    dataset, series = key
    counts = Counter(proof.state for proof in days)
    verdicts = {proof.day: verdict for proof in days if (verdict := warning_of(proof))}
    states = [f"{counts[state]:,} {state.replace('_', ' ')}" for state in DayState if counts[state]]
    states += [f"{len(failed):,} {FAILED.replace('_', ' ')}"] if failed else []
    states += [f"{len(verdicts):,} with a verdict"] if verdicts else []
    rows = sum(proof.received for proof in days)
    revised = sum(proof.revised for proof in days)
    held = counted(rows, dataset.rows) + (f", {revised:,} revised" if revised else "")
    yield Text(f"\n{series} {dataset.short_label}", "bold").append(
        f"   {', '.join(states)}; {held}", "not bold"
    )
    states_of_days = [
        *((proof.day, str(proof.state)) for proof in days),
        *((each.day, FAILED) for each in failed),
    ]
    yield from _months(states_of_days, width, glyph)
    yield from _reasons("not proved", {each.day: each.reason for each in failed}, "red")
    yield from _reasons("verdict", verdicts, "yellow")


def _months(states: Iterable[tuple[date, str]], width: int, glyph: int) -> Iterator[Text]:
    """The days, each with its state, with as many months per line as fit the width."""
    months: dict[date, dict[int, str]] = {}
    for day, state in sorted(states, key=lambda each: each[0]):
        months.setdefault(day.replace(day=1), {})[day.day] = state
    for some in batched(months.items(), max(1, width // _MONTH_WIDTH)):
        line = Text()
        for month, cells in some:
            line.append(f"{month:%Y-%m} ", "dim")
            for state, run in groupby(cells.get(number, "") for number in range(1, 32)):
                style = _STYLES[state]
                line.append(style[glyph] * len(list(run)), style[2])
            line.append("  ")
        line.rstrip()
        yield line


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
