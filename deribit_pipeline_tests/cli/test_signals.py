"""SIGINT and SIGTERM end a process soon and in an orderly way, at any point."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from textwrap import indent

import duckdb
import pytest

from deribit_pipeline.engine.verification import verify
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import in_a_lake
from deribit_pipeline_tests.helpers.lakes import locks
from deribit_pipeline_tests.helpers.processes import (
    SCRIPT,
    environment,
    script,
    signalled_at,
    started,
    wait_until,
)

pytestmark = pytest.mark.processes

CHART, LISTING = "public/get_tradingview_chart_data", "public/get_instrument"
WITHIN = 15.0 if "PYTEST_XDIST_WORKER" in os.environ else 3.0
"""Seconds in which a process must have ended; more if other tests share the cores."""

BOTH = pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
TWO_DAYS = ("backfill", "--start", "2024-01-01", "--end", "2024-01-02")


def assert_it_ends(process: subprocess.Popen[str], name: str) -> str:
    """Check that the process, which was just sent the signal, ends soon, in an orderly way and
    with a message; returns its output."""
    try:
        out, err = process.communicate(timeout=WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == {"SIGINT": 130, "SIGTERM": 143}[name], err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith(f"Error: Interrupted by {name}: proved days are kept")
    return out


def assert_it_ends_where(
    settings: Settings, name: str, moment: str, nth: int, *command: str
) -> str:
    """As `assert_it_ends`, for a process that is sent the signal at a step of its work."""
    with started(signalled_at(name, moment, nth, *command), settings) as process:
        assert process.stdout
        assert process.stdout.readline() == "now\n", process.communicate()
        return assert_it_ends(process, name)


@BOTH
@pytest.mark.parametrize(
    "location", ["file", pytest.param("lake", marks=pytest.mark.torture)], indirect=True
)
def test_a_signal_ends_a_backfill_with_a_summary_and_keeps_what_was_proved(
    settings: Settings, sandbox: SandboxExchange, faults: Faults, name: str
) -> None:
    # From the eightieth chart on, the exchange does not respond: the backfill is in the middle.
    faults.corrupt_where("stall", lambda method, reply: sandbox.requests[CHART] > 80)
    year = ("--start", "2023-01-01", "--end", "2023-12-31")
    with started([str(SCRIPT), "backfill", *year], settings) as process:
        wait_until(lambda: sandbox.requests[CHART] > 80, process)
        process.send_signal(signal.Signals[name])
        assert "BTC-PERPETUAL" in assert_it_ends(process, name)
    warehouse = warehouse_at(settings.warehouse, settings.environment)
    with warehouse.reading() as connection:
        [(days, incomplete)] = connection.execute(
            "select count(*), count(*) filter (state != 'complete') from candle_days"
        ).fetchall()
    assert days > 0
    assert incomplete == 0
    assert verify(warehouse).findings == []


@BOTH
def test_a_signal_ends_a_backfill_before_the_exchange_has_answered_anything(
    settings: Settings, sandbox: SandboxExchange, faults: Faults, name: str
) -> None:
    faults.corrupt_where("stall", lambda method, reply: True)
    with started([str(SCRIPT), *TWO_DAYS], settings) as process:
        wait_until(lambda: sandbox.requests[LISTING] > 0, process)
        process.send_signal(signal.Signals[name])
        assert_it_ends(process, name)


def test_a_signal_ends_a_backfill_while_dagster_makes_its_databases(settings: Settings) -> None:
    assert_it_ends_where(settings, "SIGTERM", "before CREATE TABLE", 3, *TWO_DAYS)


@pytest.mark.parametrize("command", [TWO_DAYS, ("repair",), ("verify",)], ids=lambda c: c[0])
def test_a_signal_ends_a_process_that_waits_for_the_warehouse(
    settings: Settings, command: tuple[str, ...]
) -> None:
    with warehouse_at(settings.warehouse, settings.environment).writing():
        assert_it_ends_where(settings, "SIGINT", "before attach", 3, *command)


def test_a_signal_ends_a_backfill_whose_writer_waits_for_the_warehouse(
    settings: Settings, sandbox: SandboxExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warehouse_at(settings.warehouse, settings.environment).writing():
        pass
    answer = sandbox.answer

    def holding(
        method: str, params: dict[str, str], token: str | None = None, **host: bool
    ) -> Reply:
        if method == CHART and not held:
            held.append(duckdb.connect(str(settings.warehouse)))
        return answer(method, params, token, **host)

    held: list[duckdb.DuckDBPyConnection] = []
    monkeypatch.setattr(sandbox, "answer", holding)
    try:
        assert_it_ends_where(settings, "SIGINT", "before attach", 8, *TWO_DAYS)
    finally:
        held.pop().close()


@BOTH
def test_a_signal_ends_repair_and_verify(
    settings: Settings, sandbox: SandboxExchange, name: str
) -> None:
    sandbox.charts.omit("BTC-PERPETUAL", 1_704_067_200_000, 1_704_067_260_000)
    folder = settings.dagster_home.parent
    assert script(*TWO_DAYS, env=environment(settings), cwd=folder).returncode == 0
    assert "BTC-PERPETUAL" in assert_it_ends_where(
        settings, name, f"before get {CHART}", 1, "repair", "--end", "2024-01-04"
    )
    assert_it_ends_where(settings, name, "after select epoch_ms(opened_at)", 1, "verify")


@pytest.mark.torture
def test_a_signal_ends_a_backfill_at_any_moment(settings: Settings) -> None:
    month = ("backfill", "--start", "2024-01-01", "--end", "2024-01-31", "--force")
    for tenths in range(0, 30, 3):
        with started([str(SCRIPT), *month], settings) as process:
            # Before it takes signals for itself, there is nothing to end in order.
            wait_until(partial(_catches, process.pid, signal.SIGTERM), process)
            time.sleep(tenths / 10)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                _, err = process.communicate(timeout=WITHIN)
                assert "Traceback" not in err
                assert process.returncode in (0, 143), err


def _catches(pid: int, number: int) -> bool:
    """Whether a process has installed a handler for the signal, from Linux's /proc."""
    with open(f"/proc/{pid}/status") as status:
        [caught] = [line.split()[1] for line in status if line.startswith("SigCgt:")]
    return bool(int(caught, 16) >> (number - 1) & 1)


