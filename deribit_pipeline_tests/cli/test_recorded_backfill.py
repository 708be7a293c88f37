"""What a backfill takes from the spool is planned and counted."""

from datetime import date

import pytest

from deribit_pipeline.exchange.session import spool_of
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.configured_commands import Command
from deribit_pipeline_tests.helpers.recorded_trades import TradeRecording, frames_of, published_on

DAY = date(2024, 4, 9)
START_MS = 1_712_620_800_000
BACKFILL = ("backfill", "--dataset", "trades", "--instruments", "BTC-PERPETUAL")
OF_DAY = ("--start", "2024-04-09", "--end", "2024-04-09")


def test_what_is_in_the_spool_is_planned_and_counted(
    command: Command,
    settings: Settings,
    sandbox: SandboxExchange,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spool = spool_of(settings)
    monkeypatch.setenv("DERIBIT_SPOOL", str(spool.root))
    day = published_on(sandbox, DAY)
    with spool.recording():
        recording = TradeRecording(spool, "trades/future.BTC", START_MS)
        recording.frames(frames_of([*day[:1_000], *day[1_010:]]))
        recording.close()
    plan = " ".join(command(*BACKFILL, *OF_DAY, "--plan").out.split())
    assert f"│ trades in the spool │ {len(day) - 10:,} │" in plan
    assert "│ trades missing among them │ 10 │" in plan
    assert "in the spool" not in command(*BACKFILL, *OF_DAY, "--plan", "--force").out
    output = command(*BACKFILL, *OF_DAY)
    assert (output.code, spool.days("trades/future.BTC")) == (0, []), output.err
    received = f"{len(day):,} trades received, {len(day) - 10:,} of them from the spool in"
    assert received in output.err
