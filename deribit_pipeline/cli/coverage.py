"""`coverage`: every instrument by day, coloured by state."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby, islice
from pathlib import Path
from typing import TypeVar

from rich.text import Text

from deribit_pipeline.cli import arguments, pages
from deribit_pipeline.cli.terminal import stderr, stdout
from deribit_pipeline.domain import DayState, Resolution
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse import reads
from deribit_pipeline.warehouse.file import Warehouse

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


def run(instruments: str | None, resolution: str | None, html: Path | None) -> int:
    """The command `coverage`; answers its exit code."""
    names = arguments.instruments(instruments)
    only = arguments.resolution(resolution) if resolution is not None else None
    if html:
        pages.require_place(html)
    settings = Settings.load()
    warehouse = Warehouse(settings.warehouse, settings.environment)
    with warehouse.reading() as connection:
        held = reads.day_states(connection, names, only)
    arguments.require_held(names, {name for name, *_ in held}, settings.warehouse)
    if not held:
        stderr().print(f"{settings.warehouse} holds no such day yet: see backfill --help.")
        return 0
    console, lines = stdout(), [_legend()]
    for (name, spelling), days in groupby(held, key=lambda row: row[:2]):
        title = f"{name} {Resolution(spelling).label}"
        lines += _calendar(title, [row[2:] for row in days], console.width)
    console.print(Text("\n").join(lines))
    if html:
        _write_page(html, warehouse, names, only)
    return 0


def _write_page(
    html: Path, warehouse: Warehouse, names: tuple[str, ...], only: Resolution | None
) -> None:
    with warehouse.reading() as connection:
        proofs = reads.proofs(connection, names, only)
        runs = reads.runs_of_days(connection, names, only)
        gaps = reads.first_gaps(connection, _GAPS_NAMED, names, only)
    from deribit_pipeline.pictures.coverage import coverage_page  # the library takes a second

    pages.write(html, coverage_page(proofs, runs, gaps, str(warehouse.path)))


def _legend() -> Text:
    legend = Text()
    for state, (glyph, style) in _LOOKS.items():
        if state:
            legend.append(glyph, style).append(f" {state.replace('_', ' ')}   ")
    return legend.append("blank: never asked for")


def _calendar(title: str, days: list[tuple[date, str, int, int]], width: int) -> Iterator[Text]:
    """The days of one instrument and resolution, as many months a line as fit the width."""
    counts = Counter(state for _, state, _, _ in days)
    states = ", ".join(
        f"{counts[state]:,} {state.replace('_', ' ')}" for state in DayState if counts[state]
    )
    candles = sum(received for _, _, received, _ in days)
    revised = sum(times for *_, times in days)
    held = f"{candles:,} candles" + (f", {revised:,} revised" if revised else "")
    yield Text(f"\n{title}", "bold").append(f"   {states}; {held}", "not bold")
    months: dict[date, dict[int, str]] = {}
    for day, state, _, _ in days:
        months.setdefault(day.replace(day=1), {})[day.day] = state
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
