"""The table of index prices."""

from deribit_pipeline.domain.columns import INDEX_NAME
from deribit_pipeline.domain.tables import Column, Table

TABLE = Table(
    name="index_prices",
    description="One row for each point of an index's chart.",
    key=("index_name", "priced_at"),
    columns=(
        INDEX_NAME,
        Column("priced_at", "timestamptz", "The moment of the point.", "UTC"),
        Column("price", "double", "The average of the index about then.", "quote currency"),
    ),
    source="public/get_index_chart_data",
    warnings=(
        "Cannot be asked for again: these are the points of the chart of two days. What was not "
        "polled in time is lost; its day is `gapped`, and its verdict `no longer told`.",
        "Two days are the finest chart that has the whole of yesterday whenever it is asked for. "
        "That of an hour has points every six seconds, which are not kept.",
        "How far apart points are is what the chart shows. Whether a point averages the span "
        "before it or after it is not known (assumption:volatility-hour): one is stored once "
        "either is over.",
    ),
)
