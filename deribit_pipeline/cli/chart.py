"""`chart`: candles and volume, as a page to zoom into."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from deribit_pipeline.cli import arguments, pages, universe
from deribit_pipeline.datasets import CANDLES
from deribit_pipeline.domain import DayProof, Resolution, TimeWindow, day_window
from deribit_pipeline.errors import InputError
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse import reads
from deribit_pipeline.warehouse.file import Warehouse
from deribit_pipeline.warehouse.rollup import rolled_up

if TYPE_CHECKING:
    from deribit_pipeline.pictures.chart import Series


def run(instruments: str, start: str | None, end: str | None, resolution: str, html: Path) -> int:
    """The command `chart`; answers its exit code."""
    settings = Settings.load()
    length = arguments.resolution(resolution)
    names = universe.of_held(instruments, settings, (CANDLES[length],))
    first, last = arguments.window(start, end)
    pages.require_place(html)
    # The library takes half a second, in which the warehouse need not be held.
    from deribit_pipeline.pictures.chart import chart_page

    warehouse = Warehouse(settings.warehouse, settings.environment)
    with warehouse.reading() as connection:
        proofs = {name: reads.proofs(connection, (name,), length, first, last) for name in names}
        for name in names:
            if not any(proof.received for proof in proofs[name]):
                raise _nothing_held(name, length, first, last, settings.warehouse)
        series = [
            _series(connection, name, length, _window(proofs[name], first, last), proofs[name])
            for name in names
        ]
    pages.write(html, chart_page(series, str(settings.warehouse)))
    return 0


def _nothing_held(
    name: str, resolution: Resolution, first: date | None, last: date | None, path: Path
) -> InputError:
    since = f" from {first}" if first else ""
    until = f" up to {last}" if last else ""
    return InputError(f"{path} holds no {resolution.label} candle of {name}{since}{until}.")


def _window(proofs: list[DayProof], first: date | None, last: date | None) -> TimeWindow:
    """The days asked for; where none were named, from the first one held or to the last."""
    begin = day_window(first or proofs[0].day).start
    return TimeWindow(begin, day_window(last or proofs[-1].day).end)


def _series(
    connection: reads.Connection,
    name: str,
    resolution: Resolution,
    window: TimeWindow,
    proofs: list[DayProof],
) -> "Series":
    from deribit_pipeline.pictures.chart import Series, fitting_length

    length = fitting_length(resolution, window, sum(proof.received for proof in proofs))
    candles, held = rolled_up(connection, name, resolution, window, length)
    days = {proof.day: proof for proof in proofs}
    return Series(name, resolution, window, length, candles, held, days)
