"""The guide to adding a dataset works as written: its files and commands, in this order."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deribit_pipeline.datasets.registry import ENTRY_POINTS
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.processes import environment

pytestmark = pytest.mark.processes

PAGE = (Path(__file__).parents[2] / "docs/add-a-dataset.md").read_text()
NAME = "hourly_index_prices"
FILES = dict(re.findall(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)```$", PAGE, re.DOTALL | re.MULTILINE))
INSTALL, USE, LOOK = re.findall(r"^```sh\n(.*?)```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's files, installed packages in addition to the project's, and an
    existing warehouse."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in [name for name in os.environ if name.startswith(("DERIBIT_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    with warehouse_at(settings.warehouse, settings.environment).writing():
        pass
    beside = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PIP_TARGET": str(tmp_path / "installed"),
        "PYTHONPATH": str(tmp_path / "installed"),
    }
    # The exchange's clock: that of the test's sandbox is in another year.
    own = {"DERIBIT_BASE_URL": ""}
    for name, value in (environment(settings) | beside | own).items():
        monkeypatch.setenv(name, value)
    return tmp_path


def run(commands: str, folder: Path) -> str:
    """The output of the commands."""
    done = subprocess.run(
        ["bash", "-e", "-c", commands],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_dataset_of_another_package_is_fetched_verified_and_shown(folder: Path) -> None:
    assert "hourly_prices/hourly_prices/source.py" in FILES
    assert f'entry-points."{ENTRY_POINTS}"' in FILES["hourly_prices/pyproject.toml"]
    run(INSTALL, folder)
    used = run(USE, folder)
    for series in ("btc_usd", "eth_usd"):
        assert re.search(rf"^{series} hourly index prices +2 complete, 1 open", used, re.MULTILINE)
    assert "; 0 no longer match." in used
    [exported] = (folder / "research").rglob("*.csv")
    assert len(exported.read_text().splitlines()) == 1 + 24
    looked = run(LOOK, folder)
    assert NAME in looked.splitlines()[0:5]
    assert "\n45 * * * *\n" in looked
    assert "| `price` | double | quote currency |" in looked
    assert NAME in run("COLUMNS=200 deribit-pipeline backfill --help", folder)
