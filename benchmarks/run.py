"""The performance tables: each row is a process of its own against a sandbox with Deribit's limits.

`make bench` runs them and writes their section of docs/benchmarks.md. Every timed command starts
from nothing, unless its row says otherwise: an empty folder, a freshly started sandbox (with its
full burst), and its own rate-limit state.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from candle_cases import candle_tables
from dataset_cases import dataset_tables
from sections import put
from tables import Table
from timed_commands import BURST, LATENCY_MS, PER_SECOND


def measure(tables: Sequence[Table], only: set[str], runs: int) -> None:
    """Run the cases, those that are not long in every round; prints each row when it is known."""
    for number in range(runs):
        for table in tables:
            for case in table.cases:
                if case.name in only and not (number and case.is_long):
                    for row in case.run():
                        print(table.line(row, case.is_long), flush=True)


def section(tables: Sequence[Table], runs: int) -> Iterator[str]:
    """The section of the document."""
    yield (
        f"Medians of {runs} interleaved runs, rows with ¹ of one run, on {os.cpu_count()} cores "
        f"shared with the sandbox exchange ({PER_SECOND} calls a second after a burst of {BURST}, "
        f"{LATENCY_MS} ms latency), {datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}. "
        "Each run is a whole process, from start to exit; the floor is "
        f"(requests − {BURST}) / {PER_SECOND} s, for all programs with our requests. The scripts "
        "with ccxt prove nothing and record nothing in Dagster."
    )
    for table in tables:
        yield from table.lines()


def main(arguments: Sequence[str]) -> None:
    """Print the tables, and write them to a file if requested."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=3, help="interleaved rounds, default 3")
    options.add_argument("--only", metavar="NAMES", help="these cases, such as year,daily")
    options.add_argument("--write", type=Path, help="the Markdown file to write")
    options.add_argument("--ccxt", default=sys.executable, help="the Python that has ccxt")
    parsed = options.parse_args(arguments)
    tables = [*candle_tables(parsed.ccxt), *dataset_tables()]
    names = {case.name for table in tables for case in table.cases}
    only = set(parsed.only.split(",")) if parsed.only else names
    if unknown := only - names:
        options.error(f"--only: unknown {', '.join(sorted(unknown))}; there are {sorted(names)}")
    measure(tables, only, parsed.runs)
    lines = list(section(tables, parsed.runs))
    print("\n" + "\n".join(lines))
    if parsed.write:
        put(parsed.write, "One machine", "bench", lines)


if __name__ == "__main__":
    main(sys.argv[1:])
