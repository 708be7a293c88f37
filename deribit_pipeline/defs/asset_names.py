"""The names of a dataset's assets: one for each group of instruments.

The plain asset `candles_1m` has the instruments of DERIBIT_INSTRUMENTS and those in no group, the
asset `alts/candles_1m` those of the group `alts`. Datasets whose series are not instruments have
the plain asset only.
"""

import dagster as dg

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.defs.descriptions import group_name
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.schedule import Schedule
from deribit_pipeline.engine.group_members import PLAIN


def asset_key(dataset: Dataset, group: str = PLAIN) -> dg.AssetKey:
    """The key of a dataset's asset for a group."""
    return dg.AssetKey([*_prefix(dataset, group), dataset.name])


def upstream_key(dataset: Dataset, group: str = PLAIN) -> dg.AssetKey:
    """The key of the asset from which the dataset's rows are made: of another dataset, or of the
    exchange."""
    made_of = DATASETS.get(dataset.made_of)
    return asset_key(made_of, group) if made_of else dg.AssetKey("deribit_api")


def asset_group(dataset: Dataset, group: str = PLAIN) -> str:
    """The asset group, by which the UI sorts assets: the group of instruments, or the dataset's."""
    return "_".join(_prefix(dataset, group)) or group_name(dataset)


def schedule_name(dataset: Dataset, schedule: Schedule, group: str = PLAIN) -> str:
    """The name of a schedule: `candles_hourly`, of a group `alts_candles_hourly`."""
    return "_".join([*_prefix(dataset, group), dataset.schedule_name(schedule)])


def _prefix(dataset: Dataset, group: str) -> list[str]:
    return [group] if group != PLAIN and dataset.series is SeriesKind.INSTRUMENT else []
