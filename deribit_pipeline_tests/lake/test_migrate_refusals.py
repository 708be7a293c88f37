"""What a migration refuses, leaves as it is and names."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg2.extensions import parse_dsn

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import LAKE, Lake
from deribit_pipeline.engine import copies
from deribit_pipeline.engine.copies import Span, held_days
from deribit_pipeline.engine.migration import migrate
from deribit_pipeline.errors import InputError, WarehouseError, WarehouseUnusable
from deribit_pipeline.instruments.history import write_requested_at
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse.instrument_tables import INSTRUMENTS
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.command_line import Command
from deribit_pipeline_tests.helpers.inserted_rows import hold
from deribit_pipeline_tests.helpers.lakes import requested
from deribit_pipeline_tests.helpers.migrated_warehouses import (
    command,
    file,
    full,
    in_pairs,
    lake,
    to,
    whole,
)
from deribit_pipeline_tests.helpers.servers import Postgres
from deribit_pipeline_tests.helpers.written_warehouse import (
    FIRST,
    NAME,
    everything,
    fetched,
    forget_datasets,
    rows,
    write,
)

__all__ = ["command", "file", "full", "lake", "to", "whole"]  # fixtures


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
    def add_listing(warehouse: Warehouse, currency: str, hour: int) -> None:
        hold(warehouse, INSTRUMENTS, {"instrument_name": f"{currency}, listed at {hour}"})
        with warehouse.writing() as connection:
            write_requested_at(connection, currency, datetime(2024, 5, 1, hour, tzinfo=UTC))

    add_listing(file, "BTC", 1)
    migrate(file, to)
    add_listing(to, "BTC", 3)
    returned = everything(to)
    for hour in (2, 3):  # before it, and when it was returned too
        with pytest.raises(InputError, match="has something newer: the instruments of BTC. Not"):
            migrate(file, to)
        assert everything(to) == returned
        add_listing(file, "BTC", hour)
    add_listing(to, "ETH", 1)
    with pytest.raises(InputError, match="newer: the instruments of ETH. Nothing was"):
        migrate(file, to)
    add_listing(file, "ETH", 2)
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


CORRUPTED = {
    "update candles set close = close + 1 where opened_at = '2024-04-08 00:00:00+00'": (
        "BTC-PERPETUAL 1m 2024-04-08: "
    ),
    "delete from trades where trade_seq = (select max(trade_seq) from trades)": (
        "BTC-PERPETUAL trades 2024-04-09: "
    ),
    "delete from candles_rebuilt": "candles_rebuilt has 0 rows in ",
}
"""Changes of the other warehouse, and the beginning of the line that names each."""


@pytest.mark.lake
def test_what_differs_afterwards_is_named(command: Command, full: Warehouse, to: Warehouse) -> None:
    assert command("migrate-warehouse", "w.duckdb", "to.duckdb")[0] == 0
    with to.writing() as connection:
        for statement in CORRUPTED:
            connection.execute(statement)
    code, out, err = command("migrate-warehouse", "w.duckdb", "to.duckdb")
    assert code == 1
    for line in CORRUPTED.values():
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
