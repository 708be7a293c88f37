"""The tables of trades, and of the sessions in which they were recorded."""

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

_MISSING = "of instruments of which the day is stored"

RECORDER_SESSIONS = Table(
    name="recorder_sessions",
    description="One row for each process of the recorder, stream of trades and UTC day: how well "
    "they were recorded, as of the last time that the day was taken in.",
    key=("stream", "day", "started_at"),
    columns=(
        Column("stream", "varchar", "The stream, by kind and settlement currency: future.BTC."),
        Column("day", "date", "The day on which it was received.", "UTC"),
        Column("started_at", "timestamptz", "When the process started.", "UTC"),
        Column(
            "seen_until",
            "timestamptz",
            "When its last entry of the day was written, by its machine's clock.",
            "UTC",
        ),
        Column(
            "is_ended",
            "boolean",
            "Whether it ended by itself or by a signal, not by a kill or a crash.",
        ),
        Column("connections", "integer", "Connections that began.", "connections"),
        Column("disconnections", "integer", "Connections that ended.", "connections"),
        Column("frames", "bigint", "Notifications received.", "notifications"),
        Column("trades", "bigint", "Trades in them, repeated ones included.", "trades"),
        Column(
            "latency_median",
            "double",
            "From a trade's time to its receipt, by the exchange's clock: the median.",
            "ms",
            True,
        ),
        Column("latency_p99", "double", "The same: the 99th percentile.", "ms", True),
        Column(
            "holes",
            "bigint",
            f"Runs of missing numbers before its trades, {_MISSING}; those before the first "
            "recorded trade of an instrument's day are not counted.",
            "runs",
        ),
        Column("missing", "bigint", "Trades missing in them.", "trades"),
        Column("fetched", "bigint", "How many of these are stored from requests.", "trades"),
        Column("unfilled", "bigint", "How many of these are not stored.", "trades"),
        Column("run_id", "varchar", "The Dagster run that took the day in last."),
    ),
    source="the recorder's spool",
    warnings=(
        "Rows stay when the recordings are removed from the spool, which happens once their day is "
        "proved.",
    ),
)
