"""The tables of instruments' specifications, which are of no day and so of no dataset."""

from deribit_pipeline.domain.columns import CURRENCY, INSTRUMENT
from deribit_pipeline.domain.tables import Column, Table

INSTRUMENTS = Table(
    name="instruments",
    description="One row for each instrument and each specification that it had.",
    key=("instrument_name", "valid_from"),
    columns=(
        INSTRUMENT,
        Column(
            "instrument_id", "bigint", "The exchange's number of the instrument.", is_nullable=True
        ),
        Column("kind", "varchar", "future, option, spot, future_combo or option_combo."),
        Column("instrument_type", "varchar", "reversed (inverse) or linear.", is_nullable=True),
        Column("base_currency", "varchar", "The currency that amounts of it are in."),
        Column("quote_currency", "varchar", "The currency that its price is in."),
        Column("counter_currency", "varchar", "The counter currency.", is_nullable=True),
        Column("settlement_currency", "varchar", "The currency it settles in.", is_nullable=True),
        Column("settlement_period", "varchar", "perpetual, day, week or month.", is_nullable=True),
        Column("listed_at", "timestamptz", "When it was listed.", "UTC"),
        Column("expires_at", "timestamptz", "When it expires; null: never.", "UTC", True),
        Column("strike", "double", "An option's strike.", "counter currency", True),
        Column("option_type", "varchar", "An option's type: call or put.", is_nullable=True),
        Column("price_index", "varchar", "The index that it follows.", is_nullable=True),
        Column("contract_size", "double", "What one contract is of.", "as amounts of trades"),
        Column("tick_size", "double", "The least step of its price.", "quote currency"),
        Column(
            "tick_size_steps",
            "json",
            "Other steps from certain prices on: `above_price` and `tick_size`, by price.",
        ),
        Column("min_trade_amount", "double", "The least amount.", "as amounts of trades"),
        Column("maker_commission", "double", "What a maker pays.", "fraction of the value", True),
        Column("taker_commission", "double", "What a taker pays.", "fraction of the value", True),
        Column("max_leverage", "double", "The highest leverage.", "times", True),
        Column(
            "valid_from",
            "timestamptz",
            "Since when the specification holds: since the listing for the first one seen, since "
            "the change was seen for a later one.",
            "UTC",
        ),
        Column("valid_to", "timestamptz", "Until when; null: as far as is known.", "UTC", True),
        Column("first_seen_at", "timestamptz", "When the exchange first told it.", "UTC"),
        Column("last_seen_at", "timestamptz", "When it was last told so.", "UTC"),
        Column(
            "run_id",
            "varchar",
            "The Dagster run that wrote the row; empty where the command line did.",
        ),
    ),
    source="public/get_instruments",
    warnings=(
        "What an instrument's specification was before it was first seen, nobody told: changes "
        "before `first_seen_at` are not in here.",
        "A change is dated when it was seen, at most one polling after it happened. What is told "
        "differently only after the expiry changes nothing.",
        "`listed_at` and `expires_at` are the instrument's own, the same in each of its rows.",
        "An instrument that the exchange no longer tells stays: see `last_seen_at`.",
    ),
)


INSTRUMENT_LISTS = Table(
    name="instrument_lists",
    description="One row for each currency of which the exchange was asked for its instruments.",
    key=("currency",),
    columns=(
        CURRENCY,
        Column("asked_at", "timestamptz", "When it was last asked, on its own clock.", "UTC"),
    ),
    source="public/get_instruments",
    warnings=("Of a currency without a row, `instruments` need not hold anything.",),
)


TABLES = (INSTRUMENTS, INSTRUMENT_LISTS)
