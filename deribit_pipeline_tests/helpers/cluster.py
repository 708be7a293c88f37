"""The processes of `deploy/compose.yaml`, run by hand: its commands, variables and health checks,
with real servers in place of the other images, all on loopback."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.dagster_ui import DagsterUI, end, until
from deribit_pipeline_tests.helpers.deployment import DEPLOY, ours, read
from deribit_pipeline_tests.helpers.processes import SCRIPT
from deribit_pipeline_tests.helpers.servers import (
    HOST,
    ObjectStore,
    Postgres,
    Server,
    object_store,
    postgres_server,
    running,
)
from deribit_pipeline_tests.test_loopback import free_port

Process = subprocess.Popen[bytes]


class Cluster:
    """The services of the compose file; `folder` holds the contents of an image's folder."""

    def __init__(self, folder: Path, postgres: Postgres, store: ObjectStore, exchange: str) -> None:
        self.folder = folder
        # Published ports may be in use here, and nothing may listen to other machines.
        self._moved = {"3000": str(free_port()), "4000": str(free_port()), "0.0.0.0": HOST}
        variables = {
            "POSTGRES_HOST": HOST,
            "POSTGRES_PORT": str(postgres.port),
            "POSTGRES_PASSWORD": postgres.PASSWORD,
            "AWS_ENDPOINT_URL": store.endpoint,
            "AWS_ACCESS_KEY_ID": store.key_id,
            "AWS_SECRET_ACCESS_KEY": store.secret,
            "DERIBIT_WAREHOUSE_DATA": store.prefix(),
            "DERIBIT_ENV": str(Environment.SANDBOX),
            "DERIBIT_BASE_URL": exchange,
            "DERIBIT_SCHEDULES": "off",
        }
        self._services = ours(variables)
        home = folder / "home"
        home.mkdir()
        (home / "dagster.yaml").write_text((DEPLOY / "dagster.yaml").read_text())
        workspace = read("workspace.yaml")
        workspace["load_from"][0]["grpc_server"] |= {"host": HOST, "port": int(self._moved["4000"])}
        (folder / "workspace.yaml").write_text(yaml.safe_dump(workspace))

    @property
    def ui(self) -> DagsterUI:
        return DagsterUI(f"http://{HOST}:{self._moved['3000']}")

    @property
    def warehouse(self) -> Warehouse:
        settings = Settings.from_env(self._environment("worker"))
        return warehouse_at(settings.warehouse, settings.environment)

    @contextmanager
    def service(self, name: str, *command: str) -> Iterator[Process]:
        """Run a service, optionally with another `command`; its processes end with the block."""
        service = self._services[name]
        words = [*service.get("entrypoint", []), *(command or service["command"])]
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                self._here(words), cwd=self.folder, env=self._environment(name),
                start_new_session=True, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            yield process
        finally:
            end(process)

    def log(self, name: str) -> Path:
        """The output of a service."""
        return self.folder / f"{name}.log"

    def until_healthy(self, name: str, process: Process) -> None:
        """Wait until the service's health check succeeds."""
        kind, *words = self._services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        command, env = self._here(words), self._environment(name)

        def healthy() -> str | None:
            assert process.poll() is None, self.log(name).read_text()[-2_000:]
            requested = subprocess.run(
                command, cwd=self.folder, env=env, capture_output=True, check=False
            )
            return None if requested.returncode else "healthy"

        until(healthy, f"the health of {name}")

    def _here(self, words: list[str]) -> list[str]:
        """A command of the image, as a command of this environment."""
        for theirs, here in self._moved.items():
            words = [
                word.replace(f":{theirs}/", f":{here}/") if word != theirs else here
                for word in words
            ]
        return [str(Path(sys.executable).parent / words[0]), *words[1:]]

    def _environment(self, name: str) -> dict[str, str]:
        path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        given: Mapping[str, Any] = self._services[name]["environment"]
        home = {"DAGSTER_HOME": str(self.folder / "home")}
        return path | home | {name: str(value) for name, value in given.items()}


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Code server, webserver and daemon, healthy, with an empty warehouse."""
    for name in ("store", "exchange", "cluster"):
        (folder / name).mkdir()
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_server())
        _make_databases(postgres)
        store = stack.enter_context(object_store(folder / "store"))
        port = free_port()
        command: list[str | Path] = [SCRIPT, "sandbox", "--port", str(port)]
        stack.enter_context(running(Server(command, folder / "exchange" / "log", port=port)))
        exchange = f"http://{HOST}:{port}/api/v2"
        found = Cluster(folder / "cluster", postgres, store, exchange)
        for name in ("code", "webserver", "daemon"):  # as they depend on one another
            found.until_healthy(name, stack.enter_context(found.service(name)))
        yield found


def _make_databases(postgres: Postgres) -> None:
    """Create what the PostgreSQL image creates at its first start."""
    first = read("compose.yaml")["services"]["postgres"]["environment"]["POSTGRES_DB"]
    further = read("compose.yaml")["configs"]["databases"]["content"]
    with closing(psycopg2.connect(postgres.url("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"create database {first}")
            cursor.execute(further)
