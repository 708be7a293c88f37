"""The performance table: each row is a process of its own against a sandbox with Deribit's limits.

`make bench` runs it and writes its section of docs/benchmarks.md. Every timed command starts from
nothing: an empty folder, a freshly started sandbox (with its full burst), and its own rate-limit
state.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from made_up import seconds_a_day, write_proofs
from measured import Received, ended, received
from sections import put

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
OURS = str(BIN / "deribit-pipeline")
PER_SECOND, BURST, LATENCY_MS = 20, 100, 60
PAIR = "BTC-PERPETUAL,ETH-PERPETUAL"
BASES = "BTC ETH SOL XRP AVAX ADA DOT LTC UNI LINK NEAR TRX DOGE BCH BNB TRUMP HYPE PAXG"
TWENTY = ",".join([PAIR, *(f"{base}_USDC-PERPETUAL" for base in BASES.split(" "))])


@dataclass(frozen=True)
class Work:
    """A backfill to measure; `names` are instruments, `first` and `last` days, both included."""

    title: str
    names: str
    first: str
    last: str
    resolution: str = "1"

    @property
    def days(self) -> int:
        """The number of its instrument-days."""
        first, last = (date.fromisoformat(day) for day in (self.first, self.last))
        return len(self.names.split(",")) * ((last - first).days + 1)


YEAR = Work("2 instruments × 365 days", PAIR, "2023-01-01", "2023-12-31")
EIGHT_YEARS = Work("2 perpetuals since listing", PAIR, "2018-08-14", "2026-06-30")
WIDE = Work("20 instruments × 90 days", TWENTY, "2025-07-01", "2025-09-28")
FEW_ROWS = (
    Work("2 perpetuals × 7 years at 1D", PAIR, "2019-04-01", "2026-08-31", "1D"),
    Work("2 perpetuals × 7 years at 60", PAIR, "2019-04-01", "2026-08-31", "60"),
    Work("20 instruments × 2 years at 60", TWENTY, "2024-08-01", "2026-07-31", "60"),
)


@dataclass(frozen=True)
class Rest:
    """A backfill of another dataset to measure; `options` are the sandbox's."""

    title: str
    dataset: str
    first: str
    last: str
    options: Sequence[str] = ()
    instruments: str = PAIR


# A busy perpetual has a million trades a day.
DENSE = ("--trades-per-minute", "720")
REST = (
    Rest("2 perpetuals × 365 days", "funding_rates", "2023-01-01", "2023-12-31"),
    Rest("2 currencies × 365 days", "volatility_index", "2023-01-01", "2023-12-31"),
    Rest("1 perpetual × 7 days", "trades", "2024-01-01", "2024-01-07", DENSE, "BTC-PERPETUAL"),
)


@dataclass(frozen=True)
class Measured:
    """One run: wall-clock seconds, CPU seconds, the seconds without its own start-up if it prints
    them, peak memory in MB, requests and rows."""

    seconds: float
    cpu: float
    after_start: float
    megabytes: float
    requests: int
    rows: int


@contextmanager
def sandbox(is_metered: bool = True, *options: str, latency_ms: int | None = None) -> Iterator[str]:
    """Start a sandbox in a process of its own; yields its API root. If it is not metered, it
    responds immediately, unless a latency is given."""
    if latency_ms is None:
        latency_ms = LATENCY_MS if is_metered else 0
    rate = str(PER_SECOND if is_metered else 0)
    command = [OURS, "sandbox", "--port", "0", "--requests-per-second", rate]
    command += ["--burst", str(BURST), "--latency-ms", str(latency_ms), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        found = re.search(r"http://[\d.:]+/api/v2", server.stderr.readline())
        assert found
        try:
            yield found[0]
        finally:
            server.terminate()


def timed(command: Sequence[str], env: dict[str, str], folder: Path) -> Measured:
    """Run a command to its end, as a user would from a shell."""
    own = {name: str(folder) for name in ("TMPDIR", "HOME", "XDG_RUNTIME_DIR")}
    clean = {"PATH": os.environ["PATH"], **own}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=clean | env, cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout
    output = process.stdout.read()
    end = ended(process)
    seconds = time.perf_counter() - began
    if end.code:
        raise SystemExit(f"{' '.join(command)} failed:\n{output}")
    returned = received(output) or Received(0, 0)
    return Measured(
        seconds,
        end.cpu,
        returned.seconds or seconds,
        end.megabytes,
        returned.requests,
        returned.rows,
    )


def backfill(work: Work) -> list[str]:
    """The command line for the work."""
    days = ["--start", work.first, "--end", work.last]
    resolution = ["--resolution", work.resolution]
    return [OURS, "backfill", "--instruments", work.names, *days, *resolution]


def ours(work: Work, folder: Path, is_metered: bool = True) -> Measured:
    """The whole command: start, fetch, prove, write, record in Dagster, exit."""
    with sandbox(is_metered) as url:
        env = {"DERIBIT_ENV": "sandbox", "DERIBIT_BASE_URL": url}
        if not is_metered:
            env["DERIBIT_REQUESTS_PER_SECOND"] = "1000000"
        return timed(backfill(work), env, folder)


def theirs(python: str, script: str, work: Work, folder: Path) -> Measured:
    """The same candles with one of the ccxt scripts: not proved, not recorded."""
    with sandbox() as url:
        arguments = [url, str(folder / "ccxt.duckdb"), work.names, work.first, work.last]
        return timed([python, str(HERE / script), *arguments], {}, folder)


def median(runs: Sequence[Measured]) -> Measured:
    """The run with the median duration."""
    return sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]


