"""Several processes on one warehouse, one DAGSTER_HOME and one rate limit."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.home import prepare_home
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.processes import DAGSTER, SCRIPT, assert_all_succeed, started

pytestmark = pytest.mark.processes


@pytest.fixture
def sandbox(clock: Clock) -> SandboxExchange:
    """An exchange that refuses more than twenty calls a second."""
    return SandboxExchange(clock, per_second=20, burst=50)


@pytest.fixture
def shared(settings: Settings) -> Settings:
    """The settings of several processes, which keep to the rate limit together."""
    prepare_home(settings.dagster_home)  # Dagster's command creates no `dagster.yaml`
    return replace(settings, requests_per_second=20.0, burst=50)


def backfill(first: str, last: str, *more: str) -> list[str]:
    return [str(SCRIPT), "backfill", "--start", first, "--end", last, *more]


def materialize(first: str, last: str, asset: str = "candles_1m") -> list[str]:
    keys = f"BTC-PERPETUAL|{first}...ETH-PERPETUAL|{last}"
    return [
        *(str(DAGSTER), "asset", "materialize", "-m", "deribit_pipeline.definitions"),
        *("--select", asset, "--partition-range", keys),
    ]


def run_together(commands: list[list[str]], settings: Settings) -> None:
    with ExitStack() as stack:
        assert_all_succeed(
            [stack.enter_context(started(command, settings)) for command in commands]
        )


def assert_each_day_is_held_once(
    settings: Settings, days: int, resolution: Resolution = Resolution.MINUTE_1
) -> None:
    """Check that this many days of both instruments are complete, proved and shown in Dagster."""
    warehouse = warehouse_at(settings.warehouse, settings.environment)
    verification = verify(warehouse)
    assert (verification.days, verification.findings) == (2 * days, [])
    with warehouse.reading() as connection:
        [counts] = connection.execute(
            """
            select count(*), count(distinct (instrument_name, opened_at)),
                   (select count(*) from candle_days where state = 'complete')
            from candles
            """
        ).fetchall()
    candles = 2 * days * resolution.candles_per_day
    assert counts == (candles, candles, 2 * days)
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        key = dg.AssetKey(f"candles_{resolution.label}")
        assert len(instance.get_materialized_partitions(key)) == 2 * days


def test_two_backfills_of_overlapping_ranges_write_each_day_once(
    shared: Settings, sandbox: SandboxExchange
) -> None:
    commands = [backfill("2024-01-01", "2024-01-05"), backfill("2024-01-03", "2024-01-08")]
    run_together(commands, shared)
    assert sandbox.refused == 0
    assert_each_day_is_held_once(shared, 8)


@pytest.mark.torture
@pytest.mark.parametrize("repetition", range(2))
def test_commands_and_dagster_itself_start_at_once_on_a_fresh_home(
    shared: Settings, repetition: int
) -> None:
    hours = ("--resolution", "60")
    commands = [
        backfill("2024-01-01", "2024-01-03", *hours),
        materialize("2024-01-02", "2024-01-04", "candles_1h"),
        backfill("2024-01-03", "2024-01-05", *hours),
        materialize("2024-01-01", "2024-01-05", "candles_1h"),
    ]
    run_together(commands, shared)
    assert_each_day_is_held_once(shared, 5, Resolution.HOUR_1)


@pytest.mark.torture
def test_five_backfills_and_a_reader_share_the_file_the_home_and_the_rate_limit(
    shared: Settings, sandbox: SandboxExchange
) -> None:
    commands = [
        backfill("2023-01-01", "2023-04-15"),
        backfill("2023-02-15", "2023-05-30"),
        backfill("2023-03-01", "2023-05-30", "--instruments", "ETH-PERPETUAL"),
        backfill("2023-01-01", "2023-05-30", "--instruments", "BTC-PERPETUAL"),
        materialize("2023-02-01", "2023-03-15"),
    ]
    with reading_for(3.0, shared.warehouse) as counted:
        run_together(commands, shared)
    assert sandbox.refused == 0
    assert len(counted) == 2
    assert counted[0] == counted[1]
    assert_each_day_is_held_once(shared, 150)


@contextmanager
def reading_for(seconds: float, path: Path) -> Iterator[list[int]]:
    """Another reader keeps the file open for this long, once it exists; returns the numbers of
    candles at the beginning and at the end."""
    counted: list[int] = []

    def read() -> None:
        while True:
            try:
                connection = duckdb.connect(str(path), read_only=True)
            except duckdb.IOException:  # it does not exist yet, or a writer has it open
                time.sleep(0.01)
                continue
            with connection:
                for pause in (seconds, 0.0):
                    [(candles,)] = connection.execute("select count(*) from candles").fetchall()
                    counted.append(candles)
                    time.sleep(pause)
            return

    reader = threading.Thread(target=read)
    reader.start()
    yield counted
    reader.join()
