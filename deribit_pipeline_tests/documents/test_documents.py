"""Documents agree with the code."""

import ast
import re
from pathlib import Path

import pytest

from benchmarks import paper_plan
from deribit_pipeline.cli.app import COMMANDS
from deribit_pipeline.datasets import readme_table
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.version import __version__
from deribit_pipeline.warehouse import schema
from deribit_pipeline_tests.test_layers import FILES

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def read(name: str) -> str:
    return (ROOT / name).read_text()


def test_the_data_dictionary_is_current() -> None:
    assert read("docs/data-dictionary.md") == schema.markdown(), "run `make docs`"


def test_the_readme_lists_the_datasets_as_they_declare_themselves() -> None:
    assert readme_table.markdown() in read("README.md"), "run `make docs`"


def test_the_newest_heading_of_the_changelog_is_the_version() -> None:
    found = re.search(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)
    assert found
    assert found[1] in (__version__, "Unreleased")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_make_targets_exist(path: Path) -> None:
    text = path.read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (path.parent / link).exists(), link
    code = re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    assert set(re.findall(r"^make ([a-z-]+)", "\n".join(code), re.MULTILINE)) <= TARGETS


def test_the_readme_starts_with_the_two_commands() -> None:
    commands = re.findall(r"^make (\w+)", read("README.md"), re.MULTILINE)
    assert commands == ["demo", "test"]


def test_the_readme_names_every_command_and_state() -> None:
    text = read("README.md")
    for name in COMMANDS:
        assert f"| `deribit-pipeline {name}` |" in text
    for state in DayState:
        assert f"| `{state}` |" in text


def test_each_file_that_the_architecture_names_exists() -> None:
    table = read("docs/architecture.md").split("## What stands where")[1]
    for name in re.findall(r"`([a-z/_]+\.py)`", table):
        assert (ROOT / "deribit_pipeline" / name).exists(), name


TESTS = {
    f"{path.relative_to(ROOT / 'deribit_pipeline_tests').as_posix()}::{node.name}": node
    for path in sorted((ROOT / "deribit_pipeline_tests").rglob("test_*.py"))
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.FunctionDef)
}
"""By the path and name by which documents cite them."""


@pytest.mark.parametrize("resolution", ["1", "60"])
def test_the_plan_on_paper_is_the_planners(resolution: str) -> None:
    assert paper_plan.table(Resolution(resolution)) in (ROOT / "docs/scaling.md").read_text()


def test_the_contributing_guide_names_tests_that_exist() -> None:
    names = {cited.partition("::")[2] for cited in TESTS}
    assert set(re.findall(r"`(test_\w+)`", read("CONTRIBUTING.md"))) <= names


def test_each_guarantee_cites_its_tests_by_path_and_name() -> None:
    promises = re.findall(r"^\| (.+?) \| (.+) \|$", read("docs/guarantees.md"), re.MULTILINE)
    assert len(promises) > 20
    for promise, tests in promises:
        if promise == "promise":
            continue
        assert re.fullmatch(r"(⏱ )?`[\w/]+\.py::test_\w+`(, (⏱ )?`[\w/]+\.py::test_\w+`)*", tests)
        for is_long, cited in re.findall(r"(⏱ )?`(\S+)`", tests):
            marks = {ast.unparse(mark) for mark in TESTS[cited].decorator_list}
            assert bool(is_long) == ("pytest.mark.torture" in marks), cited


def test_each_module_says_what_belongs_in_it() -> None:
    for path in FILES:
        assert path.read_text().startswith('"""'), path


def test_requirements_are_pinned_and_name_no_host() -> None:
    for path in ROOT.glob("requirements*.txt"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        for line in lines:
            assert re.fullmatch(r"[\w.-]+==[\w.]+|-r requirements(-cluster)?\.txt", line), line


def test_a_home_without_a_dagster_yaml_is_given_the_projects() -> None:
    assert (ROOT / "dagster_home/dagster.yaml").samefile(ROOT / "deribit_pipeline/dagster.yaml")
