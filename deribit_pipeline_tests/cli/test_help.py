"""Help, completion and repeated options of every command."""

import re
from datetime import timedelta

import pytest
from typer.main import get_command

from deribit_pipeline.cli.app import COMMANDS, Commands, app
from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.datasets.registry import ROW_DATASETS
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.command_line import commands


@pytest.mark.parametrize("name", COMMANDS)
def test_short_and_long_help_are_the_same_and_in_words(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = commands(capsys)
    code, short, _ = command(name, "-h")
    assert (code, short) == (0, command(name, "--help")[1])
    options = re.findall(r"^  (?:-\w, )?--[a-z-]+ (.*)", short, re.MULTILINE)
    assert not [text for text in options if re.match(r"<|INTEGER|TEXT|PATH|FLOAT|INT", text)]


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_a_wrong_option_names_the_help_of_its_command(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = ["deribit-pipeline", *name.split()]
    code, _, err = commands(capsys)(*whole[1:], "--nonsense")
    assert (code, err.endswith(f" See {' '.join(whole)} --help.\n")) == (2, True)


def test_the_help_of_record_names_its_variables_and_the_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = " ".join(commands(capsys)("record", "--help")[1].split())
    minutes = Settings().snapshot_every // timedelta(minutes=1)
    every = f"DERIBIT_SNAPSHOT_EVERY is the time between two snapshots (default {minutes}m)"
    assert every in text
    assert "DERIBIT_RECORD_CURRENCIES" in text


def test_the_help_offers_shell_completion(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = commands(capsys)("-h")
    assert (code, "--install-completion" in text, "--show-completion" in text) == (0, True, True)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("deribit-pipeline ba", ["backfill", "backup"]),
        ("deribit-pipeline backfill --se", ["--series"]),
        ("deribit-pipeline coverage --i", ["--instruments"]),
    ],
)
def test_a_shell_completes_commands_and_options(
    words: str, completed: list[str], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("_DERIBIT_PIPELINE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    with pytest.raises(SystemExit):
        exit_code([])
    assert capsys.readouterr().out.split() == completed


@pytest.mark.parametrize("option", ["--start", "--dataset", "--resolution", "--end"])
def test_an_option_of_one_value_is_given_once(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--start", "2024-01-01", option, "1", option, "2")
    code, _, err = commands(capsys)("backfill", *given)
    times = 3 if option == "--start" else 2
    assert code == 2
    assert err.startswith(f"Error: {option} takes one value and was given {times} times.")


def test_a_flag_may_be_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = commands(capsys)("backfill", "--plan", "--plan", "--start", "never")
    assert (code, err.startswith("Error: --start must be a day")) == (2, True)


def test_every_command_has_help_with_an_example() -> None:
    group = get_command(app)
    assert isinstance(group, Commands)
    for name in COMMANDS:
        made = group.get_command(None, name)
        assert made
        assert made.help
        assert re.search(rf"Example: .*deribit-pipeline {name}", made.epilog or "")


def test_help_lists_the_commands_by_name_and_the_datasets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = commands(capsys)
    listed = re.findall(r"^  ([\w-]+)  +\w", command("--help")[1].split("Commands:")[1], re.M)
    assert listed == sorted(COMMANDS)
    for name in ("backfill", "export"):
        output = " ".join(command(name, "--help")[1].split())
        assert "--dataset NAME candles, funding_rates, volatility_index, trades" in output
        for dataset in ROW_DATASETS:
            assert dataset.name in output
