"""`record` as a user runs it: real seconds, signals, and a kill."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson
import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.rush import Rush
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.spool.spool_entries import (
    FRAME,
    RESPONSE,
    STOPPED,
    Entry,
    read_entries,
)
from deribit_pipeline_tests.helpers.processes import SCRIPT

RECORD = [str(SCRIPT), "record"]
PERPETUAL = "BTC-PERPETUAL"


@pytest.fixture
def environment(tmp_path: Path, exchange: SandboxExchange) -> Iterator[dict[str, str]]:
    with serving(exchange, Faults()) as url:
        yield {
            **os.environ,
            "DERIBIT_ENV": str(Environment.SANDBOX),
            "DERIBIT_BASE_URL": url,
            "DERIBIT_SNAPSHOT_EVERY": "10s",
            "DERIBIT_RECORD_CURRENCIES": "BTC",
            "DERIBIT_INSTRUMENTS": PERPETUAL,
            "DAGSTER_HOME": str(tmp_path / "home"),
        }


@pytest.fixture
def exchange() -> SandboxExchange:
    """The exchange with a few trades in each second."""
    now_ms = int(time.time() * 1000)
    rush = Rush(frozenset({PERPETUAL}), now_ms - 120_000, now_ms + 1_200_000, 20)
    return SandboxExchange(per_second=0, rush=rush)


@contextmanager
def recording(
    folder: Path, environment: dict[str, str], dataset: str = "book_summaries"
) -> Iterator[subprocess.Popen[str]]:
    """A recorder of a dataset that has received its first snapshot or its first trades."""
    process = subprocess.Popen(
        [*RECORD, "--datasets", dataset], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        wait(
            process,
            lambda: any("slot_ms" in each.facts or each.event == FRAME for each in entries(folder)),
        )
        yield process
    finally:
        process.kill()
        process.communicate()


def wait(process: subprocess.Popen[str], is_so: Callable[[], bool]) -> None:
    """Wait until something is so that a process does."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def entries(folder: Path) -> list[Entry]:
    files = sorted((folder / "data").glob("sandbox-spool/*/*/*/*.gz"))
    return [entry for file in files for entry in read_entries(file)]


@pytest.mark.processes
def test_a_signal_ends_a_recorder_soon_with_its_files_closed(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with recording(tmp_path, environment) as process:
        second = subprocess.run(
            RECORD, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert second.returncode == 2
        assert f"Process {process.pid} is recording into" in second.stderr
        assert second.stderr.count("\n") <= 2
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in errors
    assert entries(tmp_path)[-1].event == STOPPED
    modes = {file.stat().st_mode & 0o777 for file in tmp_path.glob("data/*/*/*/*/*.gz")}
    assert modes == {0o444}


@pytest.mark.processes
def test_a_kill_loses_nothing_that_was_received(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with recording(tmp_path, environment) as process:
        before = entries(tmp_path)
        process.kill()
        process.wait()
    kept = entries(tmp_path)
    assert kept[: len(before)] == before
    for entry in kept:
        if entry.event == RESPONSE:
            assert "result" in json.loads(entry.body)


def recorded_trades(folder: Path) -> list[dict[str, Any]]:
    frames = [json.loads(entry.body) for entry in entries(folder) if entry.event == FRAME]
    data = [each["params"]["data"] for each in frames if "trades" in each["params"]["channel"]]
    return [trade for trades in data for trade in trades]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_trades_are_recorded_until_the_end_as_rest_returns_them(
    tmp_path: Path, environment: dict[str, str], exchange: SandboxExchange, number: signal.Signals
) -> None:
    with recording(tmp_path, environment, "trades") as process:
        before = recorded_trades(tmp_path)
        wait(process, lambda: len(recorded_trades(tmp_path)) > len(before))
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert "Traceback" not in errors
    trades = recorded_trades(tmp_path)
    numbers = [trade["trade_seq"] for trade in trades]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    params = {"instrument_name": PERPETUAL, "count": "1000"}
    params |= {"start_seq": str(numbers[0]), "end_seq": str(numbers[-1])}
    answer = exchange.answer("public/get_last_trades_by_instrument", params, None)
    by_rest = sorted(answer.body["result"]["trades"], key=itemgetter("trade_seq"))
    assert trades == json.loads(orjson.dumps(by_rest))
    if number == signal.SIGTERM:
        assert [each.event for each in entries(tmp_path)].count(STOPPED) == 2
        assert "trades: " in errors


def test_datasets_are_recorded_together_with_one_status(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with recording(tmp_path, environment, "trades,book_summaries") as process:
        wait(process, lambda: {RESPONSE, FRAME} <= {each.event for each in entries(tmp_path)})
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    [status] = [line for line in errors.splitlines() if "snapshots" in line]
    assert status.startswith("trades: ")
    assert "; BTC: " in status
    assert [each.event for each in entries(tmp_path)].count(STOPPED) == 3


def test_instruments_without_trades_are_one_sentence(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    spot = environment | {"DERIBIT_INSTRUMENTS": "BTC_USDC"}
    command = [*RECORD, "--datasets", "trades"]
    done = subprocess.run(
        command, cwd=tmp_path, env=spot, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "DERIBIT_GROUPS name nothing whose trades can be recorded" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--datasets", "candles"], "--datasets may name book_summaries, trades, was 'candles'"),
        (["--datasets", ""], "--datasets may name"),
        (["--for", "10"], "--for must be a duration such as 90s, 10m or 2h, was '10'"),
        (["--for", "0s"], "--for must be a duration"),
    ],
)
def test_wrong_options_are_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["record", *arguments]) == 2
    assert sentence in capsys.readouterr().err
