"""The code location: what `dagster dev` and `dagster asset materialize` load."""

from collections.abc import Iterator, Mapping

import dagster as dg

from deribit_pipeline.defs.candles import candles_asset
from deribit_pipeline.defs.checks import candles_checks
from deribit_pipeline.defs.exchange import DERIBIT_API, reachability_check
from deribit_pipeline.defs.partitions import instrument_days
from deribit_pipeline.defs.schedules import CRONS, candles_schedules
from deribit_pipeline.domain import Resolution
from deribit_pipeline.operations.backfill import ForegroundBackfill
from deribit_pipeline.operations.exchange import open_exchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.file import Warehouse


def build_definitions(settings: Settings, crons: Mapping[str, str] = CRONS) -> dg.Definitions:
    """All that Dagster runs and shows; `crons` are when its schedules tick."""
    grid = instrument_days(settings.instruments)
    candles = {resolution: candles_asset(resolution, grid) for resolution in Resolution}
    warehouse = Warehouse(settings.warehouse, settings.environment)

    # A closure rather than a configurable resource: Dagster shows the latter's fields, and one of
    # these is a secret.
    @dg.resource(description="Makes days complete: from the exchange into the warehouse.")
    def deribit(_: dg.InitResourceContext) -> Iterator[ForegroundBackfill]:
        with open_exchange(settings) as exchange:
            yield ForegroundBackfill(exchange, warehouse)

    return dg.Definitions(
        assets=[DERIBIT_API, *candles.values()],
        asset_checks=[
            reachability_check(settings),
            *(candles_checks(each, warehouse, settings.instruments) for each in Resolution),
        ],
        # What is finer than all others is kept by itself; the others are there to be asked.
        schedules=candles_schedules(
            settings, candles[Resolution.MINUTE_1], Resolution.MINUTE_1, crons
        ),
        resources={"deribit": deribit},
        # A run's one step spends its time waiting for the exchange: a process of its own for it
        # would only add two seconds.
        executor=dg.in_process_executor,
    )


defs = build_definitions(Settings.load())
