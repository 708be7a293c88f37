"""Live trades as a user keeps them: recorded through faults, kills and a restart of the exchange,
then taken in."""

import json
import os
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deribit_pipeline import read
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.sandbox.socket_faults import SocketFaults
from deribit_pipeline.sandbox.sockets import Sockets
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.spool_entries import FRAME, read_entries
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.processes import SCRIPT
from deribit_pipeline_tests.helpers.recorded_trades import published_on

PERPETUALS = ("BTC-PERPETUAL", "ETH-PERPETUAL")
FAULTS = {"socket_skips": 0.1, "socket_repeats": 0.05, "socket_swaps": 0.05}

# Seconds until all sockets are closed, again and again, and of each of the four runs. `make soak`
# takes 20 minutes.
_MINUTES = float(os.environ.get("SOAK_MINUTES", "0"))
SOCKETS_LIVE, RUN = (9.0, 15 * _MINUTES) if _MINUTES else (4.5, 20.0)

Trades = set[tuple[str, int]]


class Market:
    """A sandbox whose clock is this machine's until it is stopped, and the trades that were
    requested from it by their numbers."""

    def __init__(self) -> None:
        self.stopped_at: float | None = None
        self.requested: Trades = set()
        self.exchange = SandboxExchange(self._now, per_second=0, trades_per_minute=120)
        for methods in (self.exchange._methods, self.exchange._history_methods):
            for name in [each for each in methods if "get_last_trades_by_instrument" in each]:
                methods[name] = self._noted(methods[name])

    @contextmanager
    def served(self, port: int = 0) -> Iterator[str]:
        sockets = Sockets(self.exchange, faults=SocketFaults(FAULTS, SOCKETS_LIVE))
        with serving(self.exchange, Faults(), port=port, sockets=sockets) as url:
            yield url

    def _now(self) -> float:
        return self.stopped_at or time.time()

    def _noted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def noted(params: dict[str, str]) -> Any:
            result = method(params)
            first, last = int(params.get("start_seq", 0)), int(params.get("end_seq", 2**53))
            numbers = [trade["trade_seq"] for trade in result["trades"]]
            # The archive returns some more on either side, which nobody requested.
            name = params["instrument_name"]
            self.requested |= {(name, number) for number in numbers if first <= number <= last}
            return result

        return noted


@contextmanager
def recorder(folder: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "DERIBIT_ENV": str(Environment.SANDBOX),
        "DERIBIT_BASE_URL": url,
        "DERIBIT_SPOOL": str(folder / "spool"),
        "DAGSTER_HOME": str(folder / "home"),
    }
    command = [str(SCRIPT), "record", "--datasets", TRADES.name]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def recorded(folder: Path) -> Trades:
    files = (folder / "spool").glob("trades/*/*/*.gz")
    bodies = [each.body for file in files for each in read_entries(file) if each.event == FRAME]
    data = [json.loads(body)["params"]["data"] for body in bodies]
    return {(each["instrument_name"], each["trade_seq"]) for trades in data for each in trades}


def newest_read(folder: Path) -> datetime:
    """The time of the newest trade that the reader returns, of an empty warehouse."""
    warehouse = Warehouse(folder / "empty.duckdb", Environment.SANDBOX)
    if not warehouse.exists():
        with warehouse.writing():
            pass
    with warnings.catch_warnings(action="ignore", category=read.MissingTradesWarning):
        found = read.trades(
            PERPETUALS[0],
            datetime.now(UTC) - timedelta(minutes=10),
            recorded=folder / "spool",
            complete_only=False,
            warehouse=folder / "empty.duckdb",
        )
    newest: datetime = found.index[-1].to_pydatetime()
    return newest


def published(market: Market, first: date) -> set[tuple[object, ...]]:
    """The trades of the invented market since a day: name, number, id, price and amount."""
    assert market.stopped_at is not None
    until_ms = int(market.stopped_at * 1000) + 1
    fields = ("instrument_name", "trade_seq", "trade_id", "price", "amount")
    return {
        tuple(trade[field] for field in fields)
        for name in PERPETUALS
        for day in days_between(first, datetime.now(UTC).date())
        for trade in published_on(market.exchange, day, name, until_ms)
    }


def take_in(settings: Settings, first: date) -> list[tuple[object, ...]]:
    """Take the trades since a day in; returns all that are stored."""
    days = list(days_between(first, datetime.now(UTC).date()))
    warehouse = Warehouse(Path(str(settings.warehouse)), Environment.SANDBOX)
    with open_exchange(settings) as exchange:
        job = Job("a run", dict.fromkeys(PERPETUALS, days))
        outcome = ForegroundBackfill(exchange, warehouse).backfill(TRADES, job)
    assert outcome.failures == {}
    assert outcome.proofs
    assert all(proof.expected == proof.received for proof in outcome.proofs.values())
    columns = ", ".join(column.name for column in TRADES.table.columns[:12])
    with warehouse.reading() as connection:
        return connection.execute(f"select {columns} from trades order by all").fetchall()


@pytest.mark.torture
def test_recorded_trades_are_complete_and_none_is_requested_again_through_kills_and_faults(
    tmp_path: Path,
) -> None:
    market, first = Market(), datetime.now(UTC).date()
    with market.served() as url:
        port = int(url.split(":")[2].partition("/")[0])
        for _ in range(2):
            with recorder(tmp_path, url) as process:
                time.sleep(RUN)
                process.kill()
    with recorder(tmp_path, url) as process:
        for _ in range(2):  # the exchange is restarted meanwhile
            with market.served(port):
                time.sleep(RUN)
                assert datetime.now(UTC) - newest_read(tmp_path) < timedelta(minutes=1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    market.stopped_at = time.time()
    kept = recorded(tmp_path)
    assert {name for name, _ in kept} >= set(PERPETUALS)
    assert len(kept) > 100
    with market.served(port):
        market.requested.clear()
        settings = Settings(
            Environment.SANDBOX, url, warehouse=tmp_path / "live.duckdb",
            requests_per_second=1e6, spool=tmp_path / "spool",
        )  # fmt: skip
        live = take_in(settings, first)
        assert market.requested & kept == set()
        fetched = replace(
            settings, warehouse=tmp_path / "fetched.duckdb", spool=tmp_path / "no_spool"
        )
        assert live == take_in(fetched, first)
    assert {(row[0], *row[1:3], row[6], row[9]) for row in live} == published(market, first)
