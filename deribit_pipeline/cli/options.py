"""Options shared by several commands."""

from typing import Annotated

import typer

from deribit_pipeline.datasets.registry import ROW_DATASETS
from deribit_pipeline.domain.dataset import Group


def _dataset_names() -> str:
    account = [dataset.name for dataset in ROW_DATASETS if dataset.group is Group.ACCOUNT]
    public = [dataset.name for dataset in ROW_DATASETS if dataset.name not in account]
    return f"{', '.join(['candles', *public])}; with an API key {', '.join(account)}"


Instruments = Annotated[
    list[str] | None,
    typer.Option(
        "--instruments",
        metavar="A,B",
        help="Instruments by Deribit's names, or by selectors such as 'kind=option currency=BTC' "
        "that select what was listed at any time in the window. Separated by commas; may be "
        "repeated.  [default: DERIBIT_INSTRUMENTS and DERIBIT_GROUPS]",
        show_default=False,
    ),
]
DatasetName = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME",
        help=f"{_dataset_names()}.  [default: candles]",
        show_default=False,
    ),
]
DatasetHeld = Annotated[
    str | None,
    typer.Option("--dataset", metavar="NAME", help="Only this dataset.  [default: all stored]"),
]
Series = Annotated[
    list[str] | None,
    typer.Option(
        "--series",
        metavar="A,B",
        help="Currencies or indices, for datasets that are not by instrument: BTC,ETH or btc_usd.  "
        "[default: all currencies of the dataset, the indices of DERIBIT_INSTRUMENTS and "
        "DERIBIT_GROUPS]",
        show_default=False,
    ),
]
SeriesHeld = Annotated[
    list[str] | None,
    typer.Option(
        "--series",
        metavar="A,B",
        help="Only these currencies or indices.  [default: all stored]",
    ),
]
InstrumentsHeld = Annotated[
    list[str] | None,
    typer.Option(
        "--instruments",
        metavar="A,B",
        help="Only these instruments.  [default: all stored]",
    ),
]
FirstDay = Annotated[
    str,
    typer.Option(
        "--start", metavar="DAY", help="First UTC day: 2024-01-31, yesterday or -7d (days ago)."
    ),
]
FirstHeld = Annotated[
    str | None,
    typer.Option(
        "--start",
        metavar="DAY",
        help="First UTC day: 2024-01-31, yesterday or -7d.  [default: the first stored day]",
    ),
]
LastDay = Annotated[
    str | None,
    typer.Option("--end", metavar="DAY", help="Last UTC day, included.  [default: today]"),
]
LastHeld = Annotated[
    str | None,
    typer.Option(
        "--end", metavar="DAY", help="Last UTC day, included.  [default: the last stored day]"
    ),
]
ResolutionOfCandles = Annotated[
    str | None,
    typer.Option(
        "--resolution",
        metavar="R",
        help="Candle resolution: 1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720 (minutes) or 1D.  "
        "[default: 1]",
        show_default=False,
    ),
]
OneResolution = Annotated[
    str,
    typer.Option(
        "--resolution",
        metavar="R",
        help="1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720 (minutes) or 1D.",
    ),
]
ResolutionHeld = Annotated[
    str | None,
    typer.Option("--resolution", metavar="R", help="Only this resolution.  [default: all stored]"),
]
