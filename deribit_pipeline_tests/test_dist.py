"""The wheel, installed from the package index into a fresh environment, is used in an empty folder;
the sdist builds the same wheel. `make dist` builds both before."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deribit_pipeline.version import __version__
from deribit_pipeline_tests.test_loopback import free_port

pytestmark = pytest.mark.dist

ROOT = Path(__file__).parents[1]
WHEEL = ROOT / "dist" / f"deribit_pipeline-{__version__}-py3-none-any.whl"
SDIST = ROOT / "dist" / f"deribit_pipeline-{__version__}.tar.gz"
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


class Installed:
    """A fresh environment with the wheel, and an empty folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.folder = folder / "venv" / "bin", folder / "work"
        self.folder.mkdir()
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        self.install(str(WHEEL))

    def install(self, *packages: str) -> None:
        subprocess.run([self.bin / "python", *PIP, "install", *packages], check=True)

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment with few variables."""
        return subprocess.run(
            [self.bin / command[0], *command[1:]], cwd=self.folder, env=self.env(**variables),
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def env(self, **variables: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder.parent)} | variables


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("dist"))


def test_the_wheel_contains_the_package_and_its_documents_only() -> None:
    with zipfile.ZipFile(WHEEL) as wheel:
        tops = {name.split("/")[0] for name in wheel.namelist()}
        documents = {Path(name).name for name in wheel.namelist() if "/share/" in name}
    name = f"deribit_pipeline-{__version__}"
    assert tops == {"deribit_pipeline", f"{name}.data", f"{name}.dist-info"}
    assert {"README.md", "tutorial.md", ".env.example"} <= documents


def test_the_sdist_builds_the_same_wheel(tmp_path: Path) -> None:
    build = (*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path))
    subprocess.run([sys.executable, *build, str(SDIST)], check=True)
    [built] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(built) as one, zipfile.ZipFile(WHEEL) as other:
        contents = ({name: each.read(name) for name in each.namelist()} for each in (one, other))
        assert next(contents) == next(contents)


def test_the_demo_the_reader_and_the_documents_need_nothing_else(installed: Installed) -> None:
    demo = installed.run("deribit-pipeline", "demo")
    assert demo.returncode == 0, demo.stderr
    assert str(installed.folder / "data" / "sandbox.duckdb") in demo.stderr.splitlines()[0]
    reading = (
        "from deribit_pipeline import read; "
        "print(len(read.candles('BTC-PERPETUAL', '2024-01-01', '2024-01-14', '60')))"
    )
    frame = installed.run("python", "-c", reading, DERIBIT_ENV="sandbox")
    assert (frame.stdout, frame.stderr) == ("336\n", "")
    tutorial = installed.run("deribit-pipeline", "docs", "tutorial").stdout
    assert tutorial.rstrip() == (ROOT / "docs" / "tutorial.md").read_text().rstrip()


CHART = ("deribit-pipeline", "chart", "--instruments", "BTC-PERPETUAL", "--html", "chart.html")


def test_charts_and_ui_name_the_packages_to_install_and_then_work(installed: Installed) -> None:
    for command in (CHART, ("deribit-pipeline", "ui", "--port", "0")):
        refused = installed.run(*command, DERIBIT_ENV="sandbox")
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
        named = refused.stderr.partition("pip install ")[2].strip().rstrip(".")
        installed.install(*(each.strip("'") for each in named.split()))
    chart = installed.run(*CHART, DERIBIT_ENV="sandbox")
    assert chart.returncode == 0, chart.stderr
    elsewhere = installed.folder.parent / "elsewhere"
    elsewhere.mkdir()
    for url in served(installed, elsewhere):
        query = {"query": "{ runsOrError { ... on Runs { results { status } } } }"}
        runs = httpx.post(f"{url}/graphql", json=query, timeout=60).json()
        # One of candles, and one of the snapshot.
        assert runs["data"]["runsOrError"]["results"] == 2 * [{"status": "SUCCESS"}]
    assert list(elsewhere.iterdir()) == []


def served(installed: Installed, folder: Path) -> Iterator[str]:
    """The UI of the demo's home, started in another folder."""
    port = free_port()
    process = subprocess.Popen(
        [installed.bin / "deribit-pipeline", "ui", "--port", str(port)], cwd=folder,
        env=installed.env(DERIBIT_ENV="sandbox", DERIBIT_HOME=str(installed.folder)),
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        deadline = time.monotonic() + 120
        while "listens at" not in (line := process.stderr.readline()):
            assert line, "the UI ended"
            assert time.monotonic() < deadline
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
