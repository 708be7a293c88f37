"""The effect of `make` on the environment of its targets."""

import re
from pathlib import Path

MAKEFILE = (Path(__file__).parents[2] / "Makefile").read_text()


def test_make_demo_is_the_demo_of_the_command_line_in_this_folder() -> None:
    recipe = re.findall(r"^demo: setup .*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe == ["\t$(BIN)/deribit-pipeline demo\n"]
    exported = dict(re.findall(r"^demo dev: export (\w+) = (.*)$", MAKEFILE, re.MULTILINE))
    assert exported == {
        "DERIBIT_HOME": "$(CURDIR)",
        "DAGSTER_HOME": "$(CURDIR)/dagster_home",
    }


def test_the_ui_that_make_starts_is_the_guarded_one() -> None:
    recipe = re.findall(r"^dev: setup .*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe == ["\t$(BIN)/deribit-pipeline ui\n"]
