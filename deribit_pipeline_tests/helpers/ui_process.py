"""`deribit-pipeline ui` in a separate process, with all processes that it starts."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deribit_pipeline_tests.helpers.dagster_ui import DagsterUI, until
from deribit_pipeline_tests.helpers.processes import SCRIPT
from deribit_pipeline_tests.test_loopback import free_port


class Ui:
    """The process, and in `dagster` the UI that it serves."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
        self.process = process
        self.port = port
        self.dagster = DagsterUI(f"http://127.0.0.1:{port}")
        self.folder = folder

    @property
    def output(self) -> str:
        """Its output so far."""
        return (self.folder / "ui.log").read_text()

    def members(self) -> set[int]:
        """The process and its descendants: all processes with this folder in their environment."""
        sign = f"_DERIBIT_PIPELINE_FOLDER={self.folder}\0".encode()
        found = {self.process.pid} if self.process.poll() is None else set()
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if sign in (path / "environ").read_bytes() and b"Z" not in _state(path):
                    found.add(int(path.name))
        return found

    def kill_all(self) -> None:
        """Kill every process at once, as in a power failure."""
        for pid in self.members():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.until_gone()

    def until_gone(self) -> None:
        """Wait until none of its processes is left."""
        until(lambda: not self.members() or None, "the end of all processes", 0.05)

    def is_loaded(self) -> bool:
        assert self.process.poll() is None, self.output[-2_000:]
        return self.dagster.is_loaded()


def _state(path: Path) -> bytes:
    return (path / "stat").read_bytes().rpartition(b")")[2][:3]


@contextmanager
def running_ui(folder: Path, env: dict[str, str]) -> Iterator[Ui]:
    """Start it in a folder and wait until the assets are loaded; all its processes end with the
    block."""
    port = free_port()
    # A temporary folder with a path that is short enough for a socket.
    with tempfile.TemporaryDirectory(prefix="ui-") as temporary:
        with (folder / "ui.log").open("ab") as log:
            process = subprocess.Popen(
                [str(SCRIPT), "ui", "--port", str(port)], cwd=folder,
                env=env | {"TMPDIR": temporary}, stdout=log, stderr=log,
            )  # fmt: skip
        ui = Ui(process, port, folder)
        try:
            until(ui.is_loaded, "the UI", 0.2)
            yield ui
        finally:
            ui.kill_all()
