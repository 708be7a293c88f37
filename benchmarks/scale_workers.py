"""Many workers on one lake: backfills in independent processes.

Each has its own instruments, working folder and DAGSTER_HOME. Exchange, PostgreSQL and workers
share the machine, so their CPU seconds are reported beside the wall-clock time.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import psutil
from measured import Ended, Received, ended, received
from timed_commands import OURS, sandbox

from deribit_pipeline.datasets.candles import CANDLES, reads
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake
from deribit_pipeline.domain.windows import TimeWindow, day_window, days_between, to_ms
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.sandbox.known_listings import LISTINGS
from deribit_pipeline.sandbox.listing import ms_of
from deribit_pipeline.sandbox.market import Market
from deribit_pipeline_tests.helpers.processes import variables_of
from deribit_pipeline_tests.helpers.servers import Postgres

FIRST, NOW = date(2024, 1, 1), "2024-03-10T00:00:00"
LISTED = {
    listing.instrument_name: listing
    for listing in LISTINGS
    if listing.created_ms <= ms_of(f"{FIRST}") and listing.expires_ms > ms_of(NOW)
    if listing.kind != "spot"
}
"""Sixty instruments that trade from before FIRST until after NOW: perpetuals, futures, options."""

A_DAY = Resolution.MINUTE_1.candles_per_day

_POSTGRES_AWAY = 5.0

_PATIENCE = 300.0


@dataclass(frozen=True)
class Work:
    """One-minute candles of the first `instruments` listed ones, for this many days from FIRST
    on."""

    instruments: int
    days: int

    @property
    def names(self) -> list[str]:
        return list(LISTED)[: self.instruments]

    @property
    def last(self) -> date:
        return FIRST + timedelta(days=self.days - 1)

    @property
    def candles(self) -> int:
        return self.instruments * self.days * A_DAY

    def shares(self, workers: int) -> list[list[str]]:
        """The instruments of each worker."""
        return [self.names[number::workers] for number in range(workers)]


class Worker:
    """A running backfill, whose output goes to a file in its folder."""

    def __init__(self, names: Sequence[str], work: Work, env: dict[str, str], folder: Path) -> None:
        self.names = names
        folder.mkdir(exist_ok=True)
        self._log = folder / "said"
        home = {"HOME": str(folder), "DAGSTER_HOME": str(folder / "dagster_home")}
        command = [OURS, "backfill", "--instruments", ",".join(names)]
        command += ["--start", str(FIRST), "--end", str(work.last)]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, env=env | home, cwd=folder, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> bool:
        """Kill the process; returns whether it was still running."""
        self._process.kill()
        return self._process.wait() < 0

    def ended(self) -> Ended:
        """Wait for its end; fails if it failed."""
        end = ended(self._process)
        assert end.code == 0, self.output
        return end

    @property
    def output(self) -> str:
        return self._log.read_text()

    @property
    def received(self) -> Received:
        """What it received, once it has ended."""
        returned = received(self.output)
        assert returned, self.output
        return returned


class Place:
    """An empty lake, and a freshly started exchange without a rate limit."""

    def __init__(self, postgres: Postgres, folder: Path, exchange: str) -> None:
        self._folder, self._workers = folder, list[Worker]()
        self.lake = Lake(postgres.database(), f"{folder}/lake/")
        self.env = {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "DERIBIT_ENV": "sandbox",
            "DERIBIT_BASE_URL": exchange,
            "DERIBIT_REQUESTS_PER_SECOND": "1000000",
            **variables_of(self.lake),
        }
        self.warehouse = warehouse_at(self.lake, Environment.SANDBOX)

    def start(self, work: Work, workers: int) -> list[Worker]:
        """Start the workers, each with its share."""
        return [
            self.start_one(names, work, number) for number, names in enumerate(work.shares(workers))
        ]

    def start_one(self, names: Sequence[str], work: Work, number: int) -> Worker:
        """Start a worker in the folder with this number."""
        worker = Worker(names, work, self.env, self._folder / f"worker{number}")
        self._workers.append(worker)
        return worker

    def kill_workers(self) -> None:
        """Kill those that still run."""
        for worker in self._workers:
            worker.kill()

    def held(self, names: Sequence[str]) -> int:
        """How many days of these instruments are proved."""
        with self.warehouse.reading() as connection:
            return len(proofs_of(connection, CANDLES[Resolution.MINUTE_1], names))

    def wait_until_held(self, names: Sequence[str], days: int) -> None:
        """Wait until this many days of these instruments are proved."""
        deadline = time.monotonic() + _PATIENCE
        while not self.warehouse.exists() or self.held(names) < days:
            assert time.monotonic() < deadline, f"{days} days of {names} were not proved in time"
            time.sleep(0.1)

    def require_true(self, work: Work) -> None:
        """Fail if a candle is lost, stored twice, or differs from the exchange's."""
        verify = subprocess.run(
            [OURS, "verify"], env=self.env, cwd=self._folder, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert verify.returncode == 0, verify.stdout + verify.stderr
        window = TimeWindow(day_window(FIRST).start, day_window(work.last).end)
        start, end = to_ms(window.start), to_ms(window.end)
        with self.warehouse.reading() as connection:
            proofs = proofs_of(connection, CANDLES[Resolution.MINUTE_1])
            [(candles,)] = connection.execute("select count(*) from candles").fetchall()
            assert candles == work.candles, f"{candles} of {work.candles} candles are held"
            days = [(name, day) for name in work.names for day in days_between(FIRST, work.last)]
            assert sorted(days) == [(p.series, p.day) for p in proofs if p.is_settled]
            for name in work.names:
                held = reads.candles(connection, name, Resolution.MINUTE_1, window)
                returned = Market(LISTED[name]).minutes(start, end)
                assert np.array_equal(held.opened_at.astype(np.int64), returned.ticks), name
                assert np.array_equal(held.values, returned.values), name


@contextmanager
def place(postgres: Postgres, latency_ms: int = 0) -> Iterator[Place]:
    """A place that is deleted afterwards, with all its workers; the latency is the exchange's.

    With a latency, each worker has one request in flight at a time and waits for its response, so
    that the machine's cores are not the bottleneck.
    """
    with (
        tempfile.TemporaryDirectory(prefix="scale-") as folder,
        sandbox(False, "--now", NOW, latency_ms=latency_ms) as exchange,
    ):
        here = Place(postgres, Path(folder), exchange)
        if latency_ms:
            here.env["DERIBIT_CONCURRENCY"] = "1"
        try:
            yield here
        finally:
            here.kill_workers()


def curve(
    postgres: Postgres, work: Work, sizes: Sequence[int], latency_ms: int = 0
) -> Iterator[str]:
    """The same work with more and more workers, one table row per size."""
    alone = 0.0
    for workers in sizes:
        with place(postgres, latency_ms) as here:
            database, served = _cpu_of("postgres"), _cpu_of("sandbox")
            began = time.perf_counter()
            running = here.start(work, workers)
            ends = [worker.ended() for worker in running]
            seconds = time.perf_counter() - began
            database, served = _cpu_of("postgres") - database, _cpu_of("sandbox") - served
            here.require_true(work)
            started = max(worker.received.seconds for worker in running)
        alone = alone or seconds
        figures = (
            f"{workers}",
            f"{seconds:.1f}",
            f"{work.candles / seconds:,.0f}",
            f"{work.candles / started:,.0f}",
            f"{alone / seconds:.2f}",
            f"{sum(end.cpu for end in ends):.1f}",
            f"{served:.1f}",
            f"{database:.1f}",
            f"{max(end.megabytes for end in ends):.0f}",
        )
        yield f"| {' | '.join(figures)} |"


def faults(postgres: Postgres, work: Work, workers: int, latency_ms: int) -> Iterator[str]:
    """A worker is killed and restarted, then PostgreSQL, both during the work: the latency keeps
    the other workers busy until the restart."""
    with place(postgres, latency_ms) as here:
        running = here.start(work, workers)
        first = running[0]
        its_days = len(first.names) * work.days
        here.wait_until_held(first.names, 1)
        assert first.kill(), "the worker was done before it could be killed"
        kept = here.held(first.names)
        running[0] = again = here.start_one(first.names, work, 0)
        here.wait_until_held(first.names, kept + 1)  # it has begun again
        for worker in running:
            assert worker.is_running, f"ended before PostgreSQL could be killed: {worker.output}"
        postgres.kill()
        time.sleep(_POSTGRES_AWAY)
        postgres.start()
        for worker in running:
            worker.ended()
        here.require_true(work)
        returned = again.received
    assert returned.rows == (its_days - kept) * A_DAY, (
        f"{returned.rows} candles were requested again"
    )
    yield (
        f"| a worker killed, and started again | {kept:,} of its {its_days:,} days were kept: it "
        f"requested only the other {its_days - kept:,}, in {returned.requests:,} requests |"
    )
    yield (
        f"| PostgreSQL killed, away for {_POSTGRES_AWAY:.0f} s | all {workers} workers went on and "
        "ended with 0 |"
    )


def _cpu_of(program: str) -> float:
    """The CPU seconds so far of a server that we started, including all its processes, also ended
    ones."""
    [server] = [
        child
        for child in psutil.Process().children()
        if any(Path(word).name == program for word in child.cmdline())
    ]
    while True:
        # A process that ends in between is counted in the server's children.
        with suppress(psutil.NoSuchProcess):
            alive = [child.cpu_times() for child in server.children()]
            return sum(server.cpu_times()[:4]) + sum(each.user + each.system for each in alive)
