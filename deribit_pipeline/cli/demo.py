"""`demo`: two weeks of candles from the built-in sandbox exchange."""

from pathlib import Path

from deribit_pipeline.cli.app import app, command
from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.settings import Settings
from deribit_pipeline.variables import choose_defaults_of

_BACKFILL = (
    "backfill", "--instruments", "BTC-PERPETUAL,ETH-PERPETUAL",
    "--start", "2024-01-01", "--end", "2024-01-14", "--resolution", "1",
)  # fmt: skip


@command("deribit-pipeline demo")
def demo() -> int:
    """Backfill two weeks of one-minute candles from the built-in sandbox exchange, and show what is
    held. Needs no network and no account; other settings than DERIBIT_HOME and DAGSTER_HOME are
    ignored."""
    choose_defaults_of("sandbox")
    settings = Settings.load()
    assert isinstance(settings.warehouse, Path)
    warehouse, home = settings.warehouse.absolute(), settings.dagster_home.absolute()
    _say(f"The demo writes {warehouse}, and records its runs in {home}.")
    for arguments in (_BACKFILL, ("coverage",)):
        if code := app(list(arguments), prog_name="deribit-pipeline", standalone_mode=False):
            return int(code)
    _say(
        "\nNext, with DERIBIT_ENV=sandbox in the environment: deribit-pipeline ui serves Dagster's "
        "UI, and in Python, deribit_pipeline.read.candles('BTC-PERPETUAL', '2024-01-01', "
        "'2024-01-14') returns a frame. deribit-pipeline docs tutorial continues from here."
    )
    return 0


def _say(text: str) -> None:
    stderr().print(text, markup=False, highlight=False, soft_wrap=True)
