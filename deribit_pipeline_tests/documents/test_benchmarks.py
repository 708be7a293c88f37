"""The benchmarks that write docs/benchmarks.md, on little data."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.processes


def benchmark(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "benchmarks" / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_benchmark_of_the_market_proves_each_day_and_writes_its_section_only(
    tmp_path: Path,
) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("# Benchmarks\n\n## The lake\n\nAs it was.\n")
    small = ("--perpetuals", "22", "--days", "2", "--folder", str(tmp_path))
    run = benchmark("market.py", *small, "--write", str(document))
    assert run.returncode == 0, run.stdout + run.stderr
    text = document.read_text()
    assert "## The lake\n\nAs it was.\n\n## The whole market\n" in text
    assert "2 days, 63,360 one-minute candles" in text
    assert "All 44 instrument-days are proved complete" in text
    assert re.search(r"^\| `backfill` \|.*\| 44 \|$", text, re.MULTILINE)  # two requests for each
    assert list(tmp_path.iterdir()) == [document]


def test_a_case_of_the_benchmarks_runs_alone_and_in_rounds(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    run = benchmark("run.py", "--only", "funding", "--runs", "2", "--write", str(document))
    assert run.returncode == 0, run.stdout + run.stderr
    text = document.read_text()
    assert "Medians of 2 interleaved runs" in text
    assert re.findall(r"^\| (\w+), .*\|$", text, re.MULTILINE) == ["funding_rates"]
    assert run.stdout.count("| funding_rates, ") == 3  # each run when it ends, and the table


def test_a_case_that_does_not_exist_is_refused_with_the_names_of_all() -> None:
    run = benchmark("run.py", "--only", "yesterday,funding")
    assert run.returncode == 2
    assert "unknown yesterday; there are ['daily', 'funding'" in run.stderr
