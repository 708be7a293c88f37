"""The table of candles rebuilt from trades."""

from dataclasses import replace

from deribit_pipeline.domain.columns import INSTRUMENT, OPENED_AT, VALUES
from deribit_pipeline.domain.tables import Column, Table

TABLE = Table(
    name="candles_rebuilt",
    description="One row for each one-minute candle rebuilt from the trades of a complete day.",
    key=("instrument_name", "opened_at"),
    columns=(
        INSTRUMENT,
        OPENED_AT,
        *(replace(value, is_nullable=value.name.startswith("volume_")) for value in VALUES),
        Column("trades", "integer", "Trades in the candle.", "trades"),
    ),
    source="the table trades",
    warnings=(
        "A minute without a trade repeats the last close with volume 0.",
        "Volumes of combos are null: their price is a difference of prices, and value divided by a "
        "price that may be 0 or negative is meaningless. So are those of any minute with such a "
        "price.",
        "Block trades and legs of combos are counted: whether the exchange's candles include them "
        "is not known (assumption:candles-blocks).",
    ),
    layout=("sorted by (instrument_name, opened_at)",),
)
