"""The console script in a separate process."""

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from deribit_pipeline.version import __version__
from deribit_pipeline_tests.helpers.processes import SCRIPT, script

pytestmark = pytest.mark.processes

WEEK = [
    *("--instruments", "BTC-PERPETUAL,ETH-PERPETUAL"),
    *("--start", "2024-01-01", "--end", "2024-01-07"),
]


def test_the_built_in_sandbox_needs_no_network_and_no_account(tmp_path: Path) -> None:
    env = {"DERIBIT_ENV": "sandbox", "XDG_RUNTIME_DIR": str(tmp_path)}
    output = script("backfill", *WEEK, "--resolution", "60", env=env, cwd=tmp_path)
    assert (output.returncode, "Traceback" in output.stderr) == (0, False), output.stderr
    with duckdb.connect(str(tmp_path / "data" / "sandbox.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from complete_candles").fetchall() == [(336,)]
        assert connection.execute("select distinct source from candle_days").fetchall() == [
            ("sandbox",)
        ]
    log = (tmp_path / "dagster_home" / "logs" / "deribit_pipeline.jsonl").read_text()
    assert "BTC-PERPETUAL 1h: 2024-01-01 complete" in log


def test_settings_are_read_from_dotenv_and_the_environment_goes_first(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DERIBIT_ENV=moon\n")
    output = script("coverage", env={}, cwd=tmp_path)
    assert (output.returncode, output.stderr.count("\n")) == (2, 1)
    assert "was 'moon'" in output.stderr
    output = script("coverage", env={"DERIBIT_ENV": "sandbox"}, cwd=tmp_path)
    assert (output.returncode, "sandbox.duckdb does not exist" in output.stderr) == (1, True)


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert script("--version", env={}, cwd=tmp_path).stdout == f"deribit-pipeline {__version__}\n"


def test_the_sandbox_can_be_served_and_queried(tmp_path: Path) -> None:
    serving = subprocess.Popen(
        [str(SCRIPT), "sandbox", "--port", "0", "--now", "2024-01-03T12:00:00"],
        stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    with serving:
        assert serving.stderr
        found = re.search(r"http://127\.0\.0\.1:\d+/api/v2", serving.stderr.readline())
        assert found
        env = {"DERIBIT_BASE_URL": found[0], "XDG_RUNTIME_DIR": str(tmp_path)}
        output = script("check", env=env, cwd=tmp_path)
        serving.terminate()
    assert output.returncode == 0, output.stdout
    assert f"{found[0]} answers with HTTP 200" in output.stdout
    assert "set this machine's clock" in output.stdout


def test_help_needs_neither_dagster_nor_duckdb() -> None:
    code = (
        "import sys; from deribit_pipeline.cli.main import exit_code; exit_code(['--help']); "
        "print(sorted({'dagster', 'duckdb', 'httpx', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.endswith("[]\n")
