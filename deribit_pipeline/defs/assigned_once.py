"""An instrument stays in the assets of the group in which its days were first recorded.

Otherwise its old days would be in one asset and its new ones in another, and no page would show all
of them. Dagster's storage has the group of each instrument that is in one; an instrument without an
entry belongs to the plain assets if they have days of it.
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

_NAMED = 5  # instruments in a message


def assign(
    instance: dg.DagsterInstance, dataset: Dataset, names: Iterable[str], group: str
) -> None:
    """Record that these series are in this group from now on. Raises MovedInstruments if one is in
    another. Series that are not instruments are in no group."""
    if dataset.series is SeriesKind.INSTRUMENT:
        groups = dict.fromkeys(names, group)
        recorded = require_unmoved(instance, groups)
        if group != PLAIN:
            # One by one: if one of several keys exists, Dagster updates those and inserts none.
            for name in groups.keys() - recorded.keys():
                instance.daemon_cursor_storage.set_cursor_values({_PREFIX + name: group})


def require_unmoved_here(groups: Mapping[str, str]) -> None:
    """As `require_unmoved`, in the instance of DAGSTER_HOME, if it exists and can be opened: a code
    server may have none, and each run checks its own instruments in any case."""
    home = os.environ.get("DAGSTER_HOME")
    if home and Path(home, "dagster.yaml").exists():
        with suppress(dg.DagsterError, *storage_errors()), dg.DagsterInstance.get() as instance:
            require_unmoved(instance, groups)


def require_unmoved(instance: dg.DagsterInstance, groups: Mapping[str, str]) -> dict[str, str]:
    """The recorded groups of these instruments, without those that have none. Raises
    MovedInstruments for instruments whose group in `groups` differs from the recorded one."""
    recorded = _recorded(instance, groups)
    if any(group != PLAIN and name not in recorded for name, group in groups.items()):
        # Only if needed, because it lists partitions: a first run records the group.
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
