"""`record` as a user runs it: real seconds, signals, and a kill."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.spool.spool_entries import RESPONSE, STOPPED, Entry, read_entries
from deribit_pipeline_tests.helpers.processes import SCRIPT

RECORD = [str(SCRIPT), "record"]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    with serving(SandboxExchange(), Faults()) as url:
        yield {
            **os.environ,
            "DERIBIT_ENV": str(Environment.SANDBOX),
            "DERIBIT_BASE_URL": url,
            "DERIBIT_SNAPSHOT_EVERY": "10s",
            "DERIBIT_RECORD_CURRENCIES": "BTC",
            "DAGSTER_HOME": str(tmp_path / "home"),
        }


@contextmanager
def recording(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A recorder that has received its first snapshot."""
    process = subprocess.Popen(
        RECORD, cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not any("slot_ms" in entry.facts for entry in entries(folder)):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--datasets", "candles"], "--datasets may name book_summaries, was 'candles'"),
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
