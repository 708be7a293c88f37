"""The table of funding rates."""

from deribit_pipeline.domain.columns import INSTRUMENT
from deribit_pipeline.domain.tables import Column, Table

TABLE = Table(
    name="funding_rates",
    description="One row for each hour of a perpetual.",
    key=("instrument_name", "funded_at"),
    columns=(
        INSTRUMENT,
        Column("funded_at", "timestamptz", "The end of the hour.", "UTC"),
        Column(
            "interest_1h",
            "double",
            "Funding of the hour, as a share of the position's value at its beginning.",
            "fraction",
        ),
        Column(
            "interest_8h",
            "double",
            "Funding of the last eight hours, as a share of the position's value at their start.",
            "fraction",
        ),
        Column("index_price", "double", "The index at the end.", "currency of the index"),
        Column("prev_index_price", "double", "The index an hour before.", "currency of the index"),
    ),
    source="public/get_funding_rate_history",
    warnings=(
        "A positive rate is paid by long to short positions.",
        "`interest_8h` covers eight hours, of which the next row covers seven again: sum "
        "`interest_1h` instead, preferably with cumulative_funding.",
        "A few hours were never published: see dataset_gaps.",
    ),
)
