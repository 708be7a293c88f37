"""`demo`: two weeks of candles, and a smile, from the built-in sandbox exchange."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from deribit_pipeline.cli.app import app, command
from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.errors import DeribitPipelineError
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.recorder.clock import Clock
from deribit_pipeline.recorder.recorder_loop import record
from deribit_pipeline.recorder.snapshots import SnapshotRecorders
from deribit_pipeline.settings import Settings
from deribit_pipeline.variables import choose_defaults_of

_BACKFILL = (
    "backfill", "--instruments", "BTC-PERPETUAL,ETH-PERPETUAL",
    "--start", "2024-01-01", "--end", "2024-01-14", "--resolution", "1",
)  # fmt: skip

_CURRENCY = "BTC"
_TAKE_IN = ("backfill", "--dataset", "book_summaries", "--series", _CURRENCY, "--start", "today")
_SMILE = (
    "sql",
    "select strftime(expiry, '%d %b %y') as expires, round(forward) as forward, "
    "round(atm_iv, 1) as atm_iv, round(risk_reversal_25, 2) as risk_reversal_25, "
    "round(butterfly_25, 2) as butterfly_25 "
    f"from option_smile('{_CURRENCY}', now()) order by expiry",
)

# A snapshot is recorded within seconds.
_MOST = timedelta(minutes=1)


@command("deribit-pipeline demo")
def demo() -> int:
    """Backfill two weeks of one-minute candles from the built-in sandbox exchange, show what is
    held, and record one snapshot of its options to show their smiles. Needs no network and no
    account; other settings than DERIBIT_HOME and DAGSTER_HOME are ignored."""
    choose_defaults_of("sandbox")
    settings = Settings.load()
    assert isinstance(settings.warehouse, Path)
    warehouse, home = settings.warehouse.absolute(), settings.dagster_home.absolute()
    _say(f"The demo writes {warehouse}, and records its runs in {home}.")
    if code := _run(_BACKFILL) or _run(("coverage",)):
        return code
    _say(f"\nRecording one snapshot of all {_CURRENCY} options, to show the smile of each expiry.")
    _record_a_snapshot(settings)
    if code := _run(_TAKE_IN) or _run(_SMILE):
        return code
    _say(
        "\nNext, with DERIBIT_ENV=sandbox in the environment: deribit-pipeline ui serves Dagster's "
        "UI, and in Python, deribit_pipeline.read.candles('BTC-PERPETUAL', '2024-01-01', "
        "'2024-01-14') returns a frame. deribit-pipeline docs tutorial continues from here."
    )
    return 0


def _run(arguments: Sequence[str]) -> int:
    return int(app(list(arguments), prog_name="deribit-pipeline", standalone_mode=False) or 0)


def _record_a_snapshot(settings: Settings) -> None:
    with open_exchange(settings) as exchange:
        snapshots = SnapshotRecorders(exchange, [_CURRENCY], Clock())
        record(exchange, [snapshots], duration=_MOST, is_enough=lambda: snapshots.has_recorded)
    if not snapshots.has_recorded:
        raise DeribitPipelineError(f"No snapshot of {_CURRENCY} was recorded within {_MOST}.")


def _say(text: str) -> None:
    stderr().print(text, markup=False, highlight=False, soft_wrap=True)
