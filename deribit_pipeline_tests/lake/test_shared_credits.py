"""The rate limit in PostgreSQL, when the server or the network fails or a connection string is
wrong."""

import asyncio
import threading
import traceback
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing

import psycopg2
import pytest

from deribit_pipeline.errors import RateLimiterUnavailable, SettingsError
from deribit_pipeline.exchange.client import DeribitClient, deribit_client
from deribit_pipeline.exchange.rate_limiter import RateLimiter, RateLimitUnreachable, TokenBuckets
from deribit_pipeline.lake import shared_rate_limit
from deribit_pipeline.lake.shared_rate_limit import TABLE, shared_buckets
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.lakes import requested
from deribit_pipeline_tests.helpers.servers import Postgres
from deribit_pipeline_tests.helpers.slow_rate_limits import pool_of, waits

TIME = "public/get_time"


def calls_of(buckets: TokenBuckets) -> RateLimiter:
    return pool_of(buckets("an exchange", "calls"))


@asynccontextmanager
async def client_of(
    settings: Settings, database: str, patience: float
) -> AsyncIterator[DeribitClient]:
    assert settings.base_url
    with shared_buckets(database) as buckets:
        async with deribit_client(
            settings.base_url, settings.environment,
            requests_per_second=1e6, burst=100, concurrency=4, patience=patience, buckets=buckets,
        ) as client:  # fmt: skip
            yield client


def test_without_the_database_nothing_is_sent(
    postgres: Postgres, database: str, settings: Settings, sandbox: SandboxExchange
) -> None:
    sentence = (
        rf"{TIME}\(\): nothing was sent: DERIBIT_WAREHOUSE's PostgreSQL, which keeps the rate "
        r"limit, is out of reach: Connection refused \(given up after \d+ tries\)"
    )

    async def call() -> None:
        async with client_of(settings, database, patience=0.8) as client:
            await client.get_time()
            postgres.kill()
            with pytest.raises(RateLimiterUnavailable, match=sentence):
                await client.get_time()
            assert sandbox.requests[TIME] == 1
            postgres.start()
            await client.get_time()
            assert sandbox.requests[TIME] == 2

    asyncio.run(call())


@pytest.mark.parametrize("end", [Postgres.stop, Postgres.kill])
def test_calls_outlast_a_database_that_starts_anew(
    postgres: Postgres, database: str, settings: Settings, sandbox: SandboxExchange, end: object
) -> None:
    assert callable(end)

    async def call() -> None:
        async with client_of(settings, database, patience=60.0) as client:
            await client.get_time()
            end(postgres)
            calls = [asyncio.create_task(client.get_time()) for _ in range(20)]
            await asyncio.sleep(0.1)
            await asyncio.to_thread(postgres.start)
            await asyncio.gather(*calls)

    asyncio.run(call())
    assert sandbox.requests[TIME] == 21


def test_a_killed_database_remembers_what_was_taken(postgres: Postgres, database: str) -> None:
    with shared_buckets(database) as buckets:
        pool = calls_of(buckets)
        waits(pool, calls=95)
        postgres.kill()
        postgres.start()
        with pytest.raises(RateLimitUnreachable):
            waits(pool, calls=1)
        assert waits(pool, calls=2) == [1.0, 2.0]


def test_a_refusal_that_cannot_be_noted_is_tried_again_all_the_same(
    postgres: Postgres, database: str, settings: Settings, sandbox: SandboxExchange, faults: Faults
) -> None:
    killed = threading.Event()

    def kill_once(result: object) -> object:
        if not killed.is_set():
            postgres.kill()
            killed.set()
        return result

    async def call() -> None:
        async with client_of(settings, database, patience=60.0) as client:
            time = asyncio.create_task(client.get_time())
            await asyncio.to_thread(killed.wait)
            await asyncio.to_thread(postgres.start)
            await time

    sandbox.amend(TIME, kill_once)
    faults.corrupt_next(["10028_under_400"])
    asyncio.run(call())
    assert sandbox.requests[TIME] == 2


def test_many_who_come_first_make_one_table_and_take_from_one_pool(database: str) -> None:
    together = threading.Barrier(12)

    def take(pool: RateLimiter) -> float:
        together.wait()
        return max(waits(pool, calls=9))

    with ExitStack() as stack:
        pools = [calls_of(stack.enter_context(shared_buckets(database))) for _ in range(12)]
        for pool in pools:
            waits(pool, calls=1)  # they are all connected before there is no table again
        requested(database, f"drop table {TABLE}")
        threads = stack.enter_context(ThreadPoolExecutor(12))
        # Of 108 calls 95 are free.
        assert max(threads.map(take, pools)) == 13.0


def test_a_forgotten_session_that_holds_the_row_stops_nobody_for_good(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_rate_limit, "_PATIENCE", "set statement_timeout = '50ms'")
    with shared_buckets(database) as buckets, closing(psycopg2.connect(database)) as forgotten:
        pool = calls_of(buckets)
        waits(pool, calls=1)
        with forgotten.cursor() as cursor:
            cursor.execute(f"select * from {TABLE} for update")
        with pytest.raises(
            RateLimitUnreachable, match="canceling statement due to statement timeout"
        ):
            waits(pool, calls=1)
        forgotten.rollback()
        assert waits(pool, calls=1) == [0.0]


def test_a_user_who_may_not_create_the_table_gets_one_sentence(
    postgres: Postgres, database: str
) -> None:
    requested(database, "create role guest login password 'of-no-rights'")
    theirs = database.replace(f"{postgres.USER}:{postgres.PASSWORD}", "guest:of-no-rights")
    with (
        shared_buckets(theirs) as buckets,
        pytest.raises(SettingsError, match=f"{TABLE} cannot be used .*permission denied.*: let"),
    ):
        waits(calls_of(buckets), calls=1)


@pytest.mark.parametrize(
    ("catalog", "output"),
    [
        ("postgresql://deribit:hunter2@{server}/nothing", "password authentication failed"),
        ("host=127.0.0.1 port=1 user=deribit password=hunter2", "Connection refused"),
        ("host=/nowhere password=hunter2", "No such file or directory"),
        ("host={server} pass word=hunter2", "that libpq cannot parse"),
        ("host=127.0.0.1 password='hunter2", "that libpq cannot parse"),
        ("postgresql://deribit:%hunter2@{server}/nothing", "that libpq cannot parse"),
        ("postgresql://deribit:a@hunter2@{server}/x?hostaddr=127.0.0.1", "authentication failed"),
        ("postgresql://deribit:hunter2/a@{server}/nothing", "is not understood"),
    ],
)  # fmt: skip
def test_no_password_is_shown_however_it_is_written(
    postgres: Postgres, catalog: str, output: str
) -> None:
    with (
        pytest.raises((RateLimitUnreachable, SettingsError), match=output) as caught,
        shared_buckets(catalog.format(server=f"127.0.0.1:{postgres.port}")) as buckets,
    ):
        waits(calls_of(buckets), calls=1)
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in shown
