"""The table of trades."""

from deribit_pipeline.domain.columns import INSTRUMENT
from deribit_pipeline.domain.tables import Column, Table

TABLE = Table(
    name="trades",
    description="One row for each trade.",
    key=("instrument_name", "trade_seq"),
    columns=(
        INSTRUMENT,
        Column("trade_seq", "bigint", "The number of the trade within its instrument."),
        Column("trade_id", "varchar", "The exchange's id of the trade."),
        Column("traded_at", "timestamptz", "When it was traded, to the millisecond.", "UTC"),
        Column("direction", "varchar", "The side of the taker: buy or sell."),
        Column(
            "tick_direction",
            "utinyint",
            "0 up, 1 same after up, 2 down, 3 same after down.",
            is_nullable=False,
        ),
        Column("price", "double", "The price.", "quote currency"),
        Column("mark_price", "double", "The mark price at that time.", "quote currency", True),
        Column("index_price", "double", "The index at that time.", "currency of the index", True),
        Column(
            "amount",
            "double",
            "The amount.",
            "USD for inverse futures, base currency for linear ones and options",
        ),
        Column("contracts", "double", "The amount in contracts.", "contracts", True),
        Column("iv", "double", "An option's implied volatility.", "percent a year", True),
        Column("liquidation", "varchar", "Whose liquidation: M, T or MT.", is_nullable=True),
        Column("block_trade_id", "varchar", "The block trade it is part of.", is_nullable=True),
        Column("combo_id", "varchar", "The combo it is part of.", is_nullable=True),
    ),
    source="public/get_last_trades_by_instrument",
    warnings=(
        "Many trades share a millisecond: order by `trade_seq`, never by `traded_at`.",
        "A trade belongs to the day of its time. Numbers missing between the trades of two days "
        "are gaps of both.",
    ),
    # Keeps an instrument's days together, in a number of files that does not depend on instruments.
    layout=(
        "partitioned by (bucket(32, instrument_name))",
        "sorted by (instrument_name, trade_seq)",
    ),
)
