"""Shows in Dagster's UI that the table `instruments` is filled, also where the command line filled
it."""

import dagster as dg

from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.instruments.history import list_sizes, requested_at
from deribit_pipeline.warehouse.instrument_tables import INSTRUMENTS
from deribit_pipeline.warehouse.warehouse import Warehouse


def record_lists(instance: dg.DagsterInstance, warehouse: Warehouse) -> None:
    """Record the lists of instruments that the warehouse holds and this instance does not show as
    materialized. A warehouse that cannot be read is left to the commands that need it."""
    key = dg.AssetKey(INSTRUMENTS.name)
    try:
        if not warehouse.exists():
            return
        with warehouse.reading(as_it_is=True) as connection:
            held = requested_at(connection)
            shown = instance.get_materialized_partitions(key) if held else set()
            sizes = list_sizes(connection) if held.keys() - shown else {}
    except WarehouseError:
        return
    for currency in sorted(held.keys() - shown):
        metadata = {
            "instruments": dg.MetadataValue.int(sizes.get(currency, 0)),
            "as_of": dg.MetadataValue.timestamp(held[currency]),
        }
        instance.report_runless_asset_event(
            dg.AssetMaterialization(key, partition=currency, metadata=metadata)
        )
