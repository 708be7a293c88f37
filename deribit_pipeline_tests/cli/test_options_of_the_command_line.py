"""Only the command line names its options."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from deribit_pipeline.cli.app import COMMANDS, Commands, app

PACKAGE = Path(__file__).parents[2] / "deribit_pipeline"
COMMANDS_OWN = PACKAGE / "cli"
BELOW = sorted(path for path in PACKAGE.rglob("*.py") if COMMANDS_OWN not in path.parents)


def options() -> set[str]:
    group = typer.main.get_command(app)
    assert isinstance(group, Commands)
    found: set[str] = set()
    for name in COMMANDS:
        command = group.get_command(None, name)
        assert command is not None
        found |= {opt for parameter in command.params for opt in parameter.opts}
    return {option for option in found if option.startswith("--")}


OPTIONS = options()


def texts(source: str) -> Iterator[str]:
    """The text literals of a file, docstrings too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def named_options(source: str) -> set[str]:
    """The options of commands that the texts of a file name."""
    return {
        option
        for text in texts(source)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)
        if option in OPTIONS
    }


def test_the_options_are_known() -> None:
    assert {"--start", "--end", "--instruments", "--to-data", "--replace", "--html"} <= OPTIONS


@pytest.mark.parametrize("path", BELOW, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_layer_below_the_command_line_names_an_option(path: Path) -> None:
    assert named_options(path.read_text()) == set()


def test_an_option_in_a_message_is_seen() -> None:
    source = 'raise InputError(f"{day} is in the future: give --end another day, or --no-such")'
    assert named_options(source) == {"--end"}
