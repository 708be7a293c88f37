"""A warehouse is copied from a file to a lake and back: completely, once, and verified."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from deribit_pipeline.datasets.registry import DATASETS, ROW_DATASETS
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.dataset import SeriesKind
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import LAKE, Lake, ObjectStorage
from deribit_pipeline.domain.proof_tables import DATASET_REVISIONS, FAILED_DAYS
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine import copies, migration
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.copies import Span, held_days
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.migration import migrate
from deribit_pipeline.engine.series_proofs import hashed_anew
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.errors import InputError, WarehouseError, WarehouseUnusable
from deribit_pipeline.instruments.history import write_requested_at
from deribit_pipeline.instruments.refresh import refresh
from deribit_pipeline.opening import open_exchange, warehouse_at
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.instrument_tables import INSTRUMENTS
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import HELD_UNTIL, Clock
from deribit_pipeline_tests.helpers.command_line import Command, commands
from deribit_pipeline_tests.helpers.inserted_rows import hold
from deribit_pipeline_tests.helpers.lakes import requested
from deribit_pipeline_tests.helpers.processes import variables_of
from deribit_pipeline_tests.helpers.servers import ObjectStore, Postgres
from deribit_pipeline_tests.warehouse.test_warehouse import (
    FIRST,
    NAME,
    everything,
    fetched,
    forget_datasets,
    rows,
    write,
)

# What ends the process in the middle of a transaction, and lets it have many.
_DIES = """
import os, sys
from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.engine import migration
from deribit_pipeline.engine import copies
nth, migration._MOST_ROWS, days = int(sys.argv[1]), 3_000, copies._Part.days

def counted(*arguments):
    global nth
    nth -= 1
    if not nth:
        os.kill(os.getpid(), 9)
    return days(*arguments)

