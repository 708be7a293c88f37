"""The command line, configured by environment variables, in the process of a test."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.settings import Settings

WEEK = (
    "--instruments",
    "BTC-PERPETUAL,ETH-PERPETUAL",
    "--start",
    "2024-01-01",
    "--end",
    "2024-01-07",
)


class Output:
    """The output and the exit code of a command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def row(self, instrument: str) -> list[str]:
        """The cells of a row of the plan."""
        line = next(line for line in self.out.splitlines() if instrument in line)
        return [cell.strip() for cell in line.strip("│ ").split("│")][1:]

    def summary(self, instrument: str) -> dict[str, str]:
        """The cells of the summary's row that are not zero, by heading."""
        heading = next(line for line in self.out.splitlines() if line.startswith("┃"))
        headings = [cell.strip() for cell in heading.strip("┃ ").split("┃")][1:]
        cells = zip(headings, self.row(instrument), strict=True)
        return {name: cell for name, cell in cells if cell != "0"}


Command = Callable[..., Output]
"""Runs a command line, with environment variables changed from then on."""


def configured(
    settings: Settings,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """The runner of command lines in an empty folder, configured by these settings only."""
    for name in [name for name in os.environ if name.startswith(("DERIBIT_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
    env = {
        "DERIBIT_ENV": "sandbox",
        "DERIBIT_BASE_URL": str(settings.base_url),
        "DERIBIT_WAREHOUSE": str(settings.warehouse),
        "DERIBIT_REQUESTS_PER_SECOND": "1000000",
        "DAGSTER_HOME": str(settings.dagster_home),
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, **changed: str) -> Output:
        for name, value in changed.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = exit_code(list(arguments))
        return Output(code, *capsys.readouterr())

    return run


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query of the warehouse's file."""
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        return connection.execute(query).fetchall()


def assert_wrong(output: Output, sentence: str) -> None:
    """The command is refused: exit 2 and one sentence, which matches the pattern."""
    assert output.code == 2
    assert re.match(rf"Error: .*{sentence}", output.err), output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
