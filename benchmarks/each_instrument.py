"""A code location with an asset for each instrument and dataset, partitioned by day, to compare
with the project's own, whose assets have several instruments. Its assets fetch nothing."""

import os

import dagster as dg

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.defs.descriptions import column_schema, description
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.settings import FIRST_DAY

_DAYS = dg.DailyPartitionsDefinition(FIRST_DAY.isoformat(), timezone="UTC", end_offset=1)


def _asset(dataset: Dataset, instrument_name: str) -> dg.AssetsDefinition:
    name = instrument_name.replace("-", "_")

    @dg.asset(
        key=[name, dataset.name],
        partitions_def=_DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=name,
        kinds={"deribit", "duckdb"},
        description=description(dataset),
        metadata={"dagster/column_schema": column_schema(dataset.table)},
    )
    def days() -> None:
        """Nothing: only the cost of the partitions is measured."""

    return days


defs = dg.Definitions(
    assets=[
        _asset(dataset, name)
        for name in os.environ["DERIBIT_INSTRUMENTS"].split(",")
        for dataset in DATASETS.values()
        if dataset.series is SeriesKind.INSTRUMENT
    ],
    executor=dg.in_process_executor,
)
