"""The code location: what `deribit-pipeline ui` and `dagster asset materialize` load."""

import os
from collections.abc import Iterator, Mapping

import dagster as dg

from deribit_pipeline.defs.assets import dataset_asset
from deribit_pipeline.defs.assigned_once import require_unmoved_here
from deribit_pipeline.defs.checks import dataset_checks
from deribit_pipeline.defs.connectivity_check import DERIBIT_API, reachability_check
from deribit_pipeline.defs.grouped_series import grouped_series, groups_of, resolved
from deribit_pipeline.defs.instruments_asset import instruments_asset, instruments_schedule
from deribit_pipeline.defs.lake_maintenance import maintenance_schedule
from deribit_pipeline.defs.partitions import warn_where_slow
from deribit_pipeline.defs.recording_check import recording_check
from deribit_pipeline.defs.schedules import CRONS, dataset_schedules, is_on_by_default
from deribit_pipeline.domain.location import Lake
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.group_members import PLAIN
from deribit_pipeline.opening import open_exchange, warehouse_of
from deribit_pipeline.settings import Settings
from deribit_pipeline.variables import FOLDER


def build_definitions(settings: Settings, crons: Mapping[str, str] = CRONS) -> dg.Definitions:
    """Everything that Dagster runs and displays; `crons` are the schedules' cron expressions."""
    warehouse = warehouse_of(settings)
    settings, members = resolved(settings, warehouse)
    require_unmoved_here(groups_of(settings, members))
    listed = instruments_asset(settings)
    assets = [
        (grouped, dataset_asset(grouped.dataset, grouped.grid, grouped.group))
        for grouped in grouped_series(settings, members)
    ]
    warn_where_slow({asset.key.to_user_string(): grouped.grid for grouped, asset in assets})
    is_lake = isinstance(settings.warehouse, Lake)  # a file needs no maintenance

    # A closure rather than a configurable resource: Dagster shows the latter's fields, and one of
    # these is a secret.
    @dg.resource(description="Makes days complete: from the exchange into the warehouse.")
    def deribit(_: dg.InitResourceContext) -> Iterator[ForegroundBackfill]:
        with open_exchange(settings) as exchange:
            yield ForegroundBackfill(exchange, warehouse)

    return dg.Definitions(
        assets=[DERIBIT_API, listed, *(asset for _, asset in assets)],
        asset_checks=[
            reachability_check(settings),
            *(
                dataset_checks(
                    grouped.dataset,
                    warehouse,
                    grouped.series,
                    is_on=is_on_by_default(settings, grouped.dataset),
                    group=grouped.group,
                    members=members,
                )
                for grouped, _ in assets
            ),
            *(
                recording_check(settings, grouped.dataset, asset)
                for grouped, asset in assets
                if grouped.dataset.recorder and grouped.group == PLAIN
            ),
        ],
        schedules=[
            instruments_schedule(settings, listed, crons),
            *([maintenance_schedule(settings, crons)] if is_lake else []),
            *(
                schedule
                for grouped, asset in assets
                for schedule in dataset_schedules(settings, asset, grouped, crons)
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
