"""The table of index prices."""

from deribit_pipeline.domain.columns import INDEX_NAME
from deribit_pipeline.domain.tables import Column, Table

TABLE = Table(
    name="index_prices",
    description="One row for each point of an index's chart.",
    key=("index_name", "priced_at"),
    columns=(
        INDEX_NAME,
        Column("priced_at", "timestamptz", "The time of the point.", "UTC"),
        Column("price", "double", "The average of the index around that time.", "quote currency"),
    ),
    source="public/get_index_chart_data",
    warnings=(
        "Retention-limited: these are the points of the two-day chart. Points that were not "
        "polled in time are lost; their day is `gapped`, and its verdict `no longer told`.",
        "The two-day chart is the finest one that contains all of yesterday at any time of day. "
        "The one-hour chart has points every six seconds, which are not stored.",
        "The distance between points is that of the chart. Whether a point averages the span "
        "before it or after it is not known (assumption:volatility-hour): it is stored once "
        "both are over.",
    ),
)
