"""The tables of instrument specifications, which have no days and so belong to no dataset."""

from deribit_pipeline.domain.columns import CURRENCY, INSTRUMENT
from deribit_pipeline.domain.tables import Column, Table

INSTRUMENTS = Table(
    name="instruments",
    description="One row for each instrument and each specification that it has had.",
    key=("instrument_name", "valid_from"),
    columns=(
        INSTRUMENT,
        Column(
            "instrument_id",
            "bigint",
            "The exchange's numeric id of the instrument.",
            is_nullable=True,
        ),
        Column("kind", "varchar", "future, option, spot, future_combo or option_combo."),
        Column("instrument_type", "varchar", "reversed (inverse) or linear.", is_nullable=True),
        Column("base_currency", "varchar", "The currency of its amounts."),
        Column("quote_currency", "varchar", "The currency of its price."),
        Column("counter_currency", "varchar", "The counter currency.", is_nullable=True),
        Column("settlement_currency", "varchar", "The currency it settles in.", is_nullable=True),
        Column("settlement_period", "varchar", "perpetual, day, week or month.", is_nullable=True),
        Column("listed_at", "timestamptz", "When it was listed.", "UTC"),
        Column("expires_at", "timestamptz", "When it expires; null: never.", "UTC", True),
        Column("strike", "double", "An option's strike.", "counter currency", True),
        Column("option_type", "varchar", "An option's type: call or put.", is_nullable=True),
        Column("price_index", "varchar", "The price index of the instrument.", is_nullable=True),
        Column("contract_size", "double", "The size of one contract.", "as amounts of trades"),
        Column("tick_size", "double", "The minimum price increment.", "quote currency"),
        Column(
            "tick_size_steps",
            "json",
            "Tick sizes above certain prices: `above_price` and `tick_size`, by price.",
        ),
        Column(
            "min_trade_amount", "double", "The minimum amount of a trade.", "as amounts of trades"
        ),
        Column(
            "maker_commission", "double", "The maker's commission.", "fraction of the value", True
        ),
        Column(
            "taker_commission", "double", "The taker's commission.", "fraction of the value", True
        ),
        Column("max_leverage", "double", "The maximum leverage.", "times", True),
        Column(
            "valid_from",
            "timestamptz",
            "Since when the specification applies: since the listing for the first one seen, since "
            "the change was seen for a later one.",
            "UTC",
        ),
        Column("valid_to", "timestamptz", "Until when; null: it is current.", "UTC", True),
        Column("first_seen_at", "timestamptz", "When the exchange first returned it.", "UTC"),
        Column("last_seen_at", "timestamptz", "When the exchange last returned it.", "UTC"),
        Column(
            "run_id",
            "varchar",
            "The Dagster run that wrote the row; empty if the command line did.",
        ),
    ),
    source="public/get_instruments",
    warnings=(
        "Specifications from before `first_seen_at` are unknown: earlier changes are not in this "
        "table.",
        "A change is dated when it was seen, at most one polling interval after it happened. A "
        "difference that is returned only after the expiry changes nothing.",
        "`listed_at` and `expires_at` belong to the instrument: they are the same in each row.",
        "An instrument that the exchange no longer returns stays: see `last_seen_at`.",
    ),
)


INSTRUMENT_LISTS = Table(
    name="instrument_lists",
    description="One row for each currency whose instruments were requested from the exchange.",
    key=("currency",),
    columns=(
        CURRENCY,
        Column(
            "asked_at",
            "timestamptz",
            "When its instruments were last requested, by the exchange's clock.",
            "UTC",
        ),
    ),
    source="public/get_instruments",
    warnings=("For a currency without a row, `instruments` may have no instruments.",),
)


TABLES = (INSTRUMENTS, INSTRUMENT_LISTS)
