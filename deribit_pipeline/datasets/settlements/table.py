"""The table of settlements."""

from deribit_pipeline.domain.columns import CURRENCY
from deribit_pipeline.domain.tables import Column, Table

TABLE = Table(
    name="settlements",
    description="One row for each settlement, delivery, exercise or bankruptcy of an instrument.",
    key=("currency", "settled_at", "instrument_name", "type"),
    columns=(
        CURRENCY,
        Column("settled_at", "timestamptz", "When it settled, to the millisecond.", "UTC"),
        Column(
            "instrument_name",
            "varchar",
            "The instrument's name on Deribit; a mark such as #5e0c91b7 for a bankruptcy, "
            "which has no instrument.",
        ),
        Column("type", "varchar", "settlement, delivery, exercise or bankruptcy."),
        Column("position", "double", "The open interest.", "as amounts of trades", True),
        Column("mark_price", "double", "The mark price.", "quote currency", True),
        Column("index_price", "double", "The index.", "currency of the index", True),
        Column("funding", "double", "Funding of the session.", "currency", True),
        Column("profit_loss", "double", "Profit and loss.", "currency", True),
        Column("session_profit_loss", "double", "A total of the session.", "", True),
        Column("funded", "double", "Amount funded, of a bankruptcy.", "currency", True),
        Column("session_bankruptcy", "double", "Of a bankruptcy.", "currency", True),
        Column("session_tax", "double", "Taxes, of a bankruptcy.", "currency", True),
        Column("session_tax_rate", "double", "Their rate, of a bankruptcy.", "fraction", True),
        Column("socialized", "double", "Losses that were socialized.", "currency", True),
    ),
    source="public/get_last_settlements_by_currency",
    warnings=(
        "`exercise` occurs, although it is undocumented.",
        "The exchange publishes no count of settlements: a day is complete once consecutive pages "
        "reach older ones. The check `perpetuals_settle_daily` verifies that each perpetual has "
        "one a day.",
        "A day before the first settlement that the exchange publishes is `not_listed`.",
        "The mark of a bankruptcy distinguishes it from others of its millisecond, and has no "
        "other meaning: it is derived from the row's amounts, so that a bankruptcy whose amounts "
        "the exchange changes is another row.",
        "The scope and unit of `session_profit_loss` are undocumented: two recorded options have "
        "the same value (assumption:settlements-total).",
        "`funding` is null in every recorded row, also of perpetuals: see `funding_rates`.",
    ),
)
