"""The code location: what `dagster dev` and `dagster asset materialize` load."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from deribit_pipeline.defs.candles import candles_asset
from deribit_pipeline.defs.exchange import DERIBIT_API, reachability_check
from deribit_pipeline.defs.partitions import instrument_days
from deribit_pipeline.domain import Resolution
from deribit_pipeline.operations.exchange import Exchange, open_exchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.file import Warehouse


def build_definitions(
    settings: Settings, resources: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """All that Dagster runs and shows; `resources` take the place of those the settings give."""
    grid = instrument_days(settings.instruments)

    # A closure rather than a configurable resource: Dagster shows the latter's fields, and one of
    # these is a secret.
    @dg.resource(description="The configured exchange, opened for one step.")
    def deribit(_: dg.InitResourceContext) -> Iterator[Exchange]:
        with open_exchange(settings) as exchange:
            yield exchange

    return dg.Definitions(
        assets=[DERIBIT_API, *(candles_asset(resolution, grid) for resolution in Resolution)],
        asset_checks=[reachability_check(settings)],
        resources={
            "deribit": deribit,
            "warehouse": Warehouse(settings.warehouse, settings.environment),
            "progress": lambda outcome: None,
            **(resources or {}),
        },
        # A run's one step spends its time waiting for the exchange: a process of its own for it
        # would only add two seconds.
        executor=dg.in_process_executor,
    )


defs = build_definitions(Settings.load())
