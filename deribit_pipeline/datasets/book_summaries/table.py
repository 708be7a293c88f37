"""The table of book summaries."""

from deribit_pipeline.domain.columns import CURRENCY, INSTRUMENT
from deribit_pipeline.domain.tables import Column, Table

_COIN = "price unit of the instrument"


def _value(name: str, description: str, unit: str = "") -> Column:
    return Column(name, "double", description, unit, is_nullable=True)


TABLE = Table(
    name="book_summaries",
    description="One row for each instrument that was listed at the instant of a recorded "
    "snapshot.",
    key=("currency", "snapshot_at", "instrument_name"),
    columns=(
        Column(
            "snapshot_at",
            "timestamptz",
            "The instant that the snapshot describes, by the exchange's clock: its "
            "`creation_timestamp`, the same for all instruments of a snapshot.",
            "UTC",
        ),
        CURRENCY,
        INSTRUMENT,
        Column("kind", "varchar", "future, option, spot, future_combo or option_combo."),
        _value("bid_price", "The best bid; null if there is none.", _COIN),
        _value("ask_price", "The best ask; null if there is none.", _COIN),
        _value("mark_price", "The exchange's mark price.", _COIN),
        _value("last_price", "The price of the last trade; null if it never traded.", _COIN),
        _value("mark_iv", "Implied volatility of the mark price; null but for options.",
               "percent a year"),
        _value("open_interest", "Open contracts.", "USD of inverse futures, coins of all others"),
        _value("volume", "Amount traded in 24 hours.", "base currency"),
        Column("underlying_index", "varchar", "The future, or the synthetic one, whose price is "
               "`underlying_price`; null but for options.", is_nullable=True),
        _value("underlying_price", "The forward price for the expiry; null but for options.",
               "counter currency"),
        _value("interest_rate", "The rate that the exchange uses in its option prices; null but "
               "for options.", "fraction a year"),
        _value("estimated_delivery_price", "The price at which it would be delivered now.",
               "counter currency"),
        _value("current_funding", "The current funding; null but for perpetuals.", "fraction"),
        _value("funding_8h", "The funding of the last eight hours; null but for perpetuals.",
               "fraction"),
        Column(
            "received_at",
            "timestamptz",
            "When the response had arrived, by the exchange's clock: nothing of the snapshot was "
            "known here before.",
            "UTC",
        ),
    ),
    source="public/get_book_summary_by_currency",
    warnings=(
        "Recorded as it happened: a slot that was not recorded is a gap that can never be filled, "
        "and its day stays `gapped`. `expected`, `received` and `missing` of its proofs count "
        "snapshots, not rows.",
        "Prices of inverse options and their combos are in coins, of linear ones in USDC, of "
        "inverse futures in USD.",
        "A snapshot is complete if its names are exactly the futures, options and spot pairs "
        "listed at its instant, according to listings from before it and after it; combos, which "
        "come and go in between, are stored and not counted.",
    ),
)  # fmt: skip
