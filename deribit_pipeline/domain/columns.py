"""Columns that several tables share."""

from deribit_pipeline.domain.tables import Column

INSTRUMENT = Column("instrument_name", "varchar", "The instrument, by Deribit's name.")
CURRENCY = Column("currency", "varchar", "The currency, by Deribit's name.")
INDEX_NAME = Column("index_name", "varchar", "The price index, by Deribit's name.")
OPENED_AT = Column(
    "opened_at", "timestamptz", "When the candle opens; the key is the opening.", "UTC"
)
VALUES = (
    Column("open", "double", "Price of the first trade of the candle.", "quote currency"),
    Column("high", "double", "Highest price traded.", "quote currency"),
    Column("low", "double", "Lowest price traded.", "quote currency"),
    Column("close", "double", "Price of the last trade of the candle.", "quote currency"),
    Column("volume_base", "double", "Amount traded: the exchange's `volume`.", "base currency"),
    Column("volume_quote", "double", "Value traded: the exchange's `cost`.", "quote currency"),
)
"""The values of a candle."""
