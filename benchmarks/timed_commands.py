"""Commands as a user would run them: each in a process of its own, from start to exit, against a
sandbox with Deribit's limits."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measured import Received, ended, received

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
OURS = str(BIN / "deribit-pipeline")
PER_SECOND, BURST, LATENCY_MS = 20, 100, 60


@dataclass(frozen=True)
class Measured:
    """One run: wall-clock seconds, CPU seconds, the seconds without its own start-up or 0 if it
    does not print them, peak memory in MB, requests and rows."""

    seconds: float
    cpu: float
    after_start: float
    megabytes: float
    requests: int
    rows: int


@contextmanager
def sandbox(
    is_metered: bool = True,
    *options: str,
    latency_ms: int | None = None,
    program: Sequence[str] = (OURS, "sandbox"),
) -> Iterator[str]:
    """Start a sandbox in a process of its own; yields its API root. If it is not metered, it
    responds immediately, unless a latency is given."""
    if latency_ms is None:
        latency_ms = LATENCY_MS if is_metered else 0
    rate = str(PER_SECOND if is_metered else 0)
    command = [*program, "--port", "0", "--requests-per-second", rate]
    command += ["--burst", str(BURST), "--latency-ms", str(latency_ms), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        found = re.search(r"http://[\d.:]+/api/v2", server.stderr.readline())
        assert found
        try:
            yield found[0]
        finally:
            server.terminate()


@contextmanager
def empty_folder() -> Iterator[Path]:
    """An empty folder, deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-") as path:
        yield Path(path)


def variables(url: str, is_metered: bool = True) -> dict[str, str]:
    """The environment variables for a sandbox."""
    env = {"DERIBIT_ENV": "sandbox", "DERIBIT_BASE_URL": url}
    return env if is_metered else env | {"DERIBIT_REQUESTS_PER_SECOND": "1000000"}


def timed(command: Sequence[str], env: dict[str, str], folder: Path) -> Measured:
    """Run a command to its end, as a user would from a shell, with its state in the folder."""
    own = {name: str(folder) for name in ("TMPDIR", "HOME", "XDG_RUNTIME_DIR")}
    clean = {"PATH": os.environ["PATH"], **own}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=clean | env, cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout
    output = process.stdout.read()
    end = ended(process)
    seconds = time.perf_counter() - began
    if end.code:
        raise SystemExit(f"{' '.join(command)} failed:\n{output}")
    returned = received(output) or Received(0, 0)
    return Measured(
        seconds,
        end.cpu,
        returned.seconds,
        end.megabytes,
        returned.requests,
        returned.rows,
    )


def floor(requests: int) -> float:
    """The minimum seconds that the rate limit allows."""
    return max(0.0, requests - BURST) / PER_SECOND
