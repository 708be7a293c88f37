"""The partition grid: the cost in Dagster's UI, daemon and runs of growing numbers of
instrument-days.

`make bench-grid` runs it. Each row of the table is a measurement, each column a grid with its own
DAGSTER_HOME: a real webserver over HTTP, a real browser, the daemon's own iteration.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import psutil
from grid_layouts import Grid, Layout
from made_up_events import Partition, record_like
from questions import HEALTH, STATS, TICK
from timed_commands import BIN, HERE, Measured, sandbox, timed

from deribit_pipeline_tests.helpers.browser import browsing
from deribit_pipeline_tests.helpers.dagster_ui import DagsterUI, end, until
from deribit_pipeline_tests.test_loopback import free_port


class Figures:
    """The measurements of one grid, by row title."""

    def __init__(self, repeat: int) -> None:
        self._repeat = repeat
        self.by_row: dict[str, str] = {}

    def record(self, row: str, figure: str) -> None:
        """Keep and print a measurement."""
        print(f"  {row}: {figure}", flush=True)
        self.by_row[row] = figure

    def took(self, row: str, work: Callable[[], object]) -> None:
        """Record the duration of repeated work."""
        self.record(row, self._best(work))

    def ran(self, row: str, command: Callable[[], Measured]) -> None:
        """Record the duration of repeated processes, and the smallest peak memory."""
        megabytes: list[float] = []
        took = self._best(lambda: megabytes.append(command().megabytes))
        self.record(row, f"{took}, {min(megabytes):.0f} MB")

    def _best(self, work: Callable[[], object]) -> str:
        """The best of several repetitions, because disturbances only ever add time."""
        costs = [_cost(work) for _ in range(self._repeat)]
        return _figure(*map(min, zip(*costs, strict=True)))


class Bench:
    """One grid with its own home, in `folder`."""

    def __init__(self, grid: Grid, folder: Path, exchange: str, repeat: int) -> None:
        self._grid, self._folder = grid, folder
        self._home = folder / "dagster_home"
        self._env = {
            "DERIBIT_ENV": "sandbox",
            "DERIBIT_BASE_URL": exchange,
            "DERIBIT_REQUESTS_PER_SECOND": "1000000",
            "DAGSTER_HOME": str(self._home),
            "PYTHONPATH": str(HERE),
            **grid.variables,
        }
        self._asset = list(next(iter(grid.assets)))
        self._path = "/".join(self._asset)
        self.figures = Figures(repeat)

    def run(self) -> None:
        """Measure everything, from an empty event log to a full one."""
        first, last = self._grid.days[-30], self._grid.days[-11]
        location = self._grid.location
        load = [str(BIN / "python"), "-c", f"import {location} as d; d.defs.get_repository_def()"]
        # The first run creates the home that the others copy.
        self._backfill("BTC-PERPETUAL", first, last)
        day, span = self._key(last), f"{self._key(first)}...{self._key(last)}"
        ran = self.figures.ran
        ran("loading the definitions", lambda: self._timed(load))
        ran("`dagster asset materialize`, a day", lambda: self._materialize("--partition", day))
        ran("the same, 20 days", lambda: self._materialize("--partition-range", span))
        with self._webserver() as (ui, server):
            self._pages(ui, "nothing")
            self._launches(ui)
            self._schedule_ticks(ui)
            ahead = len(self._grid.days) // 10
            self._record(self._grid.days[-ahead:], last)
            self._pages(ui, "a tenth")
            self._record(self._grid.days[:-ahead], last)
            self._pages(ui, "everything")
            ran("loading the definitions, everything recorded", lambda: self._timed(load))
            self._overviews(ui)
            ran(
                "`deribit-pipeline backfill`, 20 days that are proved",
                lambda: self._backfill("BTC-PERPETUAL", first, last),
            )
            megabytes = [found.memory_info().rss / 1e6 for found in _family(server)]
            self.figures.record("webserver and code server", f"{sum(megabytes):.0f} MB")

    def _key(self, day: date) -> str:
        return self._grid.key("BTC-PERPETUAL", day)

    def _schedule_ticks(self, ui: DagsterUI) -> None:
        if self._grid.layout is Layout.EACH:
            return  # it has no schedules
        where = {"repositoryName": "__repository__", "repositoryLocationName": self._grid.location}
        tick = {"schedule": where | {"scheduleName": "candles_hourly"}, "at": time.time()}
        self.figures.took("a tick of `candles_hourly`", lambda: ui.query(TICK, **tick))

    def _timed(self, command: list[str]) -> Measured:
        return timed(command, self._env, self._folder)

    def _backfill(self, names: str, first: date, last: date) -> Measured:
        ours = [str(BIN / "deribit-pipeline"), "backfill", "--instruments", names]
        return self._timed([*ours, "--start", str(first), "--end", str(last)])

    def _materialize(self, *partitions: str) -> Measured:
        theirs = [str(BIN / "dagster"), "asset", "materialize", "-m", self._grid.location]
        return self._timed([*theirs, "--select", self._path, *partitions])

    def _record(self, days: list[date], model: date) -> None:
        """Record these days of every instrument, then materialize one more day as the newest."""
        recorded = Partition(self._asset, self._key(model - timedelta(days=1)))
        for asset, names in self._grid.assets.items():
            keys = [self._grid.key(name, day) for name in names for day in days]
            record_like(self._home, recorded, asset, keys)
        self._materialize("--partition", self._key(model))

    @contextmanager
    def _webserver(self) -> Iterator[tuple[DagsterUI, int]]:
        """The UI, and the process that serves it; the time until it responds is a measurement."""
        port, began = free_port(), time.perf_counter()
        process = subprocess.Popen(
            [str(BIN / "dagster-webserver"), "-m", self._grid.location,
             "-h", "127.0.0.1", "-p", str(port)],
            env={"PATH": os.environ["PATH"]} | self._env, cwd=self._folder,
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        ui = DagsterUI(f"http://127.0.0.1:{port}")
        try:
            until(ui.is_loaded, "the webserver", pause=0.05)
            self.figures.record(
                "webserver until it responds", f"{time.perf_counter() - began:.1f} s"
            )
            yield ui, process.pid
        finally:
            end(process)

    def _pages(self, ui: DagsterUI, recorded: str) -> None:
        """The page of an asset's partitions, and the two GraphQL queries behind it."""
        asset = {"path": self._asset}
        record, took = self.figures.record, self.figures.took
        with browsing() as page:
            page.set_default_timeout(600_000)

            def look() -> None:
                page.goto(f"{ui.url}/assets/{self._path}?view=partitions")
                page.get_by_text(re.compile("[0-9] Partitions Selected")).first.wait_for()

            record(f"partition page, first look, {recorded} recorded", _figure(*_cost(look)))
            took(f"partition page, {recorded} recorded", look)
        took(f"statuses over GraphQL, {recorded} recorded", lambda: ui.query(HEALTH, asset=asset))
        took(f"numbers over GraphQL, {recorded} recorded", lambda: ui.query(STATS, asset=asset))

    def _overviews(self, ui: DagsterUI) -> None:
        """The list of all assets, and the graph of their lineage."""
        with browsing() as page:
            page.set_default_timeout(600_000)
            for title, path, text in (
                ("list of assets", "assets", " partitions"),
                ("lineage", "asset-groups", self._grid.asset_group),
            ):

                def look(path: str = path, text: str = text) -> None:
                    page.goto(f"{ui.url}/{path}")
                    page.get_by_text(text).first.wait_for()

                self.figures.took(title, look)

    def _launches(self, ui: DagsterUI) -> None:
        """Backfills of 2,000 keys, as names and as ranges, and the daemon's work on them."""
        grid, days = self._grid, self._grid.days[:200]
        ten = {name: asset for asset, names in grid.assets.items() for name in names[:10]}
        ten = dict(list(ten.items())[:10])
        selected = [{"path": asset} for asset in dict.fromkeys(ten.values())]
        keys = list(dict.fromkeys(grid.key(name, day) for name in ten for day in days))
        by_name = {"assetSelection": selected, "partitionNames": keys}
        spans = {
            asset: [
                {"start": grid.key(name, days[0]), "end": grid.key(name, days[-1])}
                for name, of in ten.items()
                if of == asset
            ]
            for asset in ten.values()
        }
        by_range = {
            "partitionsByAssets": [
                {"assetKey": {"path": asset}, "partitions": {"ranges": ranges}}
                for asset, ranges in spans.items()
            ]
        }
        ui.launch_with(by_range)
        self._ticks()
        self.figures.took("launching 2,000 keys as names", lambda: ui.launch_with(by_name))
        self.figures.took("launching 2,000 keys as ranges", lambda: ui.launch_with(by_range))

    def _ticks(self) -> None:
        """The daemon's iterations: the first launches the runs, the others monitor them."""
        returned = subprocess.run(
            [str(BIN / "python"), str(HERE / "daemon.py"), self._grid.location],
            env={"PATH": os.environ["PATH"]} | self._env, cwd=self._folder,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        # The code server that it starts logs to the same stream.
        output = next(line for line in returned.stdout.splitlines() if line.startswith("["))
        first, *others, megabytes = json.loads(output)
        self.figures.record("a tick of the daemon, launching 10 runs", _figure(*first))
        self.figures.record("a tick of the daemon, waiting for them", _figure(*min(others)))
        self.figures.record("the daemon's memory", f"{megabytes:.0f} MB")


def _cost(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock seconds, and CPU seconds of all our processes together: the latter are stable on a
    shared machine."""
    processors, began = _processors(), time.perf_counter()
    work()
    return time.perf_counter() - began, _processors() - processors


def _processors() -> float:
    """CPU seconds used so far by the processes that we started and their children."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Each process's own user and system time, and the same for its ended children.
    living = (process.cpu_times()[:4] for process in _family(os.getpid())[1:])
    return ended.ru_utime + ended.ru_stime + sum(map(sum, living))


def _figure(seconds: float, processors: float) -> str:
    return f"{seconds:.1f} s ({processors:.1f})"


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def main() -> None:
    """Print the table, one column per grid."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--instruments", default="20,50,200", help="grids of eight years")
    options.add_argument("--since", type=date.fromisoformat, help="also the last since this day")
    options.add_argument("--layouts", type=int, help="also in groups, and an asset each")
    options.add_argument("--repeat", type=int, default=3, help="repetitions, default 3")
    parsed = options.parse_args()
    grids = [Grid(int(number)) for number in filter(None, parsed.instruments.split(","))]
    if parsed.since:
        grids.append(Grid(grids[-1].instruments, parsed.since))
    if parsed.layouts:
        grids += [Grid(parsed.layouts, layout=each) for each in (Layout.GROUPS, Layout.EACH)]
    columns = []
    for grid in grids:
        print(grid.title, flush=True)
        with tempfile.TemporaryDirectory() as folder, sandbox(is_metered=False) as exchange:
            bench = Bench(grid, Path(folder), exchange, parsed.repeat)
            bench.run()
            columns.append(bench.figures.by_row)
    print("\nThe best of each: wall-clock seconds, and CPU seconds in brackets.")
    print(f"\n| | {' | '.join(grid.title for grid in grids)} |")
    print(f"|---|{'--:|' * len(grids)}")
    for row in columns[0]:
        print(f"| {row} | {' | '.join(figures.get(row, '') for figures in columns)} |")
    print(f"\nLoad of the machine at the end, of {os.cpu_count()} cores: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
