"""One long history in two warehouses: the cost of reading from a lake, compared with a single
file."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scale_history import fill, write_history
from scale_questions import QUESTIONS
from timed_commands import HERE, OURS, timed

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake
from deribit_pipeline.lake.maintenance import maintain
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.processes import variables_of
from deribit_pipeline_tests.helpers.servers import Postgres


@dataclass(frozen=True)
class Filled:
    """A warehouse filled with the history: the seconds for filling it and for `maintain`, and the
    environment that makes processes use it."""

    warehouse: Warehouse
    seconds: float
    maintained: float
    env: dict[str, str]


@contextmanager
def filled(
    postgres: Postgres, instruments: int, days: int, folder: Path
) -> Iterator[tuple[Filled, Filled]]:
    """The same history in a file and in a lake, which are deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="scale-", dir=folder) as text:
        here = Path(text)
        file, lake = here / "warehouse.duckdb", Lake(postgres.database(), f"{here}/lake/")
        with tempfile.TemporaryDirectory(dir=here) as history:
            write_history(Path(history), instruments, days)
            held = []
            for location in (file, lake):
                warehouse, began = warehouse_at(location, Environment.SANDBOX), time.perf_counter()
                fill(warehouse, Path(history), instruments)
                seconds, began = time.perf_counter() - began, time.perf_counter()
                maintain(warehouse)
                maintained = time.perf_counter() - began
                env = {"DERIBIT_ENV": "sandbox", **variables_of(location)}
                held.append(Filled(warehouse, seconds, maintained, env))
        in_file, in_lake = held
        yield in_file, in_lake


def compared(
    in_file: Filled, in_lake: Filled, instruments: int, days: int, repeat: int
) -> Iterator[str]:
    """A table row for each query on both warehouses, for a history of this size."""
    both, size = (in_file, in_lake), (str(instruments), str(days))
    yield _row("filling it from Parquet", [(held.seconds, held.seconds) for held in both], "s")
    yield f"| `maintain` afterwards | | {in_lake.maintained:.2f} | | | | | s |"
    gigabytes = [held.warehouse.size / 1e9 for held in both]
    yield _row("size", [(each, each) for each in gigabytes], "GB")
    for title in QUESTIONS:
        # Alternately, so that other load on the machine affects both equally.
        runs = [[_response_times(held, title, *size) for held in both] for _ in range(repeat)]
        yield _row(title, [_best(of_one) for of_one in zip(*runs)], "s")
    shown = [[_shown(held) for held in both] for _ in range(repeat)]
    yield _row("the command `coverage`", [_best(of_one) for of_one in zip(*shown)], "s")


def _response_times(held: Filled, title: str, *size: str) -> tuple[float, float]:
    """The seconds of the first execution in a process, and of the second."""
    # Not in the caller's folder, where a developer's `.env` may be.
    with tempfile.TemporaryDirectory() as folder:
        returned = subprocess.run(
            [sys.executable, HERE / "scale_questions.py", title, *size],
            env={"PATH": os.environ["PATH"], **held.env}, cwd=folder, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
    assert returned.returncode == 0, returned.stderr
    first, second = json.loads(returned.stdout)
    return first, second


def _shown(held: Filled) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        seconds = timed([OURS, "coverage"], held.env, Path(folder)).seconds
    return seconds, seconds


def _best(runs: tuple[tuple[float, float], ...]) -> tuple[float, float]:
    """The fastest run: disturbances only ever add time."""
    return min(first for first, _ in runs), min(second for _, second in runs)


def _row(title: str, figures: list[tuple[float, float]], unit: str) -> str:
    (file, file_again), (lake, lake_again) = figures
    line = f"| {title} | {file:.2f} | {lake:.2f} | {lake / file:.1f} |"
    if (file, lake) == (file_again, lake_again):
        return f"{line} | | | {unit} |"
    return f"{line} {file_again:.2f} | {lake_again:.2f} | {lake_again / file_again:.1f} | {unit} |"
