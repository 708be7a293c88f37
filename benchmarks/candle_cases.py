"""Backfills of candles: many rows, where the rate limit determines the time, and few rows a day,
where proving and recording the days does. With ccxt too, for comparison."""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

from tables import Case, Row, Table
from timed_commands import HERE, OURS, Measured, empty_folder, sandbox, timed, variables

US = "deribit-pipeline"
PAIR = "BTC-PERPETUAL,ETH-PERPETUAL"
BASES = "BTC ETH SOL XRP AVAX ADA DOT LTC UNI LINK NEAR TRX DOGE BCH BNB TRUMP HYPE PAXG"
TWENTY = ",".join([PAIR, *(f"{base}_USDC-PERPETUAL" for base in BASES.split(" "))])
RESOLUTIONS = ("1", "3", "5", "10", "15", "30", "60", "120", "180", "360", "720", "1D")
FASTEST, IDIOMATIC = "ccxt_fastest.py", "ccxt_idiomatic.py"


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

    @property
    def command(self) -> list[str]:
        """Our command line for it."""
        days = ["--start", self.first, "--end", self.last]
        resolution = ["--resolution", self.resolution]
        return [OURS, "backfill", "--instruments", self.names, *days, *resolution]


YEAR = Work("2 instruments × 365 days", PAIR, "2023-01-01", "2023-12-31")
HISTORY = Work("2 perpetuals since listing", PAIR, "2018-08-14", "2026-06-30")
WIDE = Work("20 instruments × 90 days", TWENTY, "2025-07-01", "2025-09-28")
ONE_DAY = Work("2 perpetuals × 1 day at 1D", PAIR, "2026-08-31", "2026-08-31", "1D")
DAILY = Work("2 perpetuals × 7 years at 1D", PAIR, "2019-04-01", "2026-08-31", "1D")
HOURLY = replace(DAILY, title="2 perpetuals × 7 years at 60", resolution="60")
WIDE_HOURLY = Work("20 instruments × 2 years at 60", TWENTY, "2024-08-01", "2026-07-31", "60")
EVERY_RESOLUTION = Work(
    "1 perpetual since listing, all 12 resolutions, a command each, at once",
    "BTC-PERPETUAL", "2018-08-14", "2026-06-30",
)  # fmt: skip


def warehouse_size(folder: Path) -> int:
    """The bytes of the warehouse in a folder."""
    return (folder / "data" / "sandbox.duckdb").stat().st_size


def ours(work: Work, url: str, is_metered: bool = True) -> Row:
    """The whole command: start, fetch, prove, write, record in Dagster, exit."""
    with empty_folder() as folder:
        run = timed(work.command, variables(url, is_metered), folder)
        size = warehouse_size(folder)
    return Row(work.title, US, run, run.requests if is_metered else 0, work.days, size)


def theirs(python: str, script: str, work: Work, url: str, calls: int) -> Row:
    """The same candles with one of the ccxt scripts: not proved, not recorded."""
    with empty_folder() as folder:
        file = str(folder / "ccxt.duckdb")
        arguments = [url, file, work.names, work.first, work.last, work.resolution]
        run = timed([python, str(HERE / script), *arguments], {}, folder)
    name = script.removesuffix(".py").replace("_", ", ")
    return Row(work.title, name, run, calls, work.days)


def compared(work: Work, python: str, scripts: Sequence[str]) -> Iterator[Row]:
    """Our backfill, then the scripts, each with a sandbox that has its full burst."""
    with sandbox() as url:
        row = ours(work, url)
    yield row
    for script in scripts:
        with sandbox() as url:
            yield theirs(python, script, work, url, row.calls)


def few_rows(work: Work, python: str) -> Iterator[Row]:
    """Our backfill, then ccxt. In a run before, which is not measured, the sandbox computes the
    candles: one of an hour or a day takes it as long as all of its minutes."""
    with sandbox() as url:
        ours(work, url)
        row = ours(work, url)
        yield row
        yield theirs(python, FASTEST, work, url, row.calls)


def without_limit(work: Work) -> Iterator[Row]:
    """Our backfill from a sandbox without rate limit and latency."""
    with sandbox(is_metered=False) as url:
        yield replace(ours(work, url, is_metered=False), title="the same without a rate limit")


def at_once(work: Work) -> Iterator[Row]:
    """A backfill of each resolution, all started together, into one warehouse; they share the rate
    limit. As for few rows, the sandbox computes the candles of an hour and more before."""
    works = [replace(work, resolution=resolution) for resolution in RESOLUTIONS]
    with sandbox() as url, empty_folder() as folder, ThreadPoolExecutor(len(works)) as commands:
        for coarse in works[RESOLUTIONS.index("60") :]:
            ours(coarse, url)
        began = time.perf_counter()
        runs = list(commands.map(lambda each: timed(each.command, variables(url), folder), works))
        seconds = time.perf_counter() - began
    total = Measured(
        seconds=seconds,
        cpu=sum(run.cpu for run in runs),
        after_start=0.0,
        megabytes=max(run.megabytes for run in runs),
        requests=sum(run.requests for run in runs),
        rows=sum(run.rows for run in runs),
    )
    yield Row(work.title, US, total, total.requests, work.days * len(RESOLUTIONS))


def candle_tables(ccxt: str) -> list[Table]:
    """The tables of candles; `ccxt` is the Python that has ccxt."""
    python = os.path.abspath(ccxt)
    minutes = (
        Case("year", partial(compared, YEAR, python, [IDIOMATIC, FASTEST])),
        Case("unlimited", partial(without_limit, YEAR)),
        Case("wide", partial(compared, WIDE, python, [FASTEST])),
        Case("history", partial(compared, HISTORY, python, [FASTEST]), is_long=True),
    )
    few = (
        Case("start", partial(few_rows, ONE_DAY, python)),
        Case("daily", partial(few_rows, DAILY, python)),
        Case("hourly", partial(few_rows, HOURLY, python)),
        Case("wide-hourly", partial(few_rows, WIDE_HOURLY, python)),
        Case("resolutions", partial(at_once, EVERY_RESOLUTION), is_long=True),
    )
    of_rows = ("by", "s", "floor", "ratio", "CPU s", "rows/s", "MB", "requests", "bytes a row")
    of_days = ("by", "days", "s", "floor", "ratio", "CPU s", "ms a day", "MB", "requests")
    return [
        Table("one-minute candles", of_rows, minutes),
        Table("few rows a day", of_days, few),
    ]
