"""`coverage`: every series by day, coloured by state."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import groupby, islice
from pathlib import Path
from typing import TypeVar

from rich.text import Text

from deribit_pipeline.cli import arguments, pages
from deribit_pipeline.cli.terminal import stderr, stdout
from deribit_pipeline.datasets import CANDLES, Dataset, Selection
from deribit_pipeline.domain import DayState, Proof
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse import datasets, reads
from deribit_pipeline.warehouse.proofs import proofs
from deribit_pipeline.warehouse.warehouse import Warehouse

# A glyph each, so that the picture reads without colours too.
_LOOKS: dict[str, tuple[str, str]] = {
    DayState.COMPLETE: ("█", "green"),
    DayState.OPEN: ("▄", "blue"),
    DayState.GAPPED: ("▒", "yellow"),
    DayState.NOT_LISTED: ("·", "dim"),
    "": (" ", ""),
}
Item = TypeVar("Item")

_MONTH_WIDTH = len("2024-01 ") + 31 + 2


# Of a day's gaps, how many the page names.
_GAPS_NAMED = 5


def run(wanted: arguments.Wanted, html: Path | None) -> int:
    """The command `coverage`; answers its exit code."""
    settings = Settings.load()
    selection = wanted.selection(settings)
    if html:
        pages.require_place(html)
    warehouse = Warehouse(settings.warehouse, settings.environment)
    with warehouse.reading() as connection:
        held = proofs(connection, selection)
    all_held = {proof.series for some in held.values() for proof in some}
    wanted.require_held(selection, all_held, settings.warehouse)
    if not held:
        stderr().print(f"{settings.warehouse} holds no such day yet: see backfill --help.")
        return 0
    console, lines = stdout(), [_legend()]
    for dataset, some in held.items():
        for name, days in groupby(some, key=lambda proof: proof.series):
            lines += _calendar(name, dataset, list(days), console.width)
    console.print(Text("\n").join(lines))
    if html:
        _write_page(html, warehouse, selection, [proof for some in held.values() for proof in some])
    return 0


def _write_page(
    html: Path, warehouse: Warehouse, selection: Selection, held: Sequence[Proof]
) -> None:
    runs: dict[tuple[str, str, date], str] = {}
    gaps: dict[tuple[str, str, date], list[str]] = {}
    with warehouse.reading() as connection:
        for (name, resolution, day), run_id in reads.runs_of_days(
            connection, selection.series
        ).items():
            runs[CANDLES[resolution].name, name, day] = run_id
        for (name, resolution, day), opened in reads.first_gaps(
            connection, _GAPS_NAMED, selection.series
        ).items():
            gaps[CANDLES[resolution].name, name, day] = [f"{at:%H:%M}" for at in opened]
        runs |= datasets.runs_of_days(connection, series=selection.series)
        for key, named in datasets.gaps_of_days(connection, series=selection.series).items():
            gaps[key] = [gap for gap, *_ in named[:_GAPS_NAMED]]
    from deribit_pipeline.pictures.coverage import coverage_page  # the library takes a second

    pages.write(html, coverage_page(held, runs, gaps, str(warehouse)))


def _legend() -> Text:
    legend = Text()
    for state, (glyph, style) in _LOOKS.items():
        if state:
            legend.append(glyph, style).append(f" {state.replace('_', ' ')}   ")
    return legend.append("blank: never asked for")


def _calendar(series: str, dataset: Dataset, days: Sequence[Proof], width: int) -> Iterator[Text]:
    """The days of one series, as many months a line as fit the width."""
    counts = Counter(proof.state for proof in days)
    states = ", ".join(
        f"{counts[state]:,} {state.replace('_', ' ')}" for state in DayState if counts[state]
    )
    rows = sum(proof.received for proof in days)
    revised = sum(proof.revised for proof in days)
    held = f"{rows:,} {dataset.rows}" + (f", {revised:,} revised" if revised else "")
    yield Text(f"\n{series} {dataset.short_label}", "bold").append(
        f"   {states}; {held}", "not bold"
    )
    months: dict[date, dict[int, str]] = {}
    for proof in days:
        months.setdefault(proof.day.replace(day=1), {})[proof.day.day] = proof.state
    per_line = max(1, width // _MONTH_WIDTH)
    for some in batched(months.items(), per_line):
        line = Text()
        for month, cells in some:
            line.append(f"{month:%Y-%m} ", "dim")
            for state, run in groupby(cells.get(number, "") for number in range(1, 32)):
                glyph, style = _LOOKS[state]
                line.append(glyph * len(list(run)), style)
            line.append("  ")
        line.rstrip()
        yield line


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`; Python has it from 3.12 on."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
