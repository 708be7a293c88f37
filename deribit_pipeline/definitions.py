"""The code location: what `deribit-pipeline ui` and `dagster asset materialize` load."""

import os
from collections.abc import Iterator, Mapping

import dagster as dg

from deribit_pipeline.datasets.registry import series_of
from deribit_pipeline.defs.assets import dataset_asset
from deribit_pipeline.defs.checks import dataset_checks
from deribit_pipeline.defs.connectivity_check import DERIBIT_API, reachability_check
from deribit_pipeline.defs.instruments_asset import instruments_asset, instruments_schedule
from deribit_pipeline.defs.lake_maintenance import maintenance_schedule
from deribit_pipeline.defs.partitions import series_days, warn_where_slow
from deribit_pipeline.defs.recording_check import recording_check
from deribit_pipeline.defs.schedules import CRONS, dataset_schedules, is_on_by_default
from deribit_pipeline.domain.location import Lake
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.reach import currencies_of, within_reach
from deribit_pipeline.engine.universe import with_universe
from deribit_pipeline.opening import open_exchange, warehouse_of
from deribit_pipeline.settings import Settings
from deribit_pipeline.variables import FOLDER


def build_definitions(settings: Settings, crons: Mapping[str, str] = CRONS) -> dg.Definitions:
    """Everything that Dagster runs and displays; `crons` are the schedules' cron expressions."""
    warehouse = warehouse_of(settings)
    settings = with_universe(settings, warehouse)
    listed = instruments_asset(settings)
    universe = {
        dataset: currencies_of(dataset, settings) or series_of(dataset, settings.instruments)
        for dataset in within_reach(settings)
    }
    grids = {
        dataset: series_days(dataset.series, series, settings.partitions_since)
        for dataset, series in universe.items()
    }
    warn_where_slow(grids.values())
    assets = {dataset: dataset_asset(dataset, grid) for dataset, grid in grids.items()}
    is_lake = isinstance(settings.warehouse, Lake)  # a file needs no maintenance

    # A closure rather than a configurable resource: Dagster shows the latter's fields, and one of
    # these is a secret.
    @dg.resource(description="Makes days complete: from the exchange into the warehouse.")
    def deribit(_: dg.InitResourceContext) -> Iterator[ForegroundBackfill]:
        with open_exchange(settings) as exchange:
            yield ForegroundBackfill(exchange, warehouse)

    return dg.Definitions(
        assets=[DERIBIT_API, listed, *assets.values()],
        asset_checks=[
            reachability_check(settings),
            *(
                dataset_checks(
                    dataset, warehouse, series, is_on=is_on_by_default(settings, dataset)
                )
                for dataset, series in universe.items()
            ),
            *(
                recording_check(settings, dataset, asset)
                for dataset, asset in assets.items()
                if dataset.recorder
            ),
        ],
        schedules=[
            instruments_schedule(settings, listed, crons),
            *([maintenance_schedule(settings, crons)] if is_lake else []),
            *(
                schedule
                for dataset, series in universe.items()
                for schedule in dataset_schedules(settings, assets[dataset], dataset, series, crons)
            ),
        ],
        resources={"deribit": deribit},
        # The single step of a run mostly waits for the exchange: a separate process for it would
        # only add two seconds.
        executor=dg.in_process_executor,
    )


# The working folder of `ui`, whose processes start elsewhere: the settings' paths are relative to
# it.
os.chdir(os.environ.get(FOLDER, "."))

defs = build_definitions(Settings.load())
