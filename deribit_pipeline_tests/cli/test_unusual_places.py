"""Links, pipes and numbers that no file or setting should be: one sentence, and nothing is
created."""

import os
from pathlib import Path

import pytest

from deribit_pipeline.errors import SettingsError
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.export.test_export import BTC, DAYS, Export, export
from deribit_pipeline_tests.test_dotenv import dotenv

__all__ = ["dotenv", "export"]  # fixtures


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("place", "Too many levels of symbolic links"),
        ("unmounted/exports", "it is a link to unmounted/exports, whose folder does not exist"),
    ],
)
def test_an_export_makes_nothing_through_a_link_that_leads_nowhere(
    export: Export, target: str, reason: str
) -> None:
    Path("place").symlink_to(target)
    code, output = export("--instruments", BTC, *DAYS, "--resolution", "60", to="place")
    assert (code, output) == (2, f"Error: --to place cannot be read ({reason}).\n")
    assert not Path("unmounted").exists()


def test_an_export_follows_a_link_to_a_folder_that_is_there(export: Export) -> None:
    Path("disk").mkdir()
    Path("place").symlink_to("disk/exports")
    assert export("--instruments", BTC, *DAYS, "--resolution", "60", to="place")[0] == 0
    assert Path("place").is_symlink()
    assert list(Path("disk/exports").rglob("*.parquet"))


def test_a_pipe_in_the_place_of_dotenv_is_not_waited_for(dotenv: Path) -> None:
    os.mkfifo(dotenv)
    with pytest.raises(SettingsError, match="is a named pipe: make it a file"):
        Settings.load()


@pytest.mark.parametrize("name", ["DERIBIT_BURST", "DERIBIT_CONCURRENCY"])
def test_a_number_of_thousands_of_digits_is_one_short_sentence(name: str) -> None:
    with pytest.raises(SettingsError, match="must be a whole number from 1 to") as caught:
        Settings.from_env({name: "9" * 5000})
    assert len(str(caught.value)) < 200