def floor(requests: int) -> float:
    """The minimum seconds that the rate limit allows."""
    return max(0.0, requests - BURST) / PER_SECOND


def row(title: str, who: str, run: Measured, requests: int) -> str:
    """A row of the table; the floor is computed from our number of requests, for all rows of a
    kind."""
    limit = floor(requests)
    ratio = f"{run.seconds / limit:.2f}" if limit else ""
    return (
        f"| {title} | {who} | {run.seconds:.1f} | {limit:.1f} | {ratio} | "
        f"{run.rows / run.seconds:,.0f} | {run.megabytes:.0f} | {run.requests:,} |"
    )


class Bench:
    """Runs the benchmarks, prints each row when it is known, and keeps all rows."""

    def __init__(self, repeat: int, ccxt: str) -> None:
        self._repeat, self._ccxt = repeat, ccxt
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        print(line, flush=True)
        self.lines.append(line)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        path = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            yield path
        finally:
            shutil.rmtree(path)

    def compared(self, work: Work, scripts: Sequence[str]) -> None:
        """Our backfill and the scripts alternately, and the ratios of their medians."""
        runs: dict[str, list[Measured]] = {"ours": []} | {script: [] for script in scripts}
        for _ in range(self._repeat):
            for who, made in runs.items():
                with self.folder() as folder:
                    made.append(
                        ours(work, folder)
                        if who == "ours"
                        else theirs(self._ccxt, who, work, folder)
                    )
        middle = {who: median(made) for who, made in runs.items()}
        for who, run in middle.items():
            name = {"ours": "deribit-pipeline"}.get(who, who.removesuffix(".py").replace("_", ", "))
            self.say(row(work.title, name, run, middle["ours"].requests))

    def alone(self, work: Work, title: str, is_metered: bool) -> Measured:
        """Our backfill only."""
        runs = []
        for _ in range(self._repeat):
            with self.folder() as folder:
                runs.append(ours(work, folder, is_metered))
        run = median(runs)
        self.say(row(title, "deribit-pipeline", run, run.requests if is_metered else 0))
        return run

    def bookkeeping(self, work: Work) -> None:
        """Our backfill of many days with few rows each, so that proving and recording them is what
        takes time. The sandbox computes its candles in a run before."""
        runs = []
        with sandbox() as url:
            env = {"DERIBIT_ENV": "sandbox", "DERIBIT_BASE_URL": url}
            for _ in range(1 + self._repeat):
                with self.folder() as folder:
                    runs.append(timed(backfill(work), env, folder))
        run = median(runs[1:])
        self.say(
            f"| {work.title} | {work.days:,} | {run.seconds:.1f} | {run.cpu:.1f} | "
            f"{run.seconds / work.days * 1000:.2f} | {run.megabytes:.0f} | {run.requests:,} |"
        )

    def rest(self, work: Rest) -> None:
        """Our backfill of another dataset."""
        command = [OURS, "backfill", "--dataset", work.dataset]
        command += ["--start", work.first, "--end", work.last]
        runs = []
        for _ in range(self._repeat):
            with self.folder() as folder, sandbox(True, *work.options) as url:
                env = {"DERIBIT_ENV": "sandbox", "DERIBIT_BASE_URL": url}
                env["DERIBIT_INSTRUMENTS"] = work.instruments
                runs.append(timed(command, env, folder))
        run = median(runs)
        self.say(row(work.dataset, work.title, run, run.requests))

    def figures(self) -> None:
        """Measurements on an existing warehouse."""
        with self.folder() as folder, sandbox(is_metered=False) as url:
            env = {"DERIBIT_ENV": "sandbox", "DERIBIT_BASE_URL": url}
            env["DERIBIT_REQUESTS_PER_SECOND"] = "1000000"
            candles = timed(backfill(YEAR), env, folder).rows
            size = (folder / "data" / "sandbox.duckdb").stat().st_size / candles
            self.say(f"| the warehouse | {size:.0f} bytes a candle |")
            again = [timed(backfill(YEAR), env, folder) for _ in range(self._repeat)]
            self.say(f"| the same command again, all proved | {median(again).seconds:.1f} s |")
            record = []
            for number in range(self._repeat):
                home = {"DAGSTER_HOME": str(folder / f"home{number}")}
                record.append(timed(backfill(YEAR), env | home, folder))
            each = (median(record).seconds - median(again).seconds) / 730 * 1000
            self.say(f"| recording one instrument-day in Dagster | {each:.1f} ms |")
            one = [str(BIN / "dagster"), "asset", "materialize", "-m"]
            one += ["deribit_pipeline.definitions", "--select", "candles_1m", "--partition"]
            cold = [
                timed([*one, f"BTC-PERPETUAL|2022-01-{day:02d}"],
                      env | {"DAGSTER_HOME": str(folder / "dagster_home")}, folder)
                for day in range(1, self._repeat + 1)
            ]  # fmt: skip
            self.say(f"| one cold `dagster asset materialize` | {median(cold).seconds:.1f} s |")
            read = (
                "import time, duckdb; began = time.perf_counter(); "
                "c = duckdb.connect('data/sandbox.duckdb', read_only=True); "
                "f = c.sql(\"from complete_candles where instrument_name = 'BTC-PERPETUAL' and "
                "resolution = '1' and opened_at >= '2023-01-01'\").df(); "
                "began = time.perf_counter(); "
                "f = c.sql(\"from complete_candles where instrument_name = 'BTC-PERPETUAL' and "
                "resolution = '1' and opened_at >= '2023-01-01'\").df(); "
                "print(len(f), time.perf_counter() - began)"
            )
            output = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", read],
                cwd=folder, capture_output=True, text=True, check=True,
            )  # fmt: skip
            count, seconds = output.stdout.split()
            self.say(f"| {int(count):,} one-minute candles into pandas | {float(seconds):.2f} s |")
        self.coverage()

    def coverage(self) -> None:
        """`coverage` over 20 instruments × 8 years of synthetic proofs."""
        with self.folder() as folder:
            each = seconds_a_day(folder / "days.duckdb") * 1000
            self.say(f"| proving and writing one instrument-day | {each:.1f} ms |")
            write_proofs(folder / "data" / "sandbox.duckdb", TWENTY.split(","), 8 * 365)
            shown = [
                timed([OURS, "coverage"], {"DERIBIT_ENV": "sandbox"}, folder)
                for _ in range(self._repeat)
            ]
            self.say(f"| `coverage` of 20 instruments × 8 years | {median(shown).seconds:.1f} s |")


