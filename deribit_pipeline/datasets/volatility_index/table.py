"""The table of the volatility index DVOL."""

from deribit_pipeline.domain.columns import CURRENCY, OPENED_AT
from deribit_pipeline.domain.tables import Column, Table

TABLE = Table(
    name="volatility_index",
    description="One row for each closed candle of a currency's DVOL.",
    key=("currency", "resolution", "opened_at"),
    columns=(
        CURRENCY,
        Column(
            "resolution", "varchar", "A candle's length in Deribit's spelling: 60 or 3600 seconds."
        ),
        OPENED_AT,
        Column("open", "double", "The index at the opening.", "percent a year"),
        Column("high", "double", "Its highest value.", "percent a year"),
        Column("low", "double", "Its lowest value.", "percent a year"),
        Column("close", "double", "The index at the end.", "percent a year"),
    ),
    source="public/get_volatility_index_data",
    warnings=("Resolutions are in seconds here, and in minutes in `candles`.",),
)
