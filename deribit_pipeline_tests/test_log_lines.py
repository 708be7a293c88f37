"""A log that cannot be written, or was truncated, loses only its own lines."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deribit_pipeline.logs import json_file_handler, json_stream_handler, lines_of_run
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.disks import Disk
from deribit_pipeline_tests.helpers.processes import environment, script

RUN = "b-the-rest-of-the-id"


def record(text: str, run_id: str = RUN) -> logging.LogRecord:
    made = logging.LogRecord("deribit_pipeline.x", logging.INFO, "x.py", 1, text, (), None)
    made.dagster_meta = {"run_id": run_id}
    return made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def log(*texts: str) -> None:
    handler = json_file_handler()
    for text in texts:
        handler.handle(record(text))
    handler.close()


def messages(home: Path) -> list[str]:
    return [line["message"] for line in lines_of_run(home, "b-the")]


@pytest.mark.parametrize("left", ["", "{", '{"at": "2024', "\0\0\0", "é\0", '{"run_id": "b-the'])
def test_the_lines_after_one_that_was_cut_short_are_read(home: Path, left: str) -> None:
    log("one", "two")
    file = home / "logs" / "deribit_pipeline.jsonl"
    whole = file.read_bytes()
    for cut in (0, 1, 2, 5, 40):  # bytes of the last line that are missing
        file.write_bytes(whole[: len(whole) - cut] + left.encode("latin-1"))
        log("three", "four")
        found = messages(home)
        assert found[0] == "one"
        assert found[-2:] == ["three", "four"]
        assert set(found) <= {"one", "two", "three", "four"}


def test_a_record_that_a_former_version_wrote_behind_half_a_line_is_read(home: Path) -> None:
    log("one", "two")
    file = home / "logs" / "deribit_pipeline.jsonl"
    first, second = file.read_text().splitlines()
    file.write_text(f"{first[:60]}{second}\n")
    assert messages(home) == ["two"]


@pytest.mark.parametrize(
    "line", [f'"run_id": "{RUN}"', f'["run_id": "{RUN}"]', f'{{"run_id": "{RUN}"}}', "\xff" * 9]
)
def test_what_is_no_record_of_ours_is_passed_over(home: Path, line: str) -> None:
    (home / "logs").mkdir()
    (home / "logs" / "deribit_pipeline.jsonl").write_bytes(f"{line}\n".encode("latin-1"))
    log("one")
    assert messages(home) == ["one"]


def test_a_disk_that_fills_costs_the_lines_of_that_time_and_prints_nothing(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(disk.path))
    log("before")
    disk.leave(0)
    log(*(f"{number} {'x' * 1_000}" for number in range(20)))
    disk.leave(6_000)
    log(*(f"{number} {'x' * 1_000}" for number in range(20)))
    disk.resize(64_000_000)
    log("after")
    disk.set_read_only(True)
    log("later")
    found = messages(disk.path)
    assert (found[0], found[-1]) == ("before", "after")
    lines = (disk.path / "logs" / "deribit_pipeline.jsonl").read_text().splitlines()
    assert len(lines) - len(found) <= 2  # one that was cut short for each time
    assert len(found) < 20
    assert "".join(capsys.readouterr()) == ""


@pytest.mark.processes
def test_a_folder_of_logs_that_cannot_be_made_costs_no_day(
    settings: Settings, tmp_path: Path
) -> None:
    settings.dagster_home.mkdir()
    (settings.dagster_home / "logs").write_text("no folder")
    command = ["backfill", "--start", "2024-01-01", "--end", "2024-01-02"]
    output = script(*command, env=environment(settings), cwd=tmp_path)
    assert (output.returncode, "Traceback" in output.stderr) == (0, False), output.stderr


def test_a_containers_output_that_nobody_reads_prints_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stdout", full)
        json_stream_handler().handle(record("one"))
        monkeypatch.undo()
        assert capsys.readouterr().err == ""
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # for what is still to be written


def test_logs_needs_no_temporary_folder(home: Path) -> None:
    log("one")
    code = (
        "import sys, tempfile\n"
        "def none(): raise FileNotFoundError(2, 'No usable temporary directory found')\n"
        "tempfile.gettempdir = tempfile._get_default_tempdir = none\n"
        "from deribit_pipeline.cli.main import exit_code\n"
        f"sys.exit(exit_code(['logs', '--run', '{RUN}', '--json']))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], env={"DAGSTER_HOME": str(home)}, cwd=home,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(output.stdout)["message"] == "one"


def test_no_run_fails_where_there_is_no_temporary_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", none)
    for name in [
        name
        for name in sys.modules
        if name.startswith(("portalocker", "concurrent_log", "deribit_pipeline.logs.log_file"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    handler = json_file_handler()
    handler.handle(record("one"))
    assert type(handler) is logging.NullHandler
    assert list(home.iterdir()) == []
