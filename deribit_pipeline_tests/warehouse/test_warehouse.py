"""A warehouse: days are stored completely or not at all, in one environment and schema version,
and never in another program's file."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest

from deribit_pipeline.datasets.candles import reads
from deribit_pipeline.domain.candles import Candles
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.windows import day_window
from deribit_pipeline.engine.day_writes import write_days
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.errors import WarehouseError, WarehouseUnusable
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse import schema
from deribit_pipeline.warehouse.warehouse import Warehouse, migrate
from deribit_pipeline_tests.conftest import every_store
from deribit_pipeline_tests.helpers.written_warehouse import (
    DATASET,
    FIRST,
    FROM,
    MINUTES,
    NAME,
    everything,
    fetched,
    file,
    forget_datasets,
    rows,
    write,
)

__all__ = ["file"]  # a fixture


@every_store
def test_what_is_written_is_read_to_the_last_bit(file: Warehouse) -> None:
    [day] = write(file, fetched())
    with file.reading() as connection:
        assert proofs_of(connection, DATASET) == [day.proof]
        held = reads.candles(connection, NAME, MINUTES, day_window(FIRST))
    assert np.array_equal(held.opened_at, day.rows["opened_at"])
    assert np.array_equal(held.values, Candles.of(day.rows).values)


@every_store
def test_the_same_day_twice_changes_nothing(file: Warehouse) -> None:
    write(file, fetched())
    before = everything(file)
    write(file, replace(fetched(), as_of=datetime(2024, 3, 1, tzinfo=UTC)))
    assert everything(file) == before


@every_store
def test_a_changed_candle_is_kept_as_a_revision(file: Warehouse) -> None:
    write(file, fetched())
    changed, later = fetched(), datetime(2024, 3, 1, tzinfo=UTC)
    changed.rows["volume_base"][7] = 2.5
    write(file, replace(changed, as_of=later))
    [revision] = rows(
        file, "select opened_at, volume_base, held_from, replaced_at, run_id from candle_revisions"
    )
    opened_at = day_window(FIRST).start + timedelta(minutes=7)
    assert revision == (opened_at, 1 / 3, datetime(2024, 2, 1, tzinfo=UTC), later, "run-1")
    assert rows(file, "select volume_base from candles where volume_base > 1") == [(2.5,)]
    assert rows(file, "select revised, fetched_at from candle_days") == [(1, later)]

    changed.rows["volume_base"][7] = 3.5
    write(file, replace(changed, as_of=later + timedelta(days=1)))
    assert rows(
        file, "select volume_base, held_from from candle_revisions order by replaced_at"
    ) == [
        (1 / 3, datetime(2024, 2, 1, tzinfo=UTC)),
        (2.5, later),
    ]
    assert rows(file, "select revised from candle_days") == [(2,)]


@every_store
def test_gaps_are_named_confirmed_and_closed(file: Warehouse) -> None:
    write(file, fetched(absent=(3, 4)))
    query = "select minute(opened_at), confirmed, confirmed_at from candle_gaps order by all"
    february, march = datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)
    assert rows(file, query) == [(3, 1, february), (4, 1, february)]
    assert rows(file, "select state, missing from candle_days") == [("gapped", 2)]
    assert rows(file, "from complete_candles") == []

    write(file, replace(fetched(absent=(3,)), as_of=march))
    assert rows(file, query) == [(3, 2, march)]

    write(file, fetched())
    assert rows(file, query) == []
    assert rows(file, "select state, missing from candle_days") == [("complete", 0)]
    assert len(rows(file, "from complete_candles")) == 1_440


@every_store
def test_a_transaction_that_fails_leaves_nothing(file: Warehouse) -> None:
    write(file, fetched())
    before = everything(file)

    def half() -> None:
        with file.writing() as connection:
            write_days(
                connection, DATASET, [prove(DATASET, fetched(FIRST + timedelta(days=1)))], FROM
            )
            connection.execute("select * from nothing")

    with pytest.raises(WarehouseError, match="nothing does not exist"):
        half()
    assert everything(file) == before


def test_a_file_that_does_not_exist_reads_as_empty_and_is_not_made(file: Warehouse) -> None:
    assert rows(file, "from candles") == []
    file.check()
    assert not file.location.parent.parent.joinpath("deep").exists()


@pytest.mark.parametrize(
    "content", [b"not a database at all, and longer than a header " * 200, b"x"]
)
def test_a_file_that_is_no_database_is_one_sentence(file: Warehouse, content: bytes) -> None:
    file.location.parent.mkdir(parents=True)
    file.location.write_bytes(content)
    with pytest.raises(WarehouseUnusable, match="cannot be opened as a DuckDB file") as caught:
        file.check()
    assert "\n" not in str(caught.value)
    assert file.location.read_bytes() == content


def test_a_database_of_another_program_is_left_alone(file: Warehouse) -> None:
    file.location.parent.mkdir(parents=True)
    with duckdb.connect(str(file.location)) as connection:
        connection.execute("create table theirs (a integer)")
    with pytest.raises(WarehouseUnusable, match="a database of another program"), file.writing():
        pass


@every_store
def test_a_warehouse_of_another_environment_is_refused(file: Warehouse) -> None:
    write(file, fetched())
    other = warehouse_at(file.location, Environment.MAINNET)
    with pytest.raises(
        WarehouseUnusable, match="the warehouse of sandbox, and DERIBIT_ENV is mainnet"
    ):
        other.check()


@every_store
def test_a_newer_version_is_refused(file: Warehouse) -> None:
    with file.writing() as connection:
        connection.execute("update warehouse_info set schema_version = 99")
    with pytest.raises(WarehouseUnusable, match="version 99 .* upgrade deribit-pipeline"):
        file.check()


@every_store
def test_an_older_version_is_migrated_in_place_step_by_step(file: Warehouse) -> None:
    write(file, fetched())
    migrations = {
        9: (
            "alter table candle_days add column doubled integer",
            "update candle_days set doubled = 2 * extra",
        ),
        8: ("alter table candle_days add column extra integer default 21",),
        7: ("select * from a_step_of_the_past",),
    }
    with file.writing() as connection:
        migrate(connection, 7, migrations)
        assert connection.execute("select doubled from candle_days").fetchall() == [(42,)]
        assert connection.execute("select schema_version from warehouse_info").fetchall() == [(9,)]


@every_store
def test_a_warehouse_of_version_1_learns_since_when_it_holds_what(file: Warehouse) -> None:
    write(file, fetched(absent=(3, 4)), fetched(FIRST + timedelta(days=1)))
    with file.writing() as connection:
        forget_datasets(connection)
        connection.execute("update warehouse_info set schema_version = 1")
    query = (
        "select day, epoch(first_opened_at) // 60 % 1440, epoch(last_opened_at) // 60 % 1440, "
        "arrived_at from candle_arrivals order by all"
    )
    second = FIRST + timedelta(days=1)
    came = datetime(2024, 2, 1, tzinfo=UTC)
    assert rows(file, query) == [
        (FIRST, 0, 2, came), (FIRST, 5, 1_439, came), (second, 0, 1_439, came)
    ]  # fmt: skip
    write(file, replace(fetched(), as_of=came + timedelta(days=1)))
    assert rows(file, "select count(*) from candles_as_of('2024-02-01 00:00:00+00')") == [(2_878,)]
    assert rows(file, "select count(*) from candles_as_of('2024-02-02 00:00:00+00')") == [(2_880,)]


@every_store
@pytest.mark.parametrize("version", [2, 3])
def test_a_warehouse_of_a_version_that_was_never_released_is_refused(
    file: Warehouse, version: int
) -> None:
    write(file, fetched())
    with file.writing() as connection:
        connection.execute(f"update warehouse_info set schema_version = {version}")
    with pytest.raises(WarehouseUnusable, match=f"has version {version} of the tables, which no"):
        rows(file, "select 1")


@every_store
def test_an_older_file_is_brought_to_the_tables_of_a_new_one(file: Warehouse) -> None:
    columns = (
        "select table_name, column_name, data_type, is_nullable from duckdb_columns() order by all"
    )
    write(file, fetched())
    made = rows(file, columns)
    with file.writing() as connection:
        forget_datasets(connection)
        connection.execute("update warehouse_info set schema_version = 1")
    assert rows(file, columns) == made


@every_store
def test_the_table_is_given_as_it_was_known_at_a_moment(file: Warehouse) -> None:
    """A filled gap, and a candle revised twice: the result depends on the moment."""
    moments = [datetime(2024, 2, number, tzinfo=UTC) for number in range(1, 6)]
    returned: dict[datetime, Candles] = {moments[0]: Candles.none()}
    for number, (moment, absent, volume) in enumerate(
        zip(moments[1:], [(3, 4), (4,), (), ()], [1.0, 1.0, 2.0, 3.0], strict=True)
    ):
        day = replace(fetched(absent=absent), as_of=moment - timedelta(hours=1))
        day.rows["volume_base"][-1] = volume
        write(file, day)
        returned[moment] = Candles.of(day.rows)
        assert rows(file, "select revised from candle_days") == [(max(0, number - 1),)]
    assert rows(file, "select count(*) from candle_revisions") == [(2,)]
    for moment, candles in returned.items():
        query = f"select epoch_ms(opened_at), volume_base from candles_as_of('{moment}') order by 1"
        opened_at = candles.opened_at.astype(np.int64)
        volumes = candles.values[:, 4]
        assert rows(file, query) == list(zip(opened_at.tolist(), volumes.tolist(), strict=True))


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/dev/null/nowhere"])
def test_a_folder_that_cannot_be_written_is_one_sentence(folder: str) -> None:
    file = Warehouse(Path(folder) / "w.duckdb", Environment.SANDBOX)
    with pytest.raises(WarehouseUnusable, match="cannot be (written|made)"):
        file.check()


def test_another_process_is_waited_for_and_then_named(file: Warehouse) -> None:
    write(file, fetched())
    holding = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(file.location)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdin
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(
            WarehouseError,
            match=rf"was held for .*another process \(PID {other.pid}, .*Close it there",
        ):
            rows(file, "from candles")
        other.stdin.close()
    assert len(rows(file, "from candles")) == 1_440


@every_store
def test_every_column_and_table_says_what_it_holds(file: Warehouse) -> None:
    with file.writing():
        pass
    commented = dict(rows(file, "select table_name, comment from duckdb_tables()"))
    assert commented.keys() == {table.name for table in schema.TABLES}
    assert all(commented.values())
    assert rows(file, "select table_name, column_name from duckdb_columns() "
                "where not internal and comment is null and table_name not in "
                "(select view_name from duckdb_views())") == []  # fmt: skip
    units = rows(
        file,
        "select column_name, comment from duckdb_columns() where table_name = 'candles' "
        "and column_name in ('volume_base', 'volume_quote')",
    )
    assert dict(units) == {
        "volume_base": "Amount traded: the exchange's `volume`. [base currency]",
        "volume_quote": "Value traded: the exchange's `cost`. [quote currency]",
    }


CONTRACT = {
    "candles": "instrument_name resolution opened_at open high low close volume_base volume_quote",
    "candle_days": "instrument_name resolution day state expected received missing without_trades "
    "content_hash revised fetched_at environment source run_id verdict cross_check proof_hash",
    "candle_gaps": "instrument_name resolution opened_at confirmed confirmed_at",
    "candle_revisions": "instrument_name resolution opened_at open high low close volume_base "
    "volume_quote held_from replaced_at run_id",
    "complete_candles": "instrument_name resolution opened_at open high low close volume_base "
    "volume_quote",
}


@pytest.mark.parametrize(("name", "columns"), CONTRACT.items())
def test_tables_have_the_columns_that_others_rely_on(
    file: Warehouse, name: str, columns: str
) -> None:
    with file.reading() as connection:
        described = connection.execute(f"describe {name}").fetchall()
    assert [column[0] for column in described] == columns.split()
    types = {column[0]: column[1] for column in described}
    assert types.get("opened_at", "TIMESTAMP WITH TIME ZONE") == "TIMESTAMP WITH TIME ZONE"
    assert types.get("day", "DATE") == "DATE"
