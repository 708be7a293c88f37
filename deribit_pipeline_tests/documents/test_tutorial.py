"""The tutorial works as written: every code block, in order, with the output that it shows."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.processes import environment

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs/tutorial.md").read_text(), re.DOTALL)
READY = {". .venv/bin/activate"}
"""The state of the machine that runs this test."""


@pytest.fixture
def folder(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, and an environment with only the sandbox's address."""
    for name in [name for name in os.environ if name.startswith(("DERIBIT_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    for name, value in environment(settings).items():
        if name not in ("DERIBIT_ENV", "DERIBIT_WAREHOUSE"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_tutorial_prints_what_it_shows(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, object] = {}
    output = ""
    for language, block in BLOCKS:
        if language == "text":
            assert re.search(pattern(block), output), f"{output}\n--- is not:\n{block}"
            continue
        if language == "sh":
            for line in block.splitlines():
                run(line, monkeypatch)
        else:
            assert language == "python"
            exec(block, names)
        output = "".join(capsys.readouterr())


def pattern(shown: str) -> str:
    """The pattern of an output: whole lines, in which `…` matches any rest."""
    lines = [re.escape(line.rstrip()).replace("…", ".*") + " *" for line in shown.splitlines()]
    return r"(?m)^" + "\n".join(lines) + "$"


def run(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a line of a shell in this process."""
    program, *arguments = shlex.split(line)
    if program == "make":
        with monkeypatch.context() as its_own:
            its_own.setenv("DERIBIT_ENV", "sandbox")
            for command in recipe(arguments):
                run(command, its_own)
    elif program == "export":
        monkeypatch.setenv(*arguments[0].split("=", 1))
    elif line not in READY:
        assert program == "deribit-pipeline", line
        assert exit_code(arguments) == 0, line


def recipe(targets: list[str]) -> list[str]:
    """The pipeline's commands in what `make` would run."""
    made = subprocess.run(
        ["make", "--dry-run", "--silent", "-C", str(ROOT), *targets],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = made.stdout.replace("\\\n", "").splitlines()
    return [line.removeprefix(".venv/bin/") for line in lines if "/deribit-pipeline " in line]
