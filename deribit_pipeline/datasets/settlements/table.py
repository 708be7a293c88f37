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
            "The instrument, by Deribit's own name; a mark such as #5e0c91b7 for a bankruptcy, "
            "which is of none.",
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
        "`exercise` occurs, though the documentation knows no such type.",
        "Nobody can count settlements: a day is complete once pages that join have told older "
        "ones. That each perpetual has its own, the check `perpetuals_settle_daily` looks at.",
        "A day before the first settlement that the exchange tells is `not_listed`.",
        "The mark of a bankruptcy tells it apart from others of its millisecond, and says nothing: "
        "it is made of the row's own amounts, so that one whose amounts the exchange changes is "
        "another row.",
        "Whose total `session_profit_loss` is, and in what, no response shows: two options that "
        "were recorded have the same (assumption:settlements-total).",
        "`funding` is null in every recorded row, also of perpetuals: see `funding_rates`.",
    ),
)
