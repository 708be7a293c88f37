"""Waiting for a warehouse that is open elsewhere is said, and one's own connection is known."""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.warehouse import file, holders
from deribit_pipeline.warehouse.holders import Busy, OwnConnections, was_alone
from deribit_pipeline.warehouse.warehouse import Warehouse

HOLDING = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"


@pytest.fixture
def held(tmp_path: Path) -> Warehouse:
    warehouse = Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX, patience=60.0)
    with warehouse.writing():
        pass
    return warehouse


@contextmanager
def another_process(warehouse: Warehouse) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(warehouse.location)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        yield other


def read(warehouse: Warehouse) -> None:
    with warehouse.reading() as connection:
        connection.execute("from candles").fetchall()


def write(warehouse: Warehouse) -> None:
    with warehouse.writing():
        pass


def test_waiting_for_another_process_is_said_once_with_its_number(
    held: Warehouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(holders, "SAID_AFTER", 0.05)
    with another_process(held) as other:

        class Ended(logging.Handler):
            """The other process ends as soon as the wait is said."""

            def emit(self, record: logging.LogRecord) -> None:
                assert other.stdin
                other.stdin.close()

        handler = Ended()
        holders.logger.addHandler(handler)
        try:
            read(held)
        finally:
            holders.logger.removeHandler(handler)
    [said] = [record.getMessage() for record in caplog.records if record.name == holders.__name__]
    assert said.startswith(f"Waiting for {held.location}, which another process (PID {other.pid},")


@pytest.mark.parametrize("use", [read, write])
def test_a_connection_that_the_user_opened_in_this_process_is_recognised_at_once(
    held: Warehouse, use: Callable[[Warehouse], None]
) -> None:
    """With a patience of a minute: to wait for oneself would end in no other way."""
    sentence = "open in this process, in a connection of your own"
    with (
        duckdb.connect(str(held.location), read_only=use is write),
        pytest.raises(WarehouseError, match=sentence),
    ):
        use(held)
    use(held)


def test_threads_of_this_package_wait_for_each_other(held: Warehouse) -> None:
    with ThreadPoolExecutor(4) as pool:
        uses = [pool.submit(use, held) for use in (read, write, read, write) for _ in range(5)]
    assert [each.exception() for each in uses] == [None] * 20


def test_an_attempt_was_alone_only_without_any_other_use(tmp_path: Path) -> None:
    own, path = OwnConnections(), tmp_path / "w"

    def attempt(*, meanwhile: bool) -> bool:
        before = own.of(path)
        own.enter(path)
        if meanwhile:
            own.enter(path)
            own.leave(path)
        own.leave(path)
        return was_alone(before, own.of(path))

    assert attempt(meanwhile=False)
    assert not attempt(meanwhile=True)
    own.enter(path)
    assert not attempt(meanwhile=False)


def test_the_holder_is_read_from_the_databases_message() -> None:
    text = (
        'IO Error: Could not set lock on file "/w": Conflicting lock is held in '
        "/usr/bin/python3.12 (PID 12345) by user quant. See also https://duckdb.org"
    )
    assert Busy(text).holder == "another process (PID 12345, /usr/bin/python3.12)"
    assert Busy("IO Error: Could not set lock on file").holder == "another process"
    here = Busy("Connection Error: Can't open a connection with a different configuration")
    assert (here.holder, here.is_here) == ("another connection of this process", True)


def test_a_signal_while_the_file_is_opened_is_raised_as_itself(
    held: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: str, *, read_only: bool) -> None:
        raise RuntimeError("Query interrupted") from SystemExit(130)  # as DuckDB raises it

    with monkeypatch.context() as patched:
        patched.setattr(file, "attached_file", interrupted)
        with pytest.raises(SystemExit, match="130"):
            read(held)
    write(held)