copies._Part.days = counted
sys.exit(exit_code(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def whole(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with rows of each dataset and in each table."""
    path = tmp_path_factory.mktemp("whole") / "w.duckdb"
    path.write_bytes(filled.read_bytes())
    warehouse = warehouse_at(path, Environment.SANDBOX)
    write(warehouse, fetched(), fetched(FIRST + timedelta(days=1), absent=(3, 4)))
    write(warehouse, fetched(price=0.5))
    yesterday = HELD_UNTIL.date() - timedelta(days=1)
    days = list(days_between(yesterday - timedelta(days=1), yesterday))
    sandbox = SandboxExchange(Clock(HELD_UNTIL), per_second=0)
    with serving(sandbox, Faults()) as url:
        settings = Settings(
            Environment.SANDBOX, url, CLIENT_ID, CLIENT_SECRET, path,
            requests_per_second=1_000_000.0,
        )  # fmt: skip
        with open_exchange(settings) as exchange:
            backfill = ForegroundBackfill(exchange, warehouse)
            refresh(exchange, warehouse, "BTC")
            for dataset in ROW_DATASETS:
                series = ("BTC",) if dataset.currencies else ("btc_usd",)
                if dataset.series is SeriesKind.INSTRUMENT:
                    series = ("BTC-PERPETUAL",)
                backfill.backfill(dataset, Job("a run", dict.fromkeys(series, days)))
    revised = {"dataset": "trades", "series": "BTC-PERPETUAL", "day": yesterday}
    hold(warehouse, DATASET_REVISIONS, revised)
    hold(warehouse, FAILED_DAYS, revised)
    with (
        warehouse.writing() as connection,
        hashed_anew(connection, TRADES, "BTC-PERPETUAL", [yesterday]),
    ):
        pass  # a revision belongs to the proof
    held = everything(warehouse)
    assert [name for name, some in held.items() if not some] == []
    assert verify(warehouse).findings == []
    return path


@pytest.fixture
def full(whole: Path, tmp_path: Path) -> Warehouse:
    path = tmp_path / "w.duckdb"
    path.write_bytes(whole.read_bytes())
    return warehouse_at(path, Environment.SANDBOX)


@pytest.fixture
def file(tmp_path: Path) -> Warehouse:
    """A warehouse of five days of candles, of which one is gapped and one was revised."""
    file = warehouse_at(tmp_path / "w.duckdb", Environment.SANDBOX)
    days = [FIRST + timedelta(days=number) for number in range(5)]
    write(file, *map(fetched, days[:3]), fetched(days[3], absent=(3, 4)), fetched(days[4]))
    write(file, fetched(price=0.5))
    return file


@pytest.fixture
def to(tmp_path: Path) -> Warehouse:
    return warehouse_at(tmp_path / "to.duckdb", Environment.SANDBOX)


@pytest.fixture
def lake(database: str, tmp_path: Path) -> Warehouse:
    return warehouse_at(Lake(database, f"{tmp_path}/lake/"), Environment.SANDBOX, patience=30)


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DERIBIT_ENV", "sandbox")
    return commands(capsys)


def in_pairs(url: str) -> str:
    """The same connection string, spelled otherwise."""
    return make_dsn(**parse_dsn(url))


def test_all_that_is_held_moves_to_a_lake_and_back(
    full: Warehouse, lake: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "_MOST_ROWS", 3_000)
    before = full.location.read_bytes()
    held = everything(full)
    there = migrate(full, lake)
    assert (there.is_proved, there.days, there.verified.days) == (True, there.held, there.held)
    assert everything(lake) == held
    assert verify(lake).findings == []
    again = migrate(full, lake)
    assert (again.is_proved, again.days, again.rows) == (True, 0, 0)
    assert everything(lake) == held
    back = warehouse_at(tmp_path / "back.duckdb", Environment.SANDBOX)
    assert migrate(lake, back).is_proved
    assert everything(back) == held
    assert full.location.read_bytes() == before


def test_a_lake_moves_to_another_in_an_object_store_and_into_a_file(
    file: Warehouse, lake: Warehouse, store: ObjectStore, postgres: Postgres, to: Warehouse
) -> None:
    assert migrate(file, lake).is_proved
    storage = ObjectStorage(store.endpoint, store.region, store.key_id, store.secret)
    place = Lake(postgres.database(), f"{store.prefix()}/", storage)
    other = warehouse_at(place, Environment.SANDBOX)
    assert migrate(lake, other).is_proved
    assert everything(other) == everything(file)
    assert migrate(other, to).is_proved


def test_the_history_of_a_lake_begins_when_the_migration_ends(
    file: Warehouse, lake: Warehouse
) -> None:
    migrate(file, lake)
    assert rows(lake, "select count(*) from lake.snapshots()") == [(1,)]
    [(begins,)] = rows(lake, "select min(snapshot_time) from lake.snapshots()")
    at_its_beginning = f"from candles at (timestamp => '{begins}') order by all"
    assert rows(lake, at_its_beginning) == rows(file, "from candles order by all")


def test_a_migration_that_is_killed_goes_on_and_nothing_is_twice(
    file: Warehouse, lake: Warehouse, tmp_path: Path
) -> None:
    place = lake.location
    assert isinstance(place, Lake)
    env = os.environ | variables_of(place) | {"DERIBIT_ENV": "sandbox"}
    migrating = [sys.executable, "-c", _DIES]
    arguments = ["migrate-warehouse", str(file.location)]
    days = []
    for number in (9, 8):  # of six in each piece
        killed = subprocess.run(
            [*migrating, str(number), *arguments], env=env, cwd=tmp_path, capture_output=True,
            check=False,
        )  # fmt: skip
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        days.append(verify(lake).days)
        assert verify(lake).findings == []
    assert days == [2, 4]
    done = subprocess.run(
        [*migrating, "-1", *arguments], env=env, cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert everything(lake) == everything(file)


@pytest.mark.parametrize("place", ["to", "lake"])
def test_what_has_come_since_is_brought_by_the_same_command(
    file: Warehouse, request: pytest.FixtureRequest, place: str
) -> None:
    to = request.getfixturevalue(place)
    migrate(file, to)
    later = datetime(2024, 5, 1, tzinfo=UTC)
    gap_requested_again = fetched(FIRST + timedelta(days=3), absent=(3, 4))
    write(
        file, replace(fetched(price=0.75), as_of=later), replace(gap_requested_again, as_of=later)
    )
    write(file, fetched(FIRST + timedelta(days=5)))
    brought = migrate(file, to)
    assert (brought.is_proved, brought.days) == (True, 3)
    assert everything(to) == everything(file)


def test_what_the_other_holds_beyond_it_is_never_replaced(file: Warehouse, to: Warehouse) -> None:
    migrate(file, to)
    later = datetime(2024, 5, 1, tzinfo=UTC)
    write(to, replace(fetched(price=0.75), as_of=later))
    with pytest.raises(InputError, match="has something newer: BTC-PERPETUAL 1m 2024-01-01. No"):
        migrate(file, to)
    write(to, fetched(FIRST + timedelta(days=7)))
    with pytest.raises(InputError, match="BTC-PERPETUAL 1m 2024-01-01 and 1 more. Nothing was"):
        migrate(file, to)
    assert rows(to, "select min(close), count(*) from candles") == [(1 / 3, 6 * 1_440 - 2)]


def test_instruments_that_the_other_received_later_are_never_replaced(
    file: Warehouse, to: Warehouse
) -> None:
    def tell(warehouse: Warehouse, currency: str, hour: int) -> None:
        hold(warehouse, INSTRUMENTS, {"instrument_name": f"{currency}, told at {hour}"})
        with warehouse.writing() as connection:
            write_requested_at(connection, currency, datetime(2024, 5, 1, hour, tzinfo=UTC))

    tell(file, "BTC", 1)
    migrate(file, to)
    tell(to, "BTC", 3)
    returned = everything(to)
    for hour in (2, 3):  # before it, and when it was returned too
        with pytest.raises(InputError, match="has something newer: the instruments of BTC. Not"):
            migrate(file, to)
        assert everything(to) == returned
        tell(file, "BTC", hour)
    tell(to, "ETH", 1)
    with pytest.raises(InputError, match="newer: the instruments of ETH. Nothing was"):
        migrate(file, to)
    tell(file, "ETH", 2)
    assert migrate(file, to).is_proved
    assert everything(to) == everything(file)


def test_a_copy_whose_commit_fails_keeps_nothing_open(file: Warehouse, lake: Warehouse) -> None:
    place = lake.location
    assert isinstance(place, Lake)

    class Cutting(Warehouse):
        """Terminates the writing connections of the lake, but not those of its locks, between the
        copy and the commit."""

        @contextmanager
        def attached_to(self, connection: Connection) -> Iterator[None]:
            with super().attached_to(connection):
                yield
            requested(
                place.catalog,
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid() "
                "and pid not in (select pid from pg_locks where locktype = 'advisory')",
            )

    with lake.writing():
        pass
    source = Cutting(file.location, Environment.SANDBOX)
    once = warehouse_at(place, Environment.SANDBOX, patience=0)
    with pytest.raises(WarehouseError, match="cannot be reached"):
        copies.copy_days(source, once, DATASETS["candles_1m"], [Span(NAME, FIRST, FIRST)])
    assert rows(lake, "from duckdb_databases() where database_name = 'source'") == []
    assert rows(lake, "from candles") == []


def test_a_place_that_cannot_be_migrated_to_is_one_sentence(
    file: Warehouse, lake: Warehouse, postgres: Postgres, tmp_path: Path
) -> None:
    linked = tmp_path / "link.duckdb"
    linked.symlink_to(file.location)
    with lake.writing():  # its location has no files yet that identify the lake
        pass
    place = lake.location
    assert isinstance(place, Lake)
    nowhere = warehouse_at(tmp_path / "nowhere.duckdb", Environment.SANDBOX)
    spelled = Lake(in_pairs(place.catalog), place.data)
    assert spelled != place
    beside = warehouse_at(Lake(postgres.database(), place.data), Environment.SANDBOX)
    for source, target, sentence in (
        (nowhere, lake, "nowhere.duckdb does not exist: there is nothing to migrate"),
        (file, warehouse_at(linked, Environment.SANDBOX), "is the warehouse itself"),
        (lake, warehouse_at(spelled, Environment.SANDBOX), "is the warehouse itself"),
        (lake, beside, "each lake needs a place of its own"),
    ):
        with pytest.raises(InputError, match=sentence):
            migrate(source, target)


def test_a_warehouse_of_another_environment_is_not_migrated(file: Warehouse, to: Warehouse) -> None:
    with warehouse_at(to.location, Environment.TESTNET).writing():
        pass
    for places in ((file, to), (to, file)):
        with pytest.raises(WarehouseUnusable, match="is the warehouse of testnet"):
            migrate(*places)


def test_an_older_version_is_left_as_it_is(file: Warehouse, lake: Warehouse) -> None:
    with file.writing() as connection:
        forget_datasets(connection)
        connection.execute("update warehouse_info set schema_version = 1")
    before = file.location.read_bytes()
    with pytest.raises(WarehouseUnusable, match="has version 1 of the tables, and a migration"):
        migrate(file, lake)
    assert file.location.read_bytes() == before
    assert not lake.exists()


@pytest.mark.parametrize(
    ("corrupt", "line"),
    [
        ("update candles set close = close + 1 where opened_at = '2024-04-08 00:00:00+00'",
         "BTC-PERPETUAL 1m 2024-04-08: "),
        ("delete from trades where trade_seq = (select max(trade_seq) from trades)",
         "BTC-PERPETUAL trades 2024-04-09: "),
        ("delete from candles_rebuilt", "candles_rebuilt has 0 rows in "),
    ],
)  # fmt: skip
def test_what_differs_afterwards_is_named(
    command: Command, full: Warehouse, to: Warehouse, corrupt: str, line: str
) -> None:
    assert command("migrate-warehouse", "w.duckdb", "to.duckdb")[0] == 0
    with to.writing() as connection:
        connection.execute(corrupt)
    code, out, err = command("migrate-warehouse", "w.duckdb", "to.duckdb")
    assert code == 1
    assert any(output.startswith(line) for output in out.splitlines()), out
    assert err.splitlines()[-1].startswith("0 days with 0 rows copied to to.duckdb, ")


def test_the_command_says_what_was_copied_and_never_a_password(
    command: Command,
    file: Warehouse,
    lake: Warehouse,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = lake.location
    assert isinstance(place, Lake)
    named = parse_dsn(place.catalog)
    with file.reading() as connection:
        days = len(held_days(connection))
    code, out, err = command(
        "migrate-warehouse", "w.duckdb", LAKE + place.catalog, "--to-data", place.data
    )
    assert (code, out) == (0, "")
    lines = err.splitlines()
    assert lines[0].startswith(f"{days} of {days} days copied, ")
    assert lines[-1].endswith("s; 0 differences.")
    output = [err]
    for name, value in named.items():  # as the guide recommends
        monkeypatch.setenv(f"PG{'DATABASE' if name == 'dbname' else name.upper()}", value)
    monkeypatch.setenv("DERIBIT_WAREHOUSE", LAKE)
    monkeypatch.setenv("DERIBIT_WAREHOUSE_DATA", place.data)
    for arguments, expected in (
        (["w.duckdb"], 0),
        ([LAKE, "back.duckdb"], 0),
        (["w.duckdb", *f"{LAKE}{in_pairs(place.catalog)}".split()], 2),
        ([LAKE + place.catalog.replace("test_", "no_"), "x.duckdb"], 2),
        (["w.duckdb", "x.duckdb", "--to-data", "somewhere"], 2),
    ):
        code, out, err = command("migrate-warehouse", *arguments)
        assert (code, out) == (expected, ""), err
        output.append(err)
    assert postgres.PASSWORD not in "".join(output)
