"""The examples of the reader's docstrings, and that of the README, return what they show."""

import doctest
import re
from pathlib import Path

import pytest

from deribit_pipeline import read
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.demo_rows import hold_fortnight
from deribit_pipeline_tests.helpers.processes import name_warehouse

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's folder after `make demo`, with data of every kind."""
    folder = tmp_path_factory.mktemp("demo")
    hold_fortnight(Warehouse(folder / "data/sandbox.duckdb", Environment.SANDBOX))
    return folder


@pytest.mark.parametrize("name", dir(read))
def test_the_example_of_a_function_returns_what_it_shows(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_warehouse(monkeypatch, folder / "data/sandbox.duckdb", folder)
    [example] = doctest.DocTestFinder().find(getattr(read, name), name, globs={"read": read})
    assert example.examples
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example)
    assert result.failed == 0


def test_the_readmes_example_works_right_after_the_demo(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever DERIBIT_ENV is, also unset: the demo's warehouse is named."""
    name_warehouse(monkeypatch, folder, folder)
    for name in ("DERIBIT_ENV", "DERIBIT_WAREHOUSE"):
        monkeypatch.delenv(name)
    [block] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert set(re.findall(r"read\.(\w+)", block)) == {"candles"}  # all that the demo has
    names: dict[str, object] = {}
    exec(block, names)
    frames = [value for value in names.values() if hasattr(value, "shape")]
    assert len(frames) > 1
    assert all(len(frame) for frame in frames)  # type: ignore[arg-type]