def main() -> None:
    """Print the table, and write it to a file if requested."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeat", type=int, default=3, help="runs of each, default 3")
    options.add_argument("--quick", action="store_true", help="leave out the whole history")
    options.add_argument("--write", type=Path, help="the Markdown file to write")
    options.add_argument("--ccxt", default=sys.executable, help="the Python that has ccxt")
    parsed = options.parse_args()
    bench = Bench(parsed.repeat, os.path.abspath(parsed.ccxt))
    bench.say(
        f"Medians of {parsed.repeat} interleaved runs on {os.cpu_count()} cores shared with the "
        f"sandbox exchange ({PER_SECOND} calls a second after a burst of {BURST}, {LATENCY_MS} ms "
        f"latency), {datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}. Each run is a "
        "whole process, from start to exit; the floor is (requests − 100) / 20 s."
    )
    bench.say("")
    bench.say("| one-minute candles | by | s | floor | ratio | candles/s | MB | requests |")
    bench.say("|---|---|--:|--:|--:|--:|--:|--:|")
    bench.compared(YEAR, ["ccxt_idiomatic.py", "ccxt_fastest.py"])
    if not parsed.quick:
        bench.compared(EIGHT_YEARS, ["ccxt_fastest.py"])
    bench.alone(WIDE, WIDE.title, is_metered=True)
    free = bench.alone(YEAR, "the same year without a rate limit", is_metered=False)
    bench.say("")
    bench.say("| few rows a day | days | s | CPU s | ms a day | MB | requests |")
    bench.say("|---|--:|--:|--:|--:|--:|--:|")
    for work in FEW_ROWS:
        bench.bookkeeping(work)
    bench.say("")
    bench.say("| other datasets | series | s | floor | ratio | rows/s | MB | requests |")
    bench.say("|---|---|--:|--:|--:|--:|--:|--:|")
    for other in REST:
        bench.rest(other)
    bench.say("")
    bench.say("| what | figure |")
    bench.say("|---|--:|")
    rate = free.rows / free.after_start
    bench.say(f"| without a rate limit, after the start-up of Python | {rate:,.0f} candles/s |")
    bench.figures()
    if parsed.write:
        put(parsed.write, "One machine", "bench", bench.lines)


if __name__ == "__main__":
    main()
