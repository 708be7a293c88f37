"""The whole market: a year of one-minute candles of every perpetual, from a sandbox with Deribit's
limits.

`make bench-market` runs it and writes its section of docs/benchmarks.md. It fails unless each day
is proved complete.
"""

import argparse
import os
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sections import put
from timed_commands import BURST, LATENCY_MS, OURS, PER_SECOND, Measured, floor, sandbox, timed

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.warehouse.warehouse import Warehouse

FIRST = date(2025, 7, 1)  # every perpetual is listed by then
MINUTES = CANDLES[Resolution.MINUTE_1]
A_DAY = Resolution.MINUTE_1.candles_per_day


@dataclass(frozen=True)
class Market:
    """Every perpetual of an exchange that lists this many, for this many days from FIRST on."""

    perpetuals: int
    days: int

    @property
    def instrument_days(self) -> int:
        return self.perpetuals * self.days

    @property
    def command(self) -> list[str]:
        last = FIRST + timedelta(days=self.days - 1)
        days = ["--start", str(FIRST), "--end", str(last)]
        return [OURS, "backfill", "--instruments", "perpetual", *days]


@dataclass(frozen=True)
class Fetched:
    """A backfill of the market, the same command again, and the commands that read all of it; the
    size of the warehouse in bytes, the CPU seconds of the sandbox, and the machine's load in the
    last 15 minutes of the backfill."""

    backfill: Measured
    again: Measured
    verify: Measured
    coverage: Measured
    size: int
    served_cpu: float
    load: float


def fetched(market: Market, folder: Path) -> Fetched:
    """Fetch the market into an empty folder."""
    before, warehouse = _cpu_of_children(), folder / "data" / "sandbox.duckdb"
    with sandbox(True, "--perpetuals", str(market.perpetuals)) as url:
        env = {"DERIBIT_ENV": "sandbox", "DERIBIT_BASE_URL": url}
        backfill, load = timed(market.command, env, folder), os.getloadavg()[-1]
        require_proved(warehouse, market)
        again = timed(market.command, env, folder)
    served = _cpu_of_children() - before - backfill.cpu - again.cpu
    verify, coverage = (timed([OURS, name], env, folder) for name in ("verify", "coverage"))
    return Fetched(backfill, again, verify, coverage, warehouse.stat().st_size, served, load)


def require_proved(path: Path, market: Market) -> None:
    """Fail unless each day of the market is proved complete."""
    with Warehouse(path, Environment.SANDBOX).reading() as connection:
        states = Counter(proof.state for proof in proofs_of(connection, MINUTES))
    if states != {DayState.COMPLETE: market.instrument_days}:
        raise SystemExit(f"Of {market.instrument_days:,} days, these are proved: {dict(states)}.")


def _cpu_of_children() -> float:
    """The CPU seconds of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def lines(market: Market, run: Fetched) -> Iterator[str]:
    """The section for a run."""
    all_of_it, candles = run.backfill, market.instrument_days * A_DAY
    limit, own = floor(all_of_it.requests), (all_of_it.cpu + run.served_cpu) / all_of_it.seconds
    ratio = f"{all_of_it.seconds / limit:.3f}" if limit else ""
    yield (
        f"{market.perpetuals} perpetuals × {market.days} days, {candles:,} one-minute candles, run "
        f"once on {os.cpu_count()} cores shared with the sandbox exchange ({PER_SECOND} calls a "
        f"second after a burst of {BURST}, {LATENCY_MS} ms latency), {datetime.now(UTC):%Y-%m-%d}, "
        f"Python {sys.version.split()[0]}. All {market.instrument_days:,} instrument-days are "
        f"proved complete; the warehouse takes {run.size / 1e9:.2f} GB, {run.size / candles:.1f} "
        f"bytes a candle. The sandbox took {run.served_cpu:.0f} s of CPU; the machine's load was "
        f"{run.load:.1f}, {own:.1f} of it by this run. The floor is (requests − {BURST}) / "
        f"{PER_SECOND} s."
    )
    yield from ("", "| command | s | floor | ratio | candles/s | CPU s | MB | requests |")
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    yield (
        f"| `backfill` | {all_of_it.seconds:.1f} | {limit:.1f} | {ratio} | "
        f"{candles / all_of_it.seconds:,.0f} | {all_of_it.cpu:.1f} | {all_of_it.megabytes:.0f} | "
        f"{all_of_it.requests:,} |"
    )
    for title, other in (
        ("the same again, all proved", run.again),
        ("`verify`", run.verify),
        ("`coverage`", run.coverage),
    ):
        yield (
            f"| {title} | {other.seconds:.1f} | | | {candles / other.seconds:,.0f} | "
            f"{other.cpu:.1f} | {other.megabytes:.0f} | |"
        )


def main(arguments: Sequence[str]) -> None:
    """Print the section, and write it to a file if requested."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--perpetuals", type=int, default=130, help="at least 20, default 130")
    options.add_argument("--days", type=int, default=365, help="default 365")
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()),
                         help="where 2 GB fit")  # fmt: skip
    options.add_argument("--write", type=Path, help="the Markdown file to write")
    parsed = options.parse_args(arguments)
    market = Market(parsed.perpetuals, parsed.days)
    with tempfile.TemporaryDirectory(prefix="market-", dir=parsed.folder) as folder:
        section = list(lines(market, fetched(market, Path(folder))))
    print("\n".join(section))
    if parsed.write:
        put(parsed.write, "The whole market", "bench-market", section)


if __name__ == "__main__":
    main(sys.argv[1:])
