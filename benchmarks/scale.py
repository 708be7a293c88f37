"""A lake under load: many concurrent workers, crashes, and a history of 200 million candles,
compared with the same history in a single file.

`make bench-scale` runs it and writes its section of docs/benchmarks.md. PostgreSQL, the exchange
and the workers are real processes on this machine; the result is compared with the exchange's data,
candle by candle.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from scale_reads import compared, filled
from scale_workers import Work, curve, faults
from sections import put

from deribit_pipeline_tests.helpers.servers import Postgres, postgres_server

WORKERS = (1, 2, 4, 6)
LATENCY_MS = 250
WHOLE = Work(60, 60)

_CURVE = (
    "| workers | s | candles/s | once started | × one | CPU s of workers | of the exchange "
    "| of PostgreSQL | MB a worker |",
    "|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
)
_READS = (
    "| query | file | lake | × | file, again | lake, again | × | |",
    "|---|--:|--:|--:|--:|--:|--:|---|",
)


def workers(postgres: Postgres, work: Work, waiting: Work) -> Iterator[str]:
    """The lines about many workers."""
    yield (
        f"{work.instruments} instruments × {work.days} days, {work.candles:,} candles, of an "
        "exchange without a rate limit or latency. Each worker is a `deribit-pipeline backfill`, "
        "timed from the start of Python to its exit. For every row it was checked that each "
        "candle is stored once and equals the exchange's, and that `verify` is clean."
    )
    yield from ("", *_CURVE)
    yield from curve(postgres, work, WORKERS)
    yield ""
    yield (
        f"{waiting.instruments} instruments × {waiting.days} days, {waiting.candles:,} candles, "
        f"where each worker waits for the exchange: one request at a time, {LATENCY_MS} ms each."
    )
    yield from ("", *_CURVE)
    yield from curve(postgres, waiting, WORKERS, LATENCY_MS)
    yield from ("", "| fault | result |", "|---|---|")
    yield from faults(postgres, WHOLE, WORKERS[-1], LATENCY_MS)  # most of a minute for each worker


def reads(
    postgres: Postgres, instruments: int, days: int, repeat: int, folder: Path
) -> Iterator[str]:
    """The lines about one long history."""
    yield (
        f"{instruments} instruments × {days:,} days, {instruments * days * 1_440:,} candles, in a "
        f"file and in a lake whose PostgreSQL and Parquet are on the same machine. The best of "
        f"{repeat} processes: the first answer in each, which opens the warehouse, and the second."
    )
    yield from ("", *_READS)
    with filled(postgres, instruments, days, folder) as (in_file, in_lake):
        yield from compared(in_file, in_lake, instruments, days, repeat)


def _machine() -> str:
    return (
        f"{os.cpu_count()} cores for everything together, {datetime.now(UTC):%Y-%m-%d}, Python "
        f"{sys.version.split()[0]}; the load before was {os.getloadavg()[0]:.1f}."
    )


def main(arguments: Sequence[str]) -> None:
    """Print the tables, and write them to a file if requested."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true",
                         help="a sixth of the first curve, a tenth of the second and of the "
                         "history, all that goes wrong; 6 minutes")  # fmt: skip
    options.add_argument("--repeat", type=int, default=2, help="processes for each question")
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()),
                         help="where 15 GB fit")  # fmt: skip
    options.add_argument("--write", type=Path, help="the Markdown file to write")
    parsed = options.parse_args(arguments)
    work, waiting = (Work(60, 10), Work(24, 5)) if parsed.quick else (WHOLE, Work(60, 20))
    instruments, days = (20, 695) if parsed.quick else (60, 2_315)
    lines: list[str] = []
    with postgres_server() as postgres:
        for line in chain(
            [_machine()],
            [""],
            workers(postgres, work, waiting),
            [""],
            reads(postgres, instruments, days, parsed.repeat, parsed.folder),
        ):
            lines.append(line)
            print(line, flush=True)
    if parsed.write:
        put(parsed.write, "The lake", "bench-scale", lines)


if __name__ == "__main__":
    main(sys.argv[1:])
