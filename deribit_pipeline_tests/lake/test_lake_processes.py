"""Several machines on one lake, which request the same days, rewrite them, and are killed."""

import signal
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest

from deribit_pipeline.domain.location import Lake
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import in_a_lake
from deribit_pipeline_tests.helpers.lake_days import assert_each_is_held_once
from deribit_pipeline_tests.helpers.lakes import locks
from deribit_pipeline_tests.helpers.processes import (
    SCRIPT,
    assert_all_succeed,
    environment,
    script,
    started,
    wait_until,
)
from deribit_pipeline_tests.helpers.written_warehouse import rows

FIRST = "2024-01-01"
pytestmark = in_a_lake


def machine(settings: Settings, number: int) -> Settings:
    """The settings of a machine with a separate DAGSTER_HOME."""
    return replace(settings, dagster_home=settings.dagster_home / str(number))


def backfill(last: str, *more: str, first: str = FIRST) -> list[str]:
    return [str(SCRIPT), "backfill", "--start", first, "--end", last, *more]


@pytest.mark.torture
def test_two_machines_that_want_the_same_days_at_once_hold_each_once(
    settings: Settings, warehouse: Warehouse
) -> None:
    settings.dagster_home.mkdir()
    with ExitStack() as stack:
        assert_all_succeed(
            [
                stack.enter_context(started(backfill("2024-01-10"), machine(settings, number)))
                for number in range(2)
            ]
        )
    assert_each_is_held_once(warehouse, 20)


@pytest.mark.torture
def test_six_machines_that_add_and_rewrite_the_same_days_lose_nothing_and_hold_nothing_twice(
    settings: Settings, warehouse: Warehouse
) -> None:
    settings.dagster_home.mkdir()
    commands = [
        backfill("2024-01-31"),
        backfill("2024-01-31", "--force"),
        backfill("2024-01-31", first="2024-01-10"),
        backfill("2024-01-31", "--force", first="2024-01-20"),
        backfill("2024-01-31", "--instruments", "ETH-PERPETUAL"),
        backfill("2024-01-31", "--instruments", "ETH-PERPETUAL,BTC-PERPETUAL", "--force"),
    ]
    with ExitStack() as stack:
        assert_all_succeed(
            [
                stack.enter_context(started(command, machine(settings, number)))
                for number, command in enumerate(commands)
            ]
        )
    assert_each_is_held_once(warehouse, 2 * 31)
    assert rows(warehouse, "from candle_revisions") == []


@pytest.mark.torture
@pytest.mark.parametrize("wait", [0.0, 0.3, 0.7, 1.5])
def test_a_machine_that_is_killed_leaves_its_days_to_others_at_once(
    settings: Settings, warehouse: Warehouse, lake: Lake, wait: float
) -> None:
    """Killed `wait` seconds after its first lock; another one then writes the same days."""
    quarter = backfill("2024-03-31", "--force")
    with started(quarter, settings) as process:
        wait_until(lambda: locks(lake.catalog, granted=True) != [], process)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    # Without patience, waiting for a lock ends at the first poll.
    with warehouse_at(lake, settings.environment, patience=0).writing():
        pass
    done = script(*quarter[1:], env=environment(settings), cwd=settings.dagster_home.parent)
    assert done.returncode == 0, done.stderr
    assert_each_is_held_once(warehouse, 2 * 91)
