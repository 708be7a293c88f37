"""The command line, run in the process of a test."""

from collections.abc import Callable

import pytest

from deribit_pipeline.cli.main import exit_code

Command = Callable[..., tuple[int, str, str]]
"""Runs a command line; returns its exit code, stdout and stderr."""


def commands(capsys: pytest.CaptureFixture[str]) -> Command:
    """The runner of command lines, with the current environment."""

    def run(*arguments: object) -> tuple[int, str, str]:
        return exit_code([str(argument) for argument in arguments]), *capsys.readouterr()

    return run
