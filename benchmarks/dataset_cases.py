"""Other datasets, days of millions of trades, and commands on what is stored."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from candle_cases import US, YEAR, warehouse_size
from made_up import write_proofs
from tables import Case, Row, Table
from timed_commands import (
    BIN,
    BURST,
    HERE,
    OURS,
    PER_SECOND,
    empty_folder,
    sandbox,
    timed,
    variables,
)

_YEAR = ("--start", "2023-01-01", "--end", "2023-12-31")
_PANDAS = """
import time
from deribit_pipeline import read
began = time.perf_counter()
rows = len(read.candles("BTC-PERPETUAL", "2023-01-01", "2023-12-31", frame="pandas"))
print(f"0 requests, {rows} candles received in {time.perf_counter() - began:.2f} s")
"""


@dataclass(frozen=True)
class Trades:
    """Days of BTC-PERPETUAL with about this many million trades each."""

    millions: int
    days: int

    @property
    def title(self) -> str:
        return f"trades, {self.days} × {self.millions} million a day"

    @property
    def options(self) -> tuple[str, str]:
        """The sandbox's options: 720 trades in each minute with trades are a million a day."""
        return "--trades-per-minute", str(720 * self.millions)

    def command(self, name: str, *more: str) -> list[str]:
        """A command for these days."""
        days = ["--start", "2024-01-01", "--end", f"2024-01-{self.days:02d}"]
        return [OURS, name, "--instruments", "BTC-PERPETUAL", *days, *more]


def other_dataset(name: str, title: str, *options: str) -> Iterator[Row]:
    """A year of a dataset of few rows."""
    command = [OURS, "backfill", "--dataset", name, *_YEAR, *options]
    with sandbox() as url, empty_folder() as folder:
        run = timed(command, variables(url), folder)
    yield Row(title, US, run, run.requests)


def trades(work: Trades) -> Iterator[Row]:
    """Days of trades into an empty warehouse, and into another one from responses that are there
    already: computing them takes the exchange most of a core."""
    kept = (sys.executable, str(HERE / "kept_responses.py"))
    with sandbox(True, *work.options, program=kept) as url:
        for title in (work.title, f"{work.title}, of an exchange that takes no CPU"):
            with empty_folder() as folder:
                yield replace(_fetched_trades(work, url, folder), title=title)
            time.sleep(BURST / PER_SECOND)  # the exchange's burst is full again


def stored_trades(work: Trades) -> Iterator[Row]:
    """The same, and commands on the stored trades; `--force` is the last, because the sandbox's
    burst is full again by then."""
    with sandbox(True, *work.options) as url, empty_folder() as folder:
        env = variables(url)
        stored = _fetched_trades(work, url, folder)
        yield stored
        of_trades, rebuilt = ("--dataset", "trades"), ("--dataset", "candles_rebuilt")
        parquet = ("--format", "parquet", "--to", "exported")
        for title, command in (
            ("`verify` of them", [OURS, "verify"]),
            ("`export` of them to Parquet", work.command("export", *of_trades, *parquet)),
            ("`candles_rebuilt` from them", work.command("backfill", *rebuilt)),
            ("the same days again with `--force`", work.command("backfill", *of_trades, "--force")),
        ):
            run = timed(command, env, folder)
            yield Row(title, US, run, run.requests)


def _fetched_trades(work: Trades, url: str, folder: Path) -> Row:
    run = timed(work.command("backfill", "--dataset", "trades"), variables(url), folder)
    return Row(work.title, US, run, run.requests, work.days, warehouse_size(folder))


def stored_year() -> Iterator[Row]:
    """Commands on a stored year of minutes of two instruments, from a sandbox without limits."""
    with sandbox(is_metered=False) as url, empty_folder() as folder:
        env = variables(url, is_metered=False)
        timed(YEAR.command, env, folder)
        names = ["--instruments", YEAR.names, *_YEAR]
        parquet = ["--format", "parquet", "--to", "exported"]
        asset = [str(BIN / "dagster"), "asset", "materialize", "-m", "deribit_pipeline.definitions"]
        partition = ["--select", "candles_1m", "--partition", "BTC-PERPETUAL|2022-12-31"]
        home = {"DAGSTER_HOME": str(folder / "dagster_home")}
        for title, command in (
            ("the same `backfill` again, all proved", YEAR.command),
            ("`verify`", [OURS, "verify"]),
            ("`export` to Parquet", [OURS, "export", *names, *parquet]),
            ("`read.candles` of 525,600 minutes", [str(BIN / "python"), "-c", _PANDAS]),
            ("`dagster asset materialize` of one more day", [*asset, *partition]),
        ):
            yield Row(title, US, timed(command, env | home, folder))


def million_proofs() -> Iterator[Row]:
    """`coverage` over a million synthetic proofs: 350 instruments × 2,920 days."""
    names = [f"X{number:03}_USDC-PERPETUAL" for number in range(350)]
    with empty_folder() as folder:
        # In a process of its own: the peak memory of a command counts from that of this process.
        with ProcessPoolExecutor(1, get_context("spawn")) as elsewhere:
            path = folder / "data" / "sandbox.duckdb"
            elsewhere.submit(write_proofs, path, names, 2_920).result()
        for options in ([], ["--html", "coverage.html"]):
            command = [OURS, "coverage", *options]
            run = timed(command, {"DERIBIT_ENV": "sandbox"}, folder)
            yield Row(f"`{' '.join(['coverage', *options])}` of 1,022,000 proofs", US, run)


def dataset_tables() -> list[Table]:
    """The tables of other datasets and of what is stored."""
    perpetuals = ("--instruments", "BTC-PERPETUAL,ETH-PERPETUAL")
    funding = partial(
        other_dataset, "funding_rates", "funding_rates, 2 perpetuals × 365 days", *perpetuals
    )
    volatility = partial(
        other_dataset, "volatility_index", "volatility_index, 2 currencies × 365 days"
    )
    datasets = (
        Case("funding", funding),
        Case("volatility", volatility, is_long=True),
        Case("trades", partial(trades, Trades(1, 7)), is_long=True),
        Case("trades-2-million", partial(trades, Trades(2, 2)), is_long=True),
        Case("trades-4-million", partial(stored_trades, Trades(4, 2)), is_long=True),
    )
    stored = (
        Case("stored", stored_year),
        Case("proofs", million_proofs, is_long=True),
    )
    of_rows = ("s", "floor", "ratio", "CPU s", "rows/s", "MB", "requests", "bytes a row")
    return [
        Table("other datasets", of_rows, datasets),
        Table("what is stored: a year of minutes of 2 instruments, or proofs",
              ("s", "once started", "CPU s", "MB"), stored),
    ]  # fmt: skip
