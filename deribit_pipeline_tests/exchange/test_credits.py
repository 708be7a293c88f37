"""The rate limit is shared by all processes, in a file of the machine or in a database for
several machines."""

import asyncio
import multiprocessing
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest

from deribit_pipeline.errors import SettingsError
from deribit_pipeline.exchange.rate_limiter import (
    FileBucket,
    RateLimiter,
    RateLimitUnreachable,
    TokenBucket,
    file_bucket,
)
from deribit_pipeline.lake.shared_rate_limit import TABLE, shared_buckets
from deribit_pipeline.sandbox.limits import CreditPool
from deribit_pipeline_tests.helpers.slow_rate_limits import APART, pool_of, waits


class InFiles:
    """Token buckets in a folder, and their clock."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._now = folder, 1_000.0

    def bucket(self, pool: str = "calls") -> TokenBucket:
        return FileBucket(self._folder / pool, lambda: self._now)

    def corrupt(self, full_at: float) -> None:
        (self._folder / "calls").write_bytes(struct.pack("<d", full_at))

    def forward(self, seconds: float) -> None:
        self._now += seconds


class InADatabase:
    """Token buckets in a database, whose rows are set back to let time pass."""

    def __init__(self, database: str, stack: ExitStack) -> None:
        self._buckets = stack.enter_context(shared_buckets(database))
        self._connection = stack.enter_context(closing(psycopg2.connect(database)))
        self._connection.autocommit = True

    def bucket(self, pool: str = "calls") -> TokenBucket:
        return self._buckets("an exchange", pool)

    def corrupt(self, full_at: float) -> None:
        self._execute("full_at = to_timestamp(%s)", full_at)

    def forward(self, seconds: float) -> None:
        self._execute("full_at = full_at - make_interval(secs => %s)", seconds)

    def _execute(self, change: str, value: float) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(f"update {TABLE} set {change}", [value])


Place = InFiles | InADatabase


@pytest.fixture(params=["files", pytest.param("a database", marks=pytest.mark.lake)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "files":
        yield InFiles(tmp_path)
        return
    with ExitStack() as stack:
        yield InADatabase(request.getfixturevalue("database"), stack)


def test_a_burst_does_not_wait_and_then_calls_are_evenly_apart(place: Place) -> None:
    # Five of a hundred are held back for what the network bunches up.
    assert waits(pool_of(place.bucket()), calls=98) == [0.0] * 95 + [1.0, 2.0, 3.0]


def test_credits_refill_with_time(place: Place) -> None:
    pool = pool_of(place.bucket())
    waits(pool, calls=95)
    place.forward(20 * APART)
    assert waits(pool, calls=21) == [0.0] * 20 + [1.0]


def test_two_rate_limiters_with_one_bucket_share_one_rate(place: Place) -> None:
    pools = [pool_of(place.bucket()) for _ in range(2)]
    assert waits(*pools, calls=97) == [0.0] * 95 + [1.0, 2.0]


def test_pools_of_other_names_are_apart(place: Place) -> None:
    pools = [pool_of(place.bucket(name)) for name in ("calls", "instruments")]
    assert waits(*pools, calls=190) == [0.0] * 190


def test_an_empty_pool_makes_everyone_wait(place: Place) -> None:
    pools = [pool_of(place.bucket()) for _ in range(2)]
    asyncio.run(pools[0].drain(2 * APART))
    assert waits(pools[1], calls=1) == [3.0]


@pytest.mark.parametrize("full_at", [float("inf"), float("-inf"), 0.0, 4e9])
def test_a_moment_that_cannot_be_does_not_stop_anyone(place: Place, full_at: float) -> None:
    pool = pool_of(place.bucket())
    waits(pool, calls=97)
    place.corrupt(full_at)
    assert waits(pool, calls=96) == [0.0] * 95 + [1.0]


def test_the_exchange_grants_what_the_pool_spends(place: Place) -> None:
    # Separate implementations: the client's credits must fit into the exchange's.
    now = 0.0
    ours = pool_of(place.bucket())
    theirs = CreditPool(1 / APART, 100, clock=lambda: now)

    async def take(calls: int) -> None:
        nonlocal now
        for _ in range(calls):
            wait = await ours.acquire()
            place.forward(wait)
            now += wait
            assert theirs.acquire()

    asyncio.run(take(150))


class Slow:
    """A token bucket behind a network: it responds when the test permits, or fails."""

    def __init__(self, bucket: TokenBucket) -> None:
        self._bucket = bucket
        self.questions = 0
        self.lets = asyncio.Event()
        self.fails = False

    async def advance(self, *, at_least: float, by: float, at_most: float) -> float:
        self.questions += 1
        await self.lets.wait()
        if self.fails:
            raise RateLimitUnreachable("it is away")
        return await self._bucket.advance(at_least=at_least, by=by, at_most=at_most)


async def in_flight(pool: RateLimiter, calls: int) -> list[asyncio.Task[float]]:
    """Calls that all wait for the token bucket."""
    tasks = [asyncio.create_task(pool.acquire()) for _ in range(calls)]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


def test_calls_in_flight_share_one_update_of_a_slow_bucket(place: Place) -> None:
    async def requested() -> tuple[int, list[float]]:
        bucket = Slow(place.bucket())
        pool = pool_of(bucket)
        tasks = await in_flight(pool, 1) + await in_flight(pool, 60) + await in_flight(pool, 36)
        bucket.lets.set()
        taken = await asyncio.gather(*tasks)
        return bucket.questions, [round(wait / APART, 1) for wait in taken]

    # The first call has its own request; all later ones share the second request.
    assert asyncio.run(requested()) == (2, [0.0] * 95 + [1.0, 2.0])


def test_a_cancelled_call_gives_nobody_its_credits(place: Place) -> None:
    async def taken() -> float:
        bucket = Slow(place.bucket())
        pool = pool_of(bucket)
        cancelled = await in_flight(pool, 95)
        for task in cancelled:
            task.cancel()
        [last] = await in_flight(pool, 1)
        bucket.lets.set()
        wait = await last
        assert all(task.cancelled() for task in cancelled)
        return round(wait / APART, 1)

    assert asyncio.run(taken()) == 1.0


def test_without_its_state_the_rate_limiter_lets_no_request_pass(place: Place) -> None:
    async def taken() -> list[float]:
        bucket = Slow(place.bucket())
        pool = pool_of(bucket)
        bucket.fails = True
        tasks = await in_flight(pool, 3)
        bucket.lets.set()
        output = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in output] == [RateLimitUnreachable] * 3
        bucket.fails = False
        return [await pool.acquire() for _ in range(2)]

    assert asyncio.run(taken()) == [0.0, 0.0]


def _take_many(where: Path | str, queue: "multiprocessing.SimpleQueue[float]") -> None:
    """In a separate process: acquire fifty credits, and report the longest wait."""
    with ExitStack() as stack:
        bucket: TokenBucket = (
            FileBucket(where)
            if isinstance(where, Path)
            else stack.enter_context(shared_buckets(where))("an exchange", "calls")
        )
        queue.put(max(waits(pool_of(bucket), calls=50)))


@pytest.mark.processes
@pytest.mark.parametrize(
    "is_file",
    [pytest.param(True, id="file"), pytest.param(False, id="database", marks=pytest.mark.lake)],
)
def test_processes_never_take_the_same_credit(
    is_file: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where = tmp_path / "calls" if is_file else request.getfixturevalue("database")
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.SimpleQueue[float] = context.SimpleQueue()
    others = [context.Process(target=_take_many, args=(where, queue)) for _ in range(4)]
    for other in others:
        other.start()
    longest = max(queue.get() for _ in others)
    for other in others:
        other.join()
    # Of two hundred calls 95 are free.
    assert longest == 105.0


def test_a_file_that_is_cut_short_does_not_stop_anyone(tmp_path: Path) -> None:
    path = tmp_path / "calls"
    for content in (b"", b"xyz", b"\xff" * 8):
        path.write_bytes(content)
        assert waits(pool_of(FileBucket(path)), calls=1) == [0.0]


def test_a_file_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    pool = pool_of(FileBucket(tmp_path / "no" / "folder"))
    with pytest.raises(
        SettingsError, match="rate limit's file .* cannot be used .*XDG_RUNTIME_DIR"
    ):
        waits(pool, calls=1)


def test_the_files_of_different_exchanges_are_apart() -> None:
    pools = [pool_of(file_bucket(source, "calls")) for source in ("one", "another")]
    assert waits(*pools, calls=190) == [0.0] * 190
