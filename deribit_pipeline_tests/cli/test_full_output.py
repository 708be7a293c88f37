"""A full disk behind stdout, and an unreadable log, are reported in one sentence each."""

import os
import subprocess
from pathlib import Path

import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.processes import SCRIPT, name_warehouse
from deribit_pipeline_tests.helpers.written_warehouse import fetched, write

pytestmark = pytest.mark.processes

FULL = Path("/dev/full")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a warehouse of one day and a DAGSTER_HOME without logs."""
    warehouse = Warehouse(tmp_path / "held.duckdb", Environment.SANDBOX)
    write(warehouse, fetched())
    name_warehouse(monkeypatch, warehouse.location, tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "logs").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
def test_a_disk_of_the_output_that_is_full_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, unbuffered: str
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with FULL.open("w") as full:
        ended = subprocess.run(
            [SCRIPT, "coverage"], stdout=full, stderr=subprocess.PIPE, text=True, cwd=folder,
            check=False,
        )  # fmt: skip
        silent = subprocess.run(
            [SCRIPT, "coverage"], stdout=full, stderr=full, cwd=folder, check=False
        )
        short = subprocess.run(
            [SCRIPT, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.stderr == "Error: The output cannot be written (No space left on device).\n"
    assert short.stderr == ended.stderr
    assert (ended.returncode, silent.returncode, short.returncode) == (1, 1, 1)


def test_a_log_that_is_no_file_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = folder / "home" / "logs" / "deribit_pipeline.jsonl"
    log.mkdir()
    assert exit_code(["logs", "--run", "1"]) == 2
    assert capsys.readouterr().err == f"Error: {log} cannot be read (Is a directory).\n"
    log.rmdir()
    os.mkfifo(log)
    assert exit_code(["logs", "--run", "1"]) == 2
    assert capsys.readouterr().err == f"Error: {log} cannot be read (it is a named pipe).\n"
