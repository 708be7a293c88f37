"""The table of historical volatility."""

from deribit_pipeline.domain.columns import CURRENCY
from deribit_pipeline.domain.tables import Column, Table

TABLE = Table(
    name="historical_volatility",
    description="One row for each hour of a currency: the realised volatility that the exchange "
    "publishes.",
    key=("currency", "measured_at"),
    columns=(
        CURRENCY,
        Column("measured_at", "timestamptz", "The full hour of the measurement.", "UTC"),
        Column("volatility", "double", "The volatility.", "percent a year"),
    ),
    source="public/get_historical_volatility",
    warnings=(
        "Retention-limited: only the last 16 days are available "
        "(assumption:volatility-hours). Hours that were not polled in time are lost; their day is "
        "`gapped`, and its verdict `no longer told`.",
        "An hour is stored once it is over: whether it is the hour before or after `measured_at`, "
        "and whether the running one changes, is not known (assumption:volatility-hour).",
    ),
)
