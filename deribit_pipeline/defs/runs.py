"""Dagster runs inside this process, on the instance that the UI shows."""

import fcntl
import importlib.resources
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg

from deribit_pipeline.defs.candles import Progress, asset_name, candles_asset
from deribit_pipeline.defs.partitions import instrument_days, partition_key
from deribit_pipeline.domain import Resolution, spans_of
from deribit_pipeline.errors import SettingsError
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.warehouse.file import Warehouse

# A run costs as much as some thirty of its days, so days already proved are recorded again rather
# than a run broken in two. Runs end at some hundred days, for Dagster's memory grows with them.
_BRIDGED_DAYS = 30
_MOST_DAYS = 1_500


@dataclass(frozen=True, slots=True)
class Block:
    """What one run makes: every day from `first` to `last` of each instrument."""

    instruments: tuple[str, ...]
    first: date
    last: date


def blocks(days: Mapping[str, Collection[date]], most: int = _MOST_DAYS) -> list[Block]:
    """The instrument-days as runs, instruments that want the same days in one."""
    alike: dict[tuple[date, date], list[str]] = {}
    for name, wanted in days.items():
        for span in spans_of(wanted, bridging=_BRIDGED_DAYS):
            alike.setdefault(span, []).append(name)
    found = []
    for (first, last), names in sorted(alike.items()):
        length = (last - first).days + 1
        together = max(1, most // length)
        found += [
            Block(tuple(names[n : n + together]), first, last)
            for n in range(0, len(names), together)
        ]
    return found


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of DAGSTER_HOME; a home that has no dagster.yaml is given the project's.

    Raises SettingsError where the home cannot be used.
    """
    home = home.absolute()
    os.environ["DAGSTER_HOME"] = str(home)  # Dagster, and our log file, read it from there
    try:
        home.mkdir(parents=True, exist_ok=True)
        # Dagster's databases must be made by one process: several at once fail (1.13.27).
        with (home / ".first-start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            configuration = home / "dagster.yaml"
            if not configuration.exists():
                template = importlib.resources.files("deribit_pipeline") / "dagster.yaml"
                configuration.write_text(template.read_text())
            instance = dg.DagsterInstance.get()
    except OSError as error:
        raise SettingsError(
            f"DAGSTER_HOME {home} cannot be used ({error.strerror}): make it a folder that can "
            "be written."
        ) from error
    with instance:
        yield instance


def unrecorded(
    instance: dg.DagsterInstance,
    resolution: Resolution,
    days: Mapping[str, Collection[date]],
) -> set[tuple[str, date]]:
    """The instrument-days that this instance does not show as materialized."""
    recorded = instance.get_materialized_partitions(dg.AssetKey(asset_name(resolution)))
    return {
        (name, day)
        for name, wanted in days.items()
        for day in wanted
        if partition_key(name, day) not in recorded
    }


def materialize(
    instance: dg.DagsterInstance,
    resolution: Resolution,
    block: Block,
    *,
    exchange: Exchange,
    warehouse: Warehouse,
    progress: Progress,
    force: bool,
) -> bool:
    """Run the asset of a resolution for one block; whether the run succeeded."""
    grid = instrument_days(block.instruments, block.first, block.last)
    asset = candles_asset(resolution, grid)
    location = dg.Definitions(
        assets=[asset],
        resources={"deribit": exchange, "warehouse": warehouse, "progress": progress},
    )
    # The implicit job is the one that the UI's own backfills run, so that it shows them alike.
    result = location.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        asset_selection=[asset.key],
        run_config={
            "ops": {asset.op.name: {"config": {"force": force}}},
            # The command line speaks for itself; the run's log and the log file have it all.
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        tags={
            "dagster/asset_partition_range_start": partition_key(block.instruments[0], block.first),
            "dagster/asset_partition_range_end": partition_key(block.instruments[-1], block.last),
        },
        raise_on_error=False,
    )
    return result.success
