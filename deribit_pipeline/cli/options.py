"""Options that several commands take."""

from typing import Annotated

import typer

Instruments = Annotated[
    str | None,
    typer.Option(
        "--instruments",
        metavar="A,B",
        help="Instruments by Deribit's names, separated by commas.  [default: DERIBIT_INSTRUMENTS]",
        show_default=False,
    ),
]
InstrumentsHeld = Annotated[
    str | None,
    typer.Option(
        "--instruments",
        metavar="A,B",
        help="Only these instruments.  [default: all that are held]",
    ),
]
FirstHeld = Annotated[
    str | None,
    typer.Option("--start", metavar="DAY", help="First UTC day.  [default: the first one held]"),
]
LastDay = Annotated[
    str | None,
    typer.Option("--end", metavar="DAY", help="Last UTC day, included.  [default: today]"),
]
LastHeld = Annotated[
    str | None,
    typer.Option("--end", metavar="DAY", help="Last UTC day.  [default: the last one held]"),
]
Resolution = Annotated[
    str,
    typer.Option(
        "--resolution",
        metavar="R",
        help="1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720 (minutes) or 1D.",
    ),
]
ResolutionHeld = Annotated[
    str | None,
    typer.Option(
        "--resolution", metavar="R", help="Only this resolution.  [default: all that are held]"
    ),
]
