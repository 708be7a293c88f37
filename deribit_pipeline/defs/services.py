"""The processes of Dagster's UI: code server, web server behind the guard, daemon, and a recorder
of what schedules take in.

Each leads its own process group, with the runs that it starts. They end with the process that
started them, even if that is killed: each waits at a pipe for its end.
"""

import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Self

from deribit_pipeline.errors import DeribitPipelineError, SettingsError
from deribit_pipeline.variables import FOLDER

LOCATION = "deribit_pipeline.definitions"
"""The code location: the module, and the name under which Dagster stores its schedules."""

# Seconds for the processes to shut down before they are killed.
_GRACE = 4.0

_PAUSE = 0.1

_RECORDER = "recorder"

# Seconds before a recorder that has exited is started again.
_RECORDER_REST = 60.0


class Services:
    """The processes, running on the DAGSTER_HOME prepared by `prepare_home` with the settings of
    the working folder; they end with the block."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._recorder_due: float | None = None
        self._recorder: Sequence[str] = ()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._folder = self._stack.enter_context(_temporary_folder())
        self._lifeline, write_end = os.pipe()
        for descriptor in (self._lifeline, write_end):
            self._stack.callback(os.close, descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        """Terminate all process groups, then kill what remains."""
        with self._stack:
            deadline = time.monotonic() + _GRACE
            self._signal(signal.SIGTERM)
            for process in self._running.values():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))
            self._signal(signal.SIGKILL)
            for process in self._running.values():
                process.wait()

    def start(self, host: str, port: int, recorder: Sequence[str] = ()) -> None:
        """Start all processes, among them the command line with the arguments `recorder` if there
        are any, and wait until the web server listens at this address and port. Raises
        DeribitPipelineError if one of Dagster's exits before."""
        code = self._folder / "code"
        self._run("code server", "dagster", "code-server", "start", "-m", LOCATION, "-s", code)
        self._wait_until(lambda: _accepts(socket.AF_UNIX, str(code)))
        workspace = _workspace(self._folder, code)
        self._run("daemon", "dagster._daemon", "run", "-w", workspace)
        served = ("-w", workspace, "-h", host, "-p", port)
        self._run("web server", "deribit_pipeline.defs.webserver", *served)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._wait_until(lambda: _accepts(family, (host, port)))
        self._recorder = recorder
        if recorder:
            self._record()

    def require_running(self) -> None:
        """Raise DeribitPipelineError if a process of Dagster has exited. A recorder that has
        exited, such as because another one was running, is started again a minute later."""
        for name, process in self._running.items():
            if process.poll() is not None and name == _RECORDER:
                self._restart_recorder()
            elif process.poll() is not None:
                raise DeribitPipelineError(
                    f"Dagster's {name} ended by itself with exit code {process.returncode}: see "
                    "its output for the reason."
                )

    def _restart_recorder(self) -> None:
        now = time.monotonic()
        self._recorder_due = self._recorder_due or now + _RECORDER_REST
        if now >= self._recorder_due:
            self._recorder_due = None
            self._record()

    def _record(self) -> None:
        self._run(_RECORDER, "deribit_pipeline.cli", *self._recorder)

    def _run(self, name: str, module: str, *arguments: object) -> None:
        command = [sys.executable, "-m", __name__, str(self._lifeline), module]
        self._running[name] = subprocess.Popen(
            [*command, *map(str, arguments)],
            # Elsewhere: in this folder, Dagster's commands would let `.env` override variables.
            cwd=self._home, env={**os.environ, FOLDER: os.getcwd()},
            pass_fds=[self._lifeline], process_group=0,
            stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(),
        )  # fmt: skip

    def _wait_until(self, happened: Callable[[], bool]) -> None:
        while not happened():
            self.require_running()
            time.sleep(_PAUSE)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)


def _workspace(folder: Path, code: Path) -> Path:
    file = folder / "workspace.yaml"
    file.write_text(
        f"load_from:\n  - grpc_server: {{socket: '{code}', location_name: {LOCATION}}}\n"
    )
    return file


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A private folder with a path that is short enough for a socket's name."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="deribit-ui-", ignore_cleanup_errors=True)
    except OSError as error:
        raise SettingsError(
            f"Dagster's processes need a temporary folder for their socket ({error.strerror}): set "
            "TMPDIR to one that is writable."
        ) from error
    with folder as name:
        yield Path(name)


def _accepts(family: socket.AddressFamily, address: object) -> bool:
    with closing(socket.socket(family)) as connection:
        return connection.connect_ex(address) == 0  # type: ignore[arg-type]


def _end_with(lifeline: int) -> None:
    """Wait until the process at the other end is gone, then end this process group."""
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGTERM)
    time.sleep(_GRACE)
    os.killpg(0, signal.SIGKILL)


def _main() -> None:
    """Run a module named in the arguments, as long as the starting process lives."""
    lifeline, module, *arguments = sys.argv[1:]
    threading.Thread(target=_end_with, args=[int(lifeline)], daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
