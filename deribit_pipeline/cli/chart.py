"""`chart`: candles and volume, or the smiles of options, as an HTML page."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli import instrument_choice as universe
from deribit_pipeline.cli import page_files as pages
from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.options import FirstHeld, LastHeld, OneResolution
from deribit_pipeline.cli.smile_chart import smile_page_of
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles.rollup import origin_of, rolled_up
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.location import Location
from deribit_pipeline.domain.proofs import Proof
from deribit_pipeline.domain.windows import TimeWindow, day_window
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.errors import InputError
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.place import Connection

if TYPE_CHECKING:
    from deribit_pipeline.pages.chart_series import Series


@command(
    "deribit-pipeline chart --instruments BTC-PERPETUAL,ETH-PERPETUAL "
    "--start 2024-01-01 --end 2024-01-14 --html candles.html",
)
def chart(
    html: Annotated[
        Path,
        typer.Option(
            "--html", metavar="FILE", help="The HTML page to write; an existing page is replaced."
        ),
    ],
    instruments: Annotated[
        list[str] | None,
        typer.Option(
            "--instruments",
            metavar="A,B",
            help="Instruments with stored candles, by Deribit's names or by selectors.",
        ),
    ] = None,
    start: FirstHeld = None,
    end: LastHeld = None,
    resolution: OneResolution = "1",
    smile: Annotated[
        str | None,
        typer.Option(
            "--smile",
            metavar="CURRENCY",
            help="Draw the smiles of this currency's options instead, from a recorded snapshot.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="MOMENT",
            help="With --smile: the newest snapshot received by then, such as 2024-01-31T08:00.  "
            "[default: now]",
        ),
    ] = None,
) -> int:
    """Draw candles and volume as one self-contained HTML page with zoom; with --smile BTC instead,
    the smiles, term structure and open interest of options."""
    settings = Settings.load()
    if smile is not None:
        if instruments is not None or start is not None or end is not None:
            raise InputError("--smile has no --instruments, --start or --end: use --at.")
        pages.require_place(html)
        pages.write(html, [smile_page_of(smile, at, settings)])
        return 0
    if at is not None:
        raise InputError("--at belongs to --smile.")
    if instruments is None:
        raise InputError("Name what to draw: --instruments for candles, or --smile for options.")
    length = arguments.resolution(resolution)
    minute = Resolution.MINUTE_1
    first, last = arguments.window(start, end)
    datasets, window = (CANDLES[length], CANDLES[minute]), universe.window_of(first, last)
    names = universe.of_held(instruments, settings, datasets, window)
    pages.require_place(html)
    # Importing the library takes half a second: do it before the warehouse is opened.
    from deribit_pipeline.pages.chart_page import MOST_IN_PAGE, chart_page

    warehouse = warehouse_of(settings)
    with warehouse.reading() as connection:
        series = []
        for name in names:
            # Without stored candles of that resolution they are rolled up from minutes, as in the
            # reader.
            for held in (length, minute):
                proofs = proofs_of(connection, CANDLES[held], (name,), first, last)
                if any(proof.received for proof in proofs):
                    break
            else:
                raise _nothing_held(name, length, first, last, settings.warehouse)
            window = _window(proofs, first, last)
            room = MOST_IN_PAGE // len(names)
            series.append(_series(connection, name, held, length, window, proofs, room))
    pages.write(html, [chart_page(series, str(settings.warehouse), pages.made_now(settings))])
    return 0


def _nothing_held(
    name: str, resolution: Resolution, first: date | None, last: date | None, path: Location
) -> InputError:
    since = f" from {first}" if first else ""
    until = f" up to {last}" if last else ""
    or_minute = "" if resolution is Resolution.MINUTE_1 else " or 1m"
    return InputError(
        f"{path} holds no {resolution.label}{or_minute} candle of {name}{since}{until}."
    )


def _window(proofs: Sequence[Proof], first: date | None, last: date | None) -> TimeWindow:
    """The requested days; by default, from the first stored day or to the last."""
    begin = day_window(first or proofs[0].day).start
    return TimeWindow(begin, day_window(last or proofs[-1].day).end)


def _series(
    connection: Connection,
    name: str,
    resolution: Resolution,
    wanted: Resolution,
    window: TimeWindow,
    proofs: Sequence[Proof],
    room: int,
) -> "Series":
    """Candles of the wanted length, or longer ones, rolled up from those of `resolution`, and as
    many finer ones as there is room for."""
    from deribit_pipeline.pages.chart_page import finer_lengths, fitting_length
    from deribit_pipeline.pages.chart_series import Level, Series

    count = sum(proof.received for proof in proofs) * resolution.duration // wanted.duration
    length = fitting_length(wanted, window, count)
    levels = [
        Level(each, *rolled_up(connection, name, resolution, window, each, origin_of(wanted)))
        for each in (length, *finer_lengths(wanted, length, count, room))
    ]
    days = {proof.day: proof for proof in proofs}
    return Series(
        name, resolution, window, length, levels[0].candles, levels[0].held, days, levels[1:]
    )
