"""An instrument stays in the assets of the group in which its days were first recorded.

Moved to another group, it would have its old days in one asset and its new ones in another, and no
page would show all of them. Dagster's storage keeps the group of each instrument that is in one; an
instrument that is in none has days in the plain assets.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import dagster as dg

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.defs.asset_names import asset_key
from deribit_pipeline.defs.partitions import series_of
from deribit_pipeline.defs.storage_errors import storage_errors
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.first_names import first_names
from deribit_pipeline.engine.group_members import PLAIN
from deribit_pipeline.errors import MovedInstruments

_PREFIX = "deribit_pipeline/group_of/"

_TOGETHER = 500  # keys of one query

_NAMED = 5


def assign(
    instance: dg.DagsterInstance, dataset: Dataset, names: Iterable[str], group: str
) -> None:
    """Record that these series are in this group from now on. Raises MovedInstruments if one is in
    another; series that are no instruments are in none."""
    if dataset.series is SeriesKind.INSTRUMENT:
        groups = dict.fromkeys(names, group)
        recorded = require_unmoved(instance, groups)
        if group != PLAIN:
            for name in groups.keys() - recorded.keys():  # several pairs would all be updates
                instance.daemon_cursor_storage.set_cursor_values({_PREFIX + name: group})


def require_unmoved_here(groups: Mapping[str, str]) -> None:
    """As `require_unmoved`, in the instance of DAGSTER_HOME, if there is one that can be opened: a
    code server may have none, and each run checks its own instruments in any case."""
    home = os.environ.get("DAGSTER_HOME")
    if home and Path(home, "dagster.yaml").exists():
        with suppress(dg.DagsterError, *storage_errors()), dg.DagsterInstance.get() as instance:
            require_unmoved(instance, groups)


def require_unmoved(instance: dg.DagsterInstance, groups: Mapping[str, str]) -> dict[str, str]:
    """The recorded groups of those of the instruments that have one. Raises MovedInstruments for
    those whose group in `groups` is another."""
    recorded = _recorded(instance, groups)
    if any(group != PLAIN and name not in recorded for name, group in groups.items()):
        # Read last: it lists partitions, and an instrument is unknown only until its first run.
        recorded = dict.fromkeys(_plain(instance), PLAIN) | recorded
    moved: dict[tuple[str, str], list[str]] = {}
    for name, group in groups.items():
        if recorded.get(name, group) != group:
            moved.setdefault((recorded[name], group), []).append(name)
    for (former, group), names in moved.items():
        raise MovedInstruments(
            f"The days of {first_names(names, _NAMED)} are recorded in {_assets(former)}, and the "
            f"settings have them in {_assets(group)}: {_remedy(former)}, or set DAGSTER_HOME to a "
            "new folder, into which `deribit-pipeline backfill` records what the warehouse holds "
            "without fetching it again."
        )
    return {name: recorded[name] for name in groups if name in recorded}


def _recorded(instance: dg.DagsterInstance, names: Iterable[str]) -> dict[str, str]:
    keys = [_PREFIX + name for name in names]
    found: dict[str, str] = {}
    for begin in range(0, len(keys), _TOGETHER):
        some = set(keys[begin : begin + _TOGETHER])
        found.update(instance.daemon_cursor_storage.get_cursor_values(some))
    return {key.removeprefix(_PREFIX): group for key, group in found.items()}


def _plain(instance: dg.DagsterInstance) -> set[str]:
    """The instruments that have days in the plain assets."""
    return {
        name
        for dataset in DATASETS.values()
        if dataset.series is SeriesKind.INSTRUMENT
        for name in series_of(instance.get_materialized_partitions(asset_key(dataset)))
    }


def _assets(group: str) -> str:
    return f"the assets of the group {group}" if group else "the assets without a group"


def _remedy(group: str) -> str:
    if group == PLAIN:
        return "take them out of the group"
    return f"put them back into the group {group} in DERIBIT_GROUPS"
