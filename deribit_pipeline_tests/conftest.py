"""Shared fixtures: a sandbox with a clock and a history under the test's control, and settings
for it."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as laws

from deribit_pipeline import masking
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake, LocalLake, Location
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.opening import open_exchange, warehouse_at
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.configured_commands import Command, configured
from deribit_pipeline_tests.helpers.disks import Disk
from deribit_pipeline_tests.helpers.lakes import copy
from deribit_pipeline_tests.helpers.made_once import (
    dagster_databases_made_once,
    duckdb_with_one_thread,
    warehouses_made_once,
)
from deribit_pipeline_tests.helpers.pipeline import Pipeline
from deribit_pipeline_tests.helpers.servers import (
    ObjectStore,
    Postgres,
    object_store,
    postgres_server,
)

# Laws are tested with the same examples every time; their duration is irrelevant.
laws.register_profile("same", deadline=None, derandomize=True, max_examples=40)
laws.load_profile("same")

RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> Any:
    """A recorded response of the live exchange."""
    return json.loads((RECORDED / f"{name}.json").read_text())


class Clock:
    """The sandbox's clock, which stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now.timestamp()

    def forward(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture(autouse=True, scope="session")
def _own_runtime_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Separate the tests' rate limit files from those of the machine."""
    folder = tmp_path_factory.mktemp("limits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def _own_limits(_own_runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a rate limit and secrets of its own: lists of instruments are limited to one
    request a second after fifty, and a registered secret is masked in every later text."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", tempfile.mkdtemp(dir=_own_runtime_folder))
    monkeypatch.setattr(masking, "_learned", set())


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests' files in memory if there is room: thousands of warehouses then need no disk.
    Tests of disks use the fixture `disk`."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > _MEMORY:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


_MEMORY = 4 << 30


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark tests that start PostgreSQL or an object store for `make test-lake`."""
    for item in items:
        if not {"_postgres", "_store"}.isdisjoint(item.fixturenames):
            item.add_marker(pytest.mark.lake)


@pytest.fixture(autouse=True, scope="session")
def _made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with (
        duckdb_with_one_thread(),
        warehouses_made_once(tmp_path_factory.mktemp("empty")),
        dagster_databases_made_once(tmp_path_factory.mktemp("dagster") / "databases"),
    ):
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2024, 4, 10, 12, 0, 30, tzinfo=UTC))


@pytest.fixture
def sandbox(clock: Clock) -> SandboxExchange:
    """The exchange, without a rate limit."""
    return SandboxExchange(clock, per_second=0)


@pytest.fixture
def faults() -> Faults:
    return Faults()


_LAKE = pytest.param("lake", marks=pytest.mark.lake)
_LOCAL_LAKE = pytest.param("local lake", marks=pytest.mark.lake)
every_store = pytest.mark.parametrize("location", ["file", _LOCAL_LAKE, _LAKE], indirect=True)
in_a_lake = pytest.mark.parametrize("location", [_LAKE], indirect=True)


@pytest.fixture
def lake(database: str, tmp_path: Path) -> Lake:
    """A lake in a new database, its files in a folder; nothing is there yet."""
    return Lake(database, f"{tmp_path}/lake/")


@pytest.fixture
def local_lake(tmp_path: Path) -> LocalLake:
    """A lake with its catalog in a SQLite file; nothing is there yet."""
    return LocalLake(f"{tmp_path}/lake.sqlite", f"{tmp_path}/lake.sqlite.files/")


@pytest.fixture
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """The location of the warehouse."""
    kind = getattr(request, "param", "file")
    if kind == "file":
        return tmp_path / "warehouse.duckdb"
    lake: Lake = request.getfixturevalue(kind.replace(" ", "_"))
    return lake


@pytest.fixture
def settings(
    tmp_path: Path, location: Location, sandbox: SandboxExchange, faults: Faults
) -> Iterator[Settings]:
    """Settings of a user whose exchange is the sandbox, served over HTTP."""
    with serving(sandbox, faults) as url:
        yield replace(
            Settings(),
            environment=Environment.SANDBOX,
            base_url=url,
            warehouse=location,
            dagster_home=tmp_path / "dagster_home",
            spool=tmp_path / "spool",
            requests_per_second=1_000_000.0,
        )


@pytest.fixture
def warehouse(settings: Settings) -> Warehouse:
    return warehouse_at(settings.warehouse, settings.environment)


@pytest.fixture
def opened(settings: Settings) -> Iterator[Callable[..., Exchange]]:
    """Opens exchanges that close with the test; `patience` and `timeout` are in seconds."""
    with ExitStack() as stack:
        yield lambda patience=5.0, timeout=30.0: stack.enter_context(
            open_exchange(settings, patience, timeout)
        )


@pytest.fixture
def instance() -> Iterator[Any]:
    """A DagsterInstance in memory."""
    from dagster import DagsterInstance  # takes more than a second, and most tests do without

    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def pipeline(
    opened: Callable[..., Exchange], warehouse: Warehouse, sandbox: SandboxExchange
) -> Pipeline:
    return Pipeline(opened, warehouse, sandbox)


@pytest.fixture
def command(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Runs a command line in an empty folder, with an environment that points at the sandbox."""
    return configured(settings, tmp_path, monkeypatch, capsys)


HELD_NAMES = ("BTC-PERPETUAL", "SOL_USDC-PERPETUAL")
HELD_RESOLUTIONS = ("1", "60", "180", "720", "1D")
HELD_UNTIL = datetime(2024, 4, 10, 12, 0, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four days of several resolutions from the sandbox, the running day included."""
    path = tmp_path_factory.mktemp("filled") / "warehouse.duckdb"
    days = {
        name: list(days_between(HELD_UNTIL.date() - timedelta(days=3), HELD_UNTIL.date()))
        for name in HELD_NAMES
    }
    sandbox = SandboxExchange(Clock(HELD_UNTIL), per_second=0)
    with serving(sandbox, Faults()) as url:
        settings = Settings(
            Environment.SANDBOX, url, warehouse=path, requests_per_second=1_000_000.0
        )
        with open_exchange(settings) as exchange:
            backfill = ForegroundBackfill(exchange, Warehouse(path, Environment.SANDBOX))
            for resolution in HELD_RESOLUTIONS:
                job = Job("a run", days)
                candles = CANDLES[Resolution(resolution)]
                assert not backfill.backfill(candles, job).failures
    return path


@pytest.fixture
def sound(filled: Path, location: Location) -> Warehouse:
    """A warehouse without violations."""
    if isinstance(location, Path):
        shutil.copy(filled, location)
    else:
        copy(filled, location)
    return warehouse_at(location, Environment.SANDBOX)


@pytest.fixture
def plant(sound: Warehouse) -> Callable[[str], None]:
    """Inserts a violation of a rule."""

    def plant(statement: str) -> None:
        with sound.writing() as connection:
            connection.execute(statement)

    return plant


@pytest.fixture(scope="session")
def _postgres() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres(_postgres: Postgres) -> Postgres:
    """A PostgreSQL server that runs, also after a test that killed it."""
    _postgres.start()
    return _postgres


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The connection string of a new database."""
    return postgres.database()


@pytest.fixture(scope="session")
def _store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture
def store(_store: ObjectStore) -> ObjectStore:
    """An S3 store that runs, also after a test that killed it."""
    _store.start()
    return _store


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    try:
        disk = Disk(tmp_path / "disk")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a disk of its own takes root")
    yield disk
    subprocess.run(["umount", str(disk.path)], check=True)
