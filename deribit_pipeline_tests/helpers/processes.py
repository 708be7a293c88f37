"""The program as separate processes, which a test starts, signals and kills, with their
environment."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake, Location
from deribit_pipeline.settings import Settings

SCRIPT = Path(sys.executable).parent / "deribit-pipeline"
DAGSTER = Path(sys.executable).parent / "dagster"
SIGNAL_AT_STEP = Path(__file__).parent / "signal_at_step.py"

_PATIENCE = 120.0


def environment(settings: Settings) -> dict[str, str]:
    """The environment variables for a process with these settings."""
    return {
        "DERIBIT_ENV": str(settings.environment),
        "DERIBIT_BASE_URL": str(settings.base_url),
        **variables_of(settings.warehouse),
        "DERIBIT_REQUESTS_PER_SECOND": str(settings.requests_per_second),
        "DERIBIT_BURST": str(settings.burst),
        "DAGSTER_HOME": str(settings.dagster_home),
        "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"],  # where processes share the rate limit
    }


def variables_of(location: Location) -> dict[str, str]:
    """The environment variables that name a warehouse."""
    if not isinstance(location, Lake):
        return {"DERIBIT_WAREHOUSE": str(location)}
    variables = {
        "DERIBIT_WAREHOUSE": location.address,
        "DERIBIT_WAREHOUSE_DATA": location.data,
        "AWS_ENDPOINT_URL": location.storage.endpoint,
        "AWS_REGION": location.storage.region,
        "AWS_ACCESS_KEY_ID": location.storage.key_id,
        "AWS_SECRET_ACCESS_KEY": location.storage.secret,
        "AWS_SESSION_TOKEN": location.storage.token,
    }
    return {name: value for name, value in variables.items() if value}


def name_warehouse(monkeypatch: pytest.MonkeyPatch, location: Location, folder: Path) -> None:
    """Configure this process with the sandbox's warehouse at `location` and no other setting, in a
    folder without `.env`."""
    for name in [name for name in os.environ if name.startswith("DERIBIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DERIBIT_ENV", Environment.SANDBOX)
    for name, value in variables_of(location).items():
        monkeypatch.setenv(name, value)


def script(*arguments: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the console script to its end, with only this environment."""
    return subprocess.run(
        [str(SCRIPT), *arguments], env=env, cwd=cwd, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def signalled_at(signal: str, moment: str, nth: int, *arguments: str) -> list[str]:
    """The command line of a process that sends itself a signal at the nth such step."""
    return [sys.executable, str(SIGNAL_AT_STEP), signal, moment, str(nth), *arguments]


def started(command: list[str], settings: Settings) -> subprocess.Popen[str]:
    """Start a process in the folder of the tests, with its output in pipes."""
    return subprocess.Popen(
        command, env=environment(settings), cwd=settings.dagster_home.parent, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something has happened; fails if the process ends before."""
    deadline = time.monotonic() + _PATIENCE
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)  # the process may need the core that this one is on


def assert_all_succeed(processes: Sequence[subprocess.Popen[str]]) -> None:
    errors = [""] * len(processes)

    def read(number: int) -> None:
        errors[number] = processes[number].communicate(timeout=240)[1]

    # All pipes at once: a full pipe would block its writer.
    readers = [threading.Thread(target=read, args=(n,)) for n in range(len(processes))]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    for process, error in zip(processes, errors, strict=True):
        assert process.returncode == 0, error
