"""A lake: many write at once and each day is held once, whatever becomes of PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Barrier, Event

import pytest

from deribit_pipeline.datasets import ROW_DATASETS
from deribit_pipeline.domain import Environment
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.location import Lake, Location
from deribit_pipeline.operations.books import CandleBook
from deribit_pipeline.operations.verification import verify
from deribit_pipeline.planning.days import FetchedDay
from deribit_pipeline.planning.rows import FetchedRows, rows_hash
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.warehouse import datasets
from deribit_pipeline.warehouse.locks import LakeAway
from deribit_pipeline.warehouse.store import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.lakes import asked, by_hand, cut_locks
from deribit_pipeline_tests.pipeline import CHART, Pipeline
from deribit_pipeline_tests.servers import Postgres
from deribit_pipeline_tests.test_dataset_days import CAME, DAY, NAME, any_rows
from deribit_pipeline_tests.test_dataset_days import write as write_rows
from deribit_pipeline_tests.test_warehouse import FIRST, FROM, MINUTES, fetched, rows

DAYS = date(2024, 1, 1), date(2024, 2, 29)
HELD = "select count(*), count(distinct (instrument_name, opened_at)) from candles"


@pytest.fixture
def location(database: str, tmp_path: Path) -> Location:
    return Lake(database, f"{tmp_path}/lake/")


@pytest.fixture
def lake(location: Lake) -> Warehouse:
    """A lake that holds nothing yet."""
    lake = Warehouse(location, Environment.SANDBOX, patience=60)
    with lake.writing():
        pass
    return lake


def day(number: int, name: str = "BTC-PERPETUAL", price: float = 1 / 3) -> FetchedDay:
    """A day as it was fetched, on the word of two answers."""
    told = fetched(FIRST + timedelta(days=number), price=price)
    return replace(told, instrument_name=name, is_confirmed=True)


def write(connection: Connection, *days: FetchedDay) -> None:
    """Write days of one instrument as a backfill does."""
    CandleBook(MINUTES, lambda _: FROM, lambda: None).write(
        connection, "run-1", days[0].series, days
    )


def hold(lake: Warehouse, *days: FetchedDay) -> None:
    lake.write(lambda connection: write(connection, *days), {days[0].series})


def assert_each_is_held_once(lake: Warehouse, days: int) -> None:
    verification = verify(lake)
    assert (verification.days, verification.findings) == (days, [])
    assert rows(lake, HELD) == [(days * 1_440, days * 1_440)]


def test_two_who_write_the_same_day_at_once_hold_and_prove_it_once(lake: Warehouse) -> None:
    ready = Barrier(2)

    def write_it(_: int) -> None:
        ready.wait()
        hold(lake, day(0), day(1))

    with ThreadPoolExecutor() as pool:
        list(pool.map(write_it, range(2)))
    assert_each_is_held_once(lake, 2)
    assert rows(lake, "from candle_revisions") == []


def test_who_rewrites_beside_many_who_add_leaves_each_day_once(lake: Warehouse) -> None:
    hold(lake, day(0, "REVISED"))

    def add(name: str) -> None:
        for number in range(6):
            hold(lake, day(number, name))

    def revise() -> None:
        for number in range(1, 5):
            told = day(0, "REVISED", price=number / 7)
            hold(lake, replace(told, as_of=told.as_of + timedelta(days=number)))

    with ThreadPoolExecutor() as pool:
        work = [pool.submit(add, name) for name in ("A", "B", "C")] + [pool.submit(revise)]
        for future in work:
            future.result(120)
    assert_each_is_held_once(lake, 19)
    assert rows(lake, "select count(*) from candle_revisions") == [(4 * 1_440,)]


def test_a_lock_that_is_cut_before_the_commit_undoes_what_was_written(
    lake: Warehouse, location: Lake
) -> None:
    def half() -> None:
        with lake.writing() as connection:
            write(connection, day(0))
            cut_locks(location.catalog)

    with pytest.raises(LakeAway):
        half()
    assert rows(lake, "from candles") == []


def test_what_was_undone_is_written_again_once(lake: Warehouse, location: Lake) -> None:
    attempts = []

    def change(connection: Connection) -> None:
        attempts.append(rows(lake, HELD))
        write(connection, day(0))
        if len(attempts) == 1:
            cut_locks(location.catalog)

    lake.write(change, {NAME})
    assert attempts == [[(0, 0)], [(0, 0)]]
    assert_each_is_held_once(lake, 1)


def test_whoever_changes_the_lake_by_hand_meanwhile_is_not_overwritten(
    lake: Warehouse, location: Lake
) -> None:
    """Somebody who knows of no lock deletes what is being replaced: theirs goes first."""
    hold(lake, day(0), day(1))
    attempts = []

    def change(connection: Connection) -> None:
        attempts.append(rows(lake, HELD))
        write(connection, day(0, price=0.5))
        if len(attempts) == 1:
            with by_hand(location) as theirs:
                theirs.execute("delete from candles where opened_at < '2024-01-01 12:00:00+00'")

    def replacing() -> None:
        with lake.writing() as connection:
            change(connection)

    with pytest.raises(WarehouseError, match="was being written by others too"):
        replacing()
    assert rows(lake, HELD) == [(2_160, 2_160)]
    lake.write(change, {NAME})
    assert_each_is_held_once(lake, 2)


def test_postgres_that_is_killed_before_a_commit_and_starts_again_loses_nothing_and_holds_all_once(
    lake: Warehouse, postgres: Postgres
) -> None:
    hold(lake, day(0))
    attempts = []

    def change(connection: Connection) -> None:
        attempts.append(1)
        write(connection, day(1), day(2))
        if len(attempts) == 1:
            postgres.kill()
            postgres.start()

    lake.write(change, {NAME})
    assert len(attempts) == 2
    assert_each_is_held_once(lake, 3)


def test_postgres_that_dies_while_it_is_read_is_one_sentence_and_then_read_again(
    lake: Warehouse, postgres: Postgres
) -> None:
    hold(lake, day(0))

    def read() -> None:
        with lake.reading() as connection:
            assert connection.execute(HELD).fetchall() == [(1_440, 1_440)]
            postgres.kill()
            connection.execute("select count(*), sum(open) from candles").fetchall()

    with pytest.raises(LakeAway, match=r"cannot be reached \(.*\): see that its PostgreSQL runs"):
        read()
    postgres.start()
    assert rows(lake, HELD) == [(1_440, 1_440)]


@pytest.fixture
def outage(
    sandbox: SandboxExchange, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Event]:
    """PostgreSQL is killed in the middle of a backfill; once this is set, it starts again."""
    answer, is_short = sandbox.answer, Event()

    def killing(
        method: str, params: dict[str, str], token: str | None = None, **host: bool
    ) -> Reply:
        if method == CHART and sandbox.requests[CHART] == 8:
            postgres.kill()
            if is_short.is_set():
                postgres.start()
        return answer(method, params, token, **host)

    monkeypatch.setattr(sandbox, "answer", killing)
    yield is_short
    postgres.start()


def test_a_backfill_goes_on_when_postgres_was_killed_and_started_again(
    pipeline: Pipeline, warehouse: Warehouse, outage: Event
) -> None:
    outage.set()
    outcome = pipeline.backfill(*DAYS)
    assert (len(outcome.proofs), outcome.failures) == (60, {})
    verification = verify(warehouse)
    assert (verification.days, verification.findings) == (60, [])


def test_a_backfill_whose_postgres_stays_away_ends_and_the_same_again_completes_it(
    pipeline: Pipeline, warehouse: Warehouse, outage: Event, postgres: Postgres
) -> None:
    with warehouse.writing():
        pass
    pipeline.warehouse = Warehouse(warehouse.location, warehouse.environment, patience=0.5)
    outcome = pipeline.backfill(*DAYS)
    [reason] = set(outcome.failures.values())
    assert "cannot be reached" in reason
    assert len(outcome.proofs) + len(outcome.failures) == 60
    postgres.start()
    again = pipeline.backfill(*DAYS)
    assert (len(again.proofs), again.failures) == (60, {})
    verification = verify(warehouse)
    assert (verification.days, verification.findings) == (60, [])


def test_rows_of_every_dataset_are_read_as_they_were_written(lake: Warehouse) -> None:
    for dataset in ROW_DATASETS:
        told = any_rows(dataset, 1 if dataset.at == "delivery_date" else 50)
        assert write_rows(lake, FetchedRows(NAME, DAY, told, CAME), dataset=dataset) == []
        with lake.reading() as connection:
            again = datasets.rows_of(connection, dataset, NAME, DAY)
        assert list(again) == list(told)
        assert rows_hash(again) == rows_hash(told)
    assert verify(lake).findings == []


def test_moments_of_any_century_come_back(lake: Warehouse) -> None:
    moments = [datetime(year, 1, 2, 3, 4, 5, 6, tzinfo=UTC) for year in (1900, 1969, 2300, 9999)]
    with lake.writing() as connection:
        connection.executemany(
            "insert into instrument_lists values ('BTC', $1)", [[moment] for moment in moments]
        )
    assert rows(lake, "select asked_at from instrument_lists order by 1") == [
        (moment,) for moment in moments
    ]


def test_what_other_programs_keep_in_the_same_database_is_left_alone(
    database: str, location: Lake
) -> None:
    asked(database, "create table runs (id int)")
    asked(database, "insert into runs values (7)")
    lake = Warehouse(location, Environment.SANDBOX)
    hold(lake, day(0))
    assert_each_is_held_once(lake, 1)
    assert asked(database, "select id from runs") == [(7,)]
