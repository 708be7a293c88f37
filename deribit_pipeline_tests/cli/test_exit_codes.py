"""Exit codes: 0 if everything that can be proved by now is proved, 1 if a day is not."""

from datetime import UTC, datetime, timedelta

import pytest

from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.command_line import Command, commands
from deribit_pipeline_tests.helpers.pipeline import CHART
from deribit_pipeline_tests.helpers.processes import environment

BTC = "BTC-PERPETUAL"
MINUTES = ("backfill", "--instruments", BTC, "--start", "2024-04-09")


@pytest.fixture
def command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    return commands(capsys)


@pytest.mark.parametrize(
    "line",
    [
        MINUTES,
        (*MINUTES, "--resolution", "60"),
        (*MINUTES, "--resolution", "1D"),
        (*MINUTES, "--dataset", "funding_rates"),
        (*MINUTES, "--dataset", "trades"),
        ("backfill", "--dataset", "volatility_index", "--start", "2024-04-09"),
        ("backfill", "--dataset", "settlements", "--series", "BTC", "--start", "2024-04-09"),
        ("backfill", "--dataset", "historical_volatility", "--start", "2024-04-09"),
        (
            "backfill",
            "--dataset",
            "delivery_prices",
            "--series",
            "btc_usd",
            "--start",
            "2024-04-09",
        ),
        ("repair", "--start", "2024-04-09"),
    ],
    ids=lambda line: "-".join(line[-2:]),
)
def test_a_day_that_is_not_over_is_no_failure(command: Command, line: tuple[str, ...]) -> None:
    if line[0] == "repair":
        command(*MINUTES)
    code, _, err = command(*line)
    assert code == 0, err


def test_an_open_day_whose_closed_rows_cannot_be_proved_is_a_failure(
    command: Command, faults: Faults
) -> None:
    faults.corrupt_where("off_grid", lambda method, reply: method == CHART)
    code, _, err = command(*MINUTES)
    assert (code, "Not proved: BTC-PERPETUAL 2024-04-09 to 2024-04-10" in err) == (1, True)


def test_a_day_that_is_over_and_stays_open_is_a_failure(
    command: Command, sandbox: SandboxExchange, clock: Clock
) -> None:
    """Trades are proved by the number of the one after midnight, and there is none yet."""
    clock.now = datetime(2024, 4, 10, 0, 0, 0, 500_000, tzinfo=UTC)
    line = ("backfill", "--dataset", "trades", "--instruments", BTC)
    code, _, err = command(*line, "--start", "2024-04-09", "--end", "2024-04-09")
    assert (code, "Not proved yet: 1 day is over" in err) == (1, True)
    clock.forward(timedelta(hours=1))
    assert command(*line, "--start", "2024-04-09", "--end", "2024-04-09")[0] == 0
