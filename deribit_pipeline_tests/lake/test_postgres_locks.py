"""Locks on a lake in PostgreSQL: one writer per series, exclusive rewrites, and dead workers."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from deribit_pipeline.domain.location import Lake
from deribit_pipeline.errors import LakeAway, WarehouseError
from deribit_pipeline.lake import postgres_locks as locking
from deribit_pipeline.lake.postgres_locks import PostgresLocks
from deribit_pipeline_tests.helpers.lakes import cut_locks, requested
from deribit_pipeline_tests.helpers.lakes import locks as locks_of
from deribit_pipeline_tests.helpers.servers import Postgres

Lock = AbstractContextManager[Callable[[], None]]


@pytest.fixture(autouse=True)
def _looks_up_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the second between two polls of a waiting process."""
    monkeypatch.setattr(locking, "_OPTIONS", "-c lock_timeout=50ms")


@pytest.fixture
def given_up() -> threading.Event:
    return threading.Event()


@pytest.fixture
def locks(lake: Lake, given_up: threading.Event) -> PostgresLocks:
    return PostgresLocks(lake, 60.0, given_up)


class Workers:
    """Workers in threads, which record the order in which they get their locks."""

    def __init__(self, lake: Lake, pool: ThreadPoolExecutor) -> None:
        self._lake, self._pool = lake, pool
        self.entered: list[str] = []
        self._leave: dict[str, threading.Event] = {}

    def start(self, name: str, lock: Lock) -> Future[None]:
        leave = self._leave[name] = threading.Event()

        def work() -> None:
            with lock:
                self.entered.append(name)
                leave.wait(60)

        return self._pool.submit(work)

    def leave(self, *names: str) -> None:
        for name in names:
            self._leave[name].set()

    def wait_until(self, entered: int, waiting: int = 0) -> None:
        """Wait until this many workers hold their lock and this many wait for one."""
        self._until(
            lambda: (
                (len(self.entered), len(locks_of(self._lake.catalog, granted=False)))
                == (entered, waiting)
            )
        )

    def wait_until_they_look_up(self, waiting: int) -> None:
        """Wait until this many workers wait for a lock and all have polled since the call."""
        catalog = self._lake.catalog
        [(now,)] = requested(catalog, "select clock_timestamp()")
        since = "select count(*) from pg_stat_activity where pid = any(%s) and query_start > %s"
        self._until(
            lambda: requested(catalog, since, locks_of(catalog, granted=False), now) == [(waiting,)]
        )

    def _until(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not happened():
            assert time.monotonic() < deadline, self.entered
            time.sleep(0.01)


@pytest.fixture
def workers(lake: Lake) -> Iterator[Workers]:
    with ThreadPoolExecutor() as pool:
        workers = Workers(lake, pool)
        yield workers
        workers.leave(*workers._leave)


def test_a_series_is_written_by_one_at_a_time_and_others_beside_it(
    locks: PostgresLocks, workers: Workers
) -> None:
    workers.start("BTC", locks.beside(["BTC-PERPETUAL"]))
    workers.wait_until(entered=1)
    workers.start("BTC again", locks.beside(["BTC-PERPETUAL"]))
    workers.start("ETH", locks.beside(["ETH-PERPETUAL"]))
    workers.wait_until(entered=2, waiting=1)
    assert workers.entered == ["BTC", "ETH"]
    workers.leave("BTC")
    workers.wait_until(entered=3)


def test_workers_of_the_same_series_never_wait_for_each_other_in_a_ring(
    locks: PostgresLocks, workers: Workers
) -> None:
    names = [f"series {number}" for number in range(20)]
    orders = (names, names[::-1], names[10:] + names[:10])
    workers.start("first", locks.beside(["series 10"]))
    workers.wait_until(entered=1)
    futures = [
        workers.start(str(number), locks.beside(order)) for number, order in enumerate(orders)
    ]
    workers.wait_until(entered=1, waiting=3)  # each in its order, until it has to wait
    workers.leave("first", "0", "1", "2")
    for future in futures:
        future.result(60)
    assert len(workers.entered) == 4


def test_whoever_rewrites_waits_for_those_inside_and_comes_before_those_who_come_later(
    locks: PostgresLocks, workers: Workers
) -> None:
    workers.start("first", locks.beside(["BTC-PERPETUAL"]))
    workers.wait_until(entered=1)
    workers.start("alone", locks.alone())
    workers.wait_until(entered=1, waiting=1)
    workers.start("later", locks.beside(["ETH-PERPETUAL"]))
    workers.wait_until(entered=1, waiting=2)
    workers.wait_until_they_look_up(waiting=2)
    workers.leave("first")
    workers.wait_until(entered=2, waiting=1)
    workers.leave("alone")
    workers.wait_until(entered=3)
    assert workers.entered == ["first", "alone", "later"]


def test_the_lock_of_a_killed_worker_is_free_at_once(lake: Lake, locks: PostgresLocks) -> None:
    holding = (
        "import sys, threading; from deribit_pipeline.domain.location import Lake;"
        "from deribit_pipeline.lake.postgres_locks import PostgresLocks\n"
        "with PostgresLocks(Lake(sys.argv[1], '/'), 60, threading.Event()).alone():\n"
        "    print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, lake.catalog], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == b"held\n"
        worker.kill()
        worker.wait()
        with locks.alone():
            pass


def test_a_lock_that_was_cut_is_not_taken_for_held(lake: Lake, locks: PostgresLocks) -> None:
    def work() -> None:
        with locks.alone() as require_held:
            require_held()
            cut_locks(lake.catalog)
            require_held()

    with pytest.raises(LakeAway, match="cannot be reached"):
        work()


def test_patience_with_other_workers_ends_in_one_sentence(lake: Lake, locks: PostgresLocks) -> None:
    impatient = PostgresLocks(lake, 0.0, threading.Event())
    with (
        locks.alone(),
        pytest.raises(WarehouseError, match="was held by other workers for 0 s") as caught,
        impatient.beside(["BTC-PERPETUAL"]),
    ):
        pass
    assert lake.catalog not in str(caught.value)


def test_whoever_is_to_end_waits_no_longer(
    locks: PostgresLocks, given_up: threading.Event, lake: Lake, workers: Workers
) -> None:
    with PostgresLocks(lake, 60.0, threading.Event()).alone():
        waiting = workers.start("waiting", locks.alone())
        workers.wait_until(entered=0, waiting=1)
        given_up.set()
        with pytest.raises(WarehouseError, match="was held by other workers"):
            waiting.result(30)


def test_the_lakes_of_two_databases_have_nothing_to_do_with_each_other(
    lake: Lake, locks: PostgresLocks, postgres: Postgres
) -> None:
    elsewhere = Lake(postgres.database(), "/nowhere/")
    other = PostgresLocks(elsewhere, 0.0, threading.Event())
    with locks.alone(), other.alone():
        # Each has two locks: of its lake, and of the gate to it.
        for catalog in (lake.catalog, elsewhere.catalog):
            assert len(locks_of(catalog, granted=True)) == 2
            assert locks_of(catalog, granted=False) == []
