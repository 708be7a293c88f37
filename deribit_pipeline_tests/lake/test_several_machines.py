"""Several machines, each with its own folders, on one lake and one rate limit."""

import asyncio
import subprocess
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest

from deribit_pipeline.engine.verification import verify
from deribit_pipeline.exchange.rate_limiter import RateLimiter
from deribit_pipeline.lake.shared_rate_limit import TABLE, shared_buckets
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock, in_a_lake
from deribit_pipeline_tests.helpers.processes import SCRIPT, environment

NAMES = [
    "BTC-PERPETUAL", "ETH-PERPETUAL", "SOL_USDC-PERPETUAL",
    "XRP_USDC-PERPETUAL", "ADA_USDC-PERPETUAL", "LTC_USDC-PERPETUAL",
]  # fmt: skip
DAYS = 20
PER_SECOND, BURST = 8.0, 20
FULL_AT = f"select full_at from {TABLE} "


@pytest.fixture
def sandbox(clock: Clock) -> SandboxExchange:
    """An exchange that refuses more than eight calls a second."""
    return SandboxExchange(clock, per_second=PER_SECOND, burst=BURST)


@pytest.fixture
def shared(settings: Settings) -> Settings:
    """The settings of machines that write one lake."""
    return replace(settings, requests_per_second=PER_SECOND, burst=BURST)


def backfilling(name: str, settings: Settings, folder: Path) -> subprocess.Popen[bytes]:
    """A machine that backfills an instrument; it shares only the lake."""
    (folder / "tmp").mkdir(parents=True)
    variables = {
        "DAGSTER_HOME": str(folder / "dagster_home"),
        "XDG_RUNTIME_DIR": str(folder / "tmp"),
        # Should all of them stall on a busy machine, what they had waiting still fits the burst.
        "DERIBIT_CONCURRENCY": str((BURST - 1) // len(NAMES)),
    }
    days = ["--start", "2024-01-01", "--end", f"2024-01-{DAYS}"]
    with (folder / "said").open("wb") as output:
        return subprocess.Popen(
            [str(SCRIPT), "backfill", "--instruments", name, *days],
            env=environment(settings) | variables, cwd=folder, stdout=output, stderr=output,
        )  # fmt: skip


def wait_until_all_request(database: str) -> None:
    """Wait until each machine waits for the row of the rate limit."""
    asking = (
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like %s"
    )
    deadline = time.monotonic() + 60
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        while True:
            cursor.execute(asking, [f"%{TABLE}%"])
            if cursor.fetchall() == [(len(NAMES),)]:
                return
            assert time.monotonic() < deadline, "not all of them ask for credits"
            time.sleep(0.05)


@in_a_lake
def test_six_machines_are_one_caller(
    shared: Settings, sandbox: SandboxExchange, database: str, tmp_path: Path
) -> None:
    with shared_buckets(database) as buckets:
        pool = RateLimiter(buckets("sandbox www", "calls"), per_second=PER_SECOND, burst=BURST)
        asyncio.run(pool.acquire())  # the row is there from now on
    with (
        ExitStack() as stack,
        closing(psycopg2.connect(database)) as connection,
        connection.cursor() as row,
    ):
        row.execute(FULL_AT + "for update")
        [(before,)] = row.fetchall()
        machines = [
            stack.enter_context(backfilling(name, shared, tmp_path / name)) for name in NAMES
        ]
        wait_until_all_request(database)
        connection.commit()
        for name, process in zip(NAMES, machines, strict=True):
            assert process.wait(timeout=240) == 0, (tmp_path / name / "said").read_text()
        row.execute(FULL_AT)
        [(after,)] = row.fetchall()
    assert sandbox.refused == 0
    calls = sandbox.requests.total() - sandbox.requests["public/get_instruments"]
    # More than the calls where the pool was full for a while.
    assert (after - before).total_seconds() * PER_SECOND >= calls
    verification = verify(warehouse_at(shared.warehouse, shared.environment))
    assert (verification.days, verification.findings) == (len(NAMES) * DAYS, [])
