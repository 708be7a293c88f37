"""The asset `instruments`: listed and expired instruments of the exchange, by currency."""

from collections.abc import Iterator, Mapping

import dagster as dg

from deribit_pipeline.defs.descriptions import column_schema, table_description
from deribit_pipeline.defs.schedules import CRONS, default_status
from deribit_pipeline.domain.specification import CURRENCIES
from deribit_pipeline.engine.universe import known_currencies
from deribit_pipeline.errors import DeribitPipelineError, WarehouseError
from deribit_pipeline.instruments.refresh import Refreshed, exchange_currencies, refresh
from deribit_pipeline.opening import open_exchange, warehouse_of
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.instrument_tables import INSTRUMENTS

_SCHEDULE = "instruments_daily"


def _currencies(settings: Settings) -> tuple[str, ...]:
    """Known currencies, and those found in the warehouse when the code location was loaded."""
    try:
        return known_currencies(warehouse_of(settings))
    except WarehouseError:  # commands that need the warehouse report it
        return CURRENCIES


def instruments_asset(settings: Settings) -> dg.AssetsDefinition:
    """The asset; each partition requests the listings of one currency, so that a failure affects
    only that currency. A new currency is listed at once, and has its partition after a reload."""
    partitions = dg.StaticPartitionsDefinition(list(_currencies(settings)))

    @dg.asset(
        name=INSTRUMENTS.name,
        partitions_def=partitions,
        deps=["deribit_api"],
        group_name="reference",
        kinds={"deribit", "duckdb"},
        owners=["team:market-data"],
        description=table_description(
            "Instruments, listed and expired, with the history of their specifications: one "
            "partition for each currency.",
            INSTRUMENTS,
        ),
        metadata={
            "dagster/column_schema": column_schema(INSTRUMENTS),
            "dagster/table_name": INSTRUMENTS.name,
        },
    )
    def instruments(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        warehouse = warehouse_of(settings)
        try:
            with open_exchange(settings) as exchange:
                returned = refresh(exchange, warehouse, context.partition_key, context.run.run_id)
                if context.partition_key == CURRENCIES[0]:
                    known = set(known_currencies(warehouse))
                    for new in sorted(set(exchange_currencies(exchange)) - known):
                        refresh(exchange, warehouse, new, context.run.run_id)
        except DeribitPipelineError as error:
            raise dg.Failure(str(error)) from error
        return dg.MaterializeResult(metadata=_metadata(returned))

    return instruments


def instruments_schedule(
    settings: Settings, asset: dg.AssetsDefinition, crons: Mapping[str, str] = CRONS
) -> dg.ScheduleDefinition:
    """The schedule `instruments_daily`: every currency once a day."""

    @dg.schedule(
        name=_SCHEDULE,
        cron_schedule=crons[_SCHEDULE],
        execution_timezone="UTC",
        target=dg.AssetSelection.assets(asset.key),
        default_status=default_status(is_on=settings.schedules),
        description="Listed instruments of every currency: new instruments, and changed "
        "specifications.",
    )
    def ticks(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        for currency in asset.partitions_def.get_partition_keys() if asset.partitions_def else ():
            yield dg.RunRequest(
                run_key=f"{context.scheduled_execution_time:%Y-%m-%dT%H:%M} {currency}",
                partition_key=currency,
            )

    return ticks


def _metadata(returned: Refreshed) -> dict[str, dg.MetadataValue]:
    return {
        "new": dg.MetadataValue.int(returned.new),
        "changed": dg.MetadataValue.int(len(returned.changed)),
        "unchanged": dg.MetadataValue.int(returned.unchanged),
        "unconfirmed": dg.MetadataValue.int(len(returned.unconfirmed)),
        "not_understood": dg.MetadataValue.int(len(returned.malformed)),
        "lists_that_failed": dg.MetadataValue.int(len(returned.failed)),
        "as_of": dg.MetadataValue.text(f"{returned.as_of:%Y-%m-%d %H:%M:%S} UTC"),
    }
