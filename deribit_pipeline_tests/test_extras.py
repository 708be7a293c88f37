"""A command whose packages are missing names those to install."""

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.cli.page_files import require_place
from deribit_pipeline.errors import InputError

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


@pytest.fixture(autouse=True)
def _as_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The metadata that an installation has now; an editable one has that of its installation."""
    monkeypatch.chdir(tmp_path)
    extras = PROJECT["optional-dependencies"]
    required = [f"{each}; extra == '{name}'" for name, some in extras.items() for each in some]
    monkeypatch.setattr(metadata, "requires", lambda _: PROJECT["dependencies"] + required)


def remove(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let these distributions be missing."""
    version = metadata.version

    def found(name: str) -> str:
        if name in names:
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", found)


def test_a_page_of_charts_names_the_packages_that_draw_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remove(monkeypatch, "altair", "vl-convert-python")
    with pytest.raises(InputError) as caught:
        require_place(tmp_path / "chart.html")
    assert str(caught.value) == (
        "A page of charts needs altair and vl-convert-python, which this environment does not "
        "have: pip install 'altair>=6.0' 'vl-convert-python>=1.9'."
    )


def test_the_ui_names_its_packages_in_versions_that_fit_dagster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    remove(monkeypatch, "dagster-webserver")
    assert exit_code(["ui", "--port", "0"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "Dagster's UI needs dagster-webserver, which" in line
    assert line.endswith("pip install 'dagster-webserver>=1.13.27,<1.14'.")
