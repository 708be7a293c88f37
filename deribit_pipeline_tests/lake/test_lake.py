"""A lake with many writers: each day is stored once, whatever happens to PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Barrier, Event
from time import sleep

import pytest

from deribit_pipeline.datasets.registry import ROW_DATASETS
from deribit_pipeline.domain.location import Lake
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.errors import LakeAway, WarehouseError
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import in_a_lake
from deribit_pipeline_tests.helpers.dataset_rows import assert_read_as_written
from deribit_pipeline_tests.helpers.lake_days import (
    HELD,
    assert_each_is_held_once,
    day,
    hold,
    write,
)
from deribit_pipeline_tests.helpers.lakes import by_hand, cut_locks, requested
from deribit_pipeline_tests.helpers.pipeline import CHART, Pipeline
from deribit_pipeline_tests.helpers.servers import Postgres
from deribit_pipeline_tests.helpers.written_warehouse import NAME, rows

DAYS = date(2024, 1, 1), date(2024, 2, 29)
pytestmark = in_a_lake


@pytest.fixture
def made(warehouse: Warehouse) -> Warehouse:
    """An existing, empty lake."""
    with warehouse.writing():
        pass
    return warehouse


def test_two_who_write_the_same_day_at_once_hold_and_prove_it_once(made: Warehouse) -> None:
    ready = Barrier(2)

    def write_it(_: int) -> None:
        ready.wait()
        hold(made, day(0), day(1))

    with ThreadPoolExecutor() as pool:
        list(pool.map(write_it, range(2)))
    assert_each_is_held_once(made, 2)
    assert rows(made, "from candle_revisions") == []


def test_who_rewrites_beside_many_who_add_leaves_each_day_once(made: Warehouse) -> None:
    hold(made, day(0, "REVISED"))

    def add(name: str) -> None:
        for number in range(6):
            hold(made, day(number, name))

    def revise() -> None:
        for number in range(1, 5):
            returned = day(0, "REVISED", price=number / 7)
            hold(made, replace(returned, as_of=returned.as_of + timedelta(days=number)))

    with ThreadPoolExecutor() as pool:
        work = [pool.submit(add, name) for name in ("A", "B", "C")] + [pool.submit(revise)]
        for future in work:
            future.result(120)
    assert_each_is_held_once(made, 19)
    assert rows(made, "select count(*) from candle_revisions") == [(4 * 1_440,)]


def test_a_lock_that_is_cut_before_the_commit_undoes_what_was_written(
    made: Warehouse, lake: Lake
) -> None:
    def half() -> None:
        with made.writing() as connection:
            write(connection, day(0))
            cut_locks(lake.catalog)

    with pytest.raises(LakeAway):
        half()
    assert rows(made, "from candles") == []


def test_what_was_undone_is_written_again_once(made: Warehouse, lake: Lake) -> None:
    attempts = []

    def change(connection: Connection) -> None:
        attempts.append(rows(made, HELD))
        write(connection, day(0))
        if len(attempts) == 1:
            cut_locks(lake.catalog)

    made.write(change, {NAME})
    assert attempts == [[(0, 0)], [(0, 0)]]
    assert_each_is_held_once(made, 1)


def test_whoever_changes_the_lake_by_hand_meanwhile_is_not_overwritten(
    made: Warehouse, lake: Lake
) -> None:
    """A client without locks deletes the rows that are being replaced, and commits first."""
    hold(made, day(0), day(1))
    attempts = []

    def change(connection: Connection) -> None:
        attempts.append(rows(made, HELD))
        write(connection, day(0, price=0.5))
        if len(attempts) == 1:
            with by_hand(lake) as theirs:
                theirs.execute("delete from candles where opened_at < '2024-01-01 12:00:00+00'")

    def replacing() -> None:
        with made.writing() as connection:
            change(connection)

    with pytest.raises(WarehouseError, match="was being written by others too"):
        replacing()
    assert rows(made, HELD) == [(2_160, 2_160)]
    made.write(change, {NAME})
    assert_each_is_held_once(made, 2)


def test_postgres_that_is_killed_before_a_commit_and_starts_again_loses_nothing_and_holds_all_once(
    made: Warehouse, postgres: Postgres
) -> None:
    hold(made, day(0))
    attempts = []

    def change(connection: Connection) -> None:
        attempts.append(1)
        write(connection, day(1), day(2))
        if len(attempts) == 1:
            postgres.kill()
            postgres.start()

    made.write(change, {NAME})
    assert len(attempts) == 2
    assert_each_is_held_once(made, 3)


def test_postgres_that_dies_while_it_is_read_is_one_sentence_and_then_read_again(
    made: Warehouse, postgres: Postgres
) -> None:
    hold(made, day(0))

    def read() -> None:
        with made.reading() as connection:
            assert connection.execute(HELD).fetchall() == [(1_440, 1_440)]
            postgres.kill()
            connection.execute("select count(*), sum(open) from candles").fetchall()

    with pytest.raises(LakeAway, match=r"cannot be reached \(.*\): check that its PostgreSQL runs"):
        read()
    postgres.start()
    assert rows(made, HELD) == [(1_440, 1_440)]


@pytest.fixture
def outage(
    sandbox: SandboxExchange, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Event]:
    """Kills PostgreSQL in the middle of a backfill, and restarts it once the event is set."""
    answer, has_come, is_short = sandbox.answer, Event(), Event()

    def killing(
        method: str, params: dict[str, str], token: str | None = None, **host: bool
    ) -> Reply:
        if method == CHART and sandbox.requests[CHART] == 8:
            has_come.set()
            postgres.kill()
            if is_short.is_set():
                postgres.start()
        return answer(method, params, token, **host)

    monkeypatch.setattr(sandbox, "answer", killing)
    yield is_short
    postgres.start()
    assert has_come.is_set()


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
    pipeline.warehouse = warehouse_at(warehouse.location, warehouse.environment, patience=0.5)
    outcome = pipeline.backfill(*DAYS)
    [reason] = set(outcome.failures.values())
    assert "cannot be reached" in reason
    assert len(outcome.proofs) + len(outcome.failures) == 60
    postgres.start()
    again = pipeline.backfill(*DAYS)
    assert (len(again.proofs), again.failures) == (60, {})
    verification = verify(warehouse)
    assert (verification.days, verification.findings) == (60, [])


def test_a_worker_that_begins_while_postgres_is_away_waits_for_it(
    warehouse: Warehouse, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    postgres.kill()
    with ThreadPoolExecutor(1) as worker:
        written = worker.submit(hold, warehouse, day(0))
        while "Retrying: " not in caplog.text:
            assert not written.done()
            sleep(0.01)
        postgres.start()
        written.result()
    assert_each_is_held_once(warehouse, 1)


def test_rows_of_every_dataset_are_read_as_they_were_written(made: Warehouse) -> None:
    for dataset in ROW_DATASETS:
        assert_read_as_written(made, dataset)
    assert verify(made).findings == []


def test_moments_of_any_century_come_back(made: Warehouse) -> None:
    moments = [datetime(year, 1, 2, 3, 4, 5, 6, tzinfo=UTC) for year in (1900, 1969, 2300, 9999)]
    with made.writing() as connection:
        connection.executemany(
            "insert into instrument_lists values ('BTC', $1)", [[moment] for moment in moments]
        )
    assert rows(made, "select asked_at from instrument_lists order by 1") == [
        (moment,) for moment in moments
    ]


def test_what_other_programs_keep_in_the_same_database_is_left_alone(
    warehouse: Warehouse, database: str
) -> None:
    requested(database, "create table runs (id int)")
    requested(database, "insert into runs values (7)")
    hold(warehouse, day(0))
    assert_each_is_held_once(warehouse, 1)
    assert requested(database, "select id from runs") == [(7,)]
