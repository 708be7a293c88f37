"""`coverage`: every instrument by day, coloured by state."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from itertools import groupby

from rich.text import Text

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli.terminal import stderr, stdout
from deribit_pipeline.domain import DayProof, DayState
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse import reads
from deribit_pipeline.warehouse.file import Warehouse

# A glyph each, so that the picture reads without colours too.
_LOOKS = {
    DayState.COMPLETE: ("█", "green"),
    DayState.OPEN: ("▄", "blue"),
    DayState.GAPPED: ("▒", "yellow"),
    DayState.NOT_LISTED: ("·", "dim"),
    None: (" ", ""),
}
_MONTH_WIDTH = len("2024-01 ") + 31 + 2


def run(instruments: str | None, resolution: str | None) -> int:
    """The command `coverage`; answers its exit code."""
    names = arguments.instruments(instruments)
    only = arguments.resolution(resolution) if resolution is not None else None
    settings = Settings.load()
    warehouse = Warehouse(settings.warehouse, settings.environment)
    with warehouse.reading() as connection:
        proofs = reads.proofs(connection, names, only)
    arguments.require_held(names, {proof.instrument_name for proof in proofs}, settings.warehouse)
    if not proofs:
        stderr().print(f"{settings.warehouse} holds no such day yet: see backfill --help.")
        return 0
    console = stdout()
    console.print(_legend())
    for (name, of_resolution), some in groupby(
        proofs, key=lambda proof: (proof.instrument_name, proof.resolution)
    ):
        for line in _calendar(f"{name} {of_resolution.label}", list(some), console.width):
            console.print(line)
    return 0


def _legend() -> Text:
    legend = Text()
    for state, (glyph, style) in _LOOKS.items():
        if state:
            legend.append(glyph, style).append(f" {str(state).replace('_', ' ')}   ")
    return legend.append("blank: never asked for")


def _calendar(title: str, proofs: list[DayProof], width: int) -> Iterator[Text]:
    """The days of one instrument and resolution, as many months a line as fit the width."""
    counts = Counter(proof.state for proof in proofs)
    candles = sum(proof.received for proof in proofs)
    states = ", ".join(
        f"{counts[state]:,} {str(state).replace('_', ' ')}" for state in DayState if counts[state]
    )
    yield Text(f"\n{title}", "bold").append(f"   {states}; {candles:,} candles", "not bold")
    states_by_day = {proof.day: proof.state for proof in proofs}
    months = sorted({proof.day.replace(day=1) for proof in proofs})
    per_line = max(1, width // _MONTH_WIDTH)
    for n in range(0, len(months), per_line):
        line = Text()
        for month in months[n : n + per_line]:
            line.append(f"{month:%Y-%m} ", "dim")
            line.append(_month(month, states_by_day)).append("  ")
        line.rstrip()
        yield line


def _month(month: date, states: Mapping[date, DayState]) -> Text:
    cells = Text()
    for day in (month + timedelta(days=n) for n in range(31)):
        glyph, style = _LOOKS[states.get(day) if day.month == month.month else None]
        cells.append(glyph, style)
    return cells
