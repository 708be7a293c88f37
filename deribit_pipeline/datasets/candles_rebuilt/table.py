"""The table of candles made of trades."""

from dataclasses import replace

from deribit_pipeline.domain.columns import INSTRUMENT, OPENED_AT, VALUES
from deribit_pipeline.domain.tables import Column, Table

TABLE = Table(
    name="candles_rebuilt",
    description="One row for each one-minute candle as the trades of a complete day make it.",
    key=("instrument_name", "opened_at"),
    columns=(
        INSTRUMENT,
        OPENED_AT,
        *(replace(value, is_nullable=value.name.startswith("volume_")) for value in VALUES),
        Column("trades", "integer", "Trades in it.", "trades"),
    ),
    source="the table trades",
    warnings=(
        "A minute without a trade repeats the last close with volume 0.",
        "Volumes of combos are null: their price is a difference of prices, and value over a price "
        "that may be 0 or negative says nothing. So are those of any minute with such a price.",
        "Block trades and legs of combos are counted in: whether the exchange's candles have them "
        "is not known (assumption:candles-blocks).",
    ),
    layout=("sorted by (instrument_name, opened_at)",),
)
