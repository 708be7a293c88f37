"""The table of delivery prices."""

from deribit_pipeline.domain.columns import INDEX_NAME
from deribit_pipeline.domain.tables import Column, Table

TABLE = Table(
    name="delivery_prices",
    description="One row for each day of an index: the price at which expiring contracts settle.",
    key=("index_name", "delivery_date"),
    columns=(
        INDEX_NAME,
        Column("delivery_date", "date", "The day of delivery, at 08:00.", "UTC"),
        Column("delivery_price", "double", "The price.", "quote currency"),
    ),
    source="public/get_delivery_prices",
    warnings=(
        "Each day since the first price is expected to have one: for an index without daily "
        "expiries, the days between are gaps.",
    ),
)
