"""The code location: what `dagster dev` and `dagster asset materialize` load."""

from collections.abc import Iterator

import dagster as dg

from deribit_pipeline.defs.candles import candles_asset
from deribit_pipeline.defs.exchange import DERIBIT_API, reachability_check
from deribit_pipeline.defs.partitions import instrument_days
from deribit_pipeline.domain import Resolution
from deribit_pipeline.operations.backfill import ForegroundBackfill
from deribit_pipeline.operations.exchange import open_exchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.file import Warehouse


def build_definitions(settings: Settings) -> dg.Definitions:
    """All that Dagster runs and shows."""
    grid = instrument_days(settings.instruments)

    # A closure rather than a configurable resource: Dagster shows the latter's fields, and one of
    # these is a secret.
    @dg.resource(description="Makes days complete: from the exchange into the warehouse.")
    def deribit(_: dg.InitResourceContext) -> Iterator[ForegroundBackfill]:
        with open_exchange(settings) as exchange:
            yield ForegroundBackfill(exchange, Warehouse(settings.warehouse, settings.environment))

    return dg.Definitions(
        assets=[DERIBIT_API, *(candles_asset(resolution, grid) for resolution in Resolution)],
        asset_checks=[reachability_check(settings)],
        resources={"deribit": deribit},
        # A run's one step spends its time waiting for the exchange: a process of its own for it
        # would only add two seconds.
        executor=dg.in_process_executor,
    )


defs = build_definitions(Settings.load())