INTERRUPTIBLE = """
import os, signal, sys, time
from deribit_pipeline.cli import interrupts
{before}
try:
    with interrupts.interruptible():
{inside}
        time.sleep(60)
except interrupts.Interrupted as interruption:
    sys.exit(interruption.exit_code)
"""


def printed(settings: Settings, before: str, inside: str) -> str:
    """The output of a program that sends itself SIGTERM inside, and ends by it."""
    program = INTERRUPTIBLE.format(before=before, inside=indent(inside, " " * 8))
    with started([sys.executable, "-c", program], settings) as process:
        out, err = process.communicate(timeout=WITHIN)
    assert process.returncode == 143, err
    return out


def test_a_signal_that_comes_in_a_destructor_is_not_lost(settings: Settings) -> None:
    """Python ignores exceptions raised in a destructor."""
    before = (
        "class Ends:\n    def __del__(self): os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.01)"
    )
    inside = "del (ends := [Ends()])[0]\nprint('swallowed', flush=True)"
    assert printed(settings, before, inside) == "swallowed\n"


def test_a_signal_that_comes_in_an_import_lets_it_end_first(
    settings: Settings, tmp_path: Path
) -> None:
    """A library that is interrupted during its import prints a traceback."""
    (tmp_path / "made.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.2)\n"
        "print('made', flush=True)\n"
    )
    before = f"sys.path.insert(0, {str(tmp_path)!r})"
    assert printed(settings, before, "import made") == "made\n"


@pytest.mark.torture
@in_a_lake
def test_a_signal_ends_a_backfill_that_waits_for_others_in_a_lake(
    settings: Settings, warehouse: Warehouse, database: str
) -> None:
    with warehouse.writing(), started([str(SCRIPT), *TWO_DAYS], settings) as process:
        wait_until(lambda: locks(database, granted=False) != [], process)
        process.send_signal(signal.SIGINT)
        assert_it_ends(process, "SIGINT")
