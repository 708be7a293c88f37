"""The proofs of all datasets but candles, which have tables of their own; and what is noted of
series and days of every dataset."""

from deribit_pipeline.domain.tables import CROSS_CHECK, PROOF_HASH, Column, Table

_DATASET = Column("dataset", "varchar", "The dataset, by the name of its table.")
_SERIES = Column("series", "varchar", "The instrument, currency or index, by Deribit's own name.")
_DAY = Column("day", "date", "The day of the rows.", "UTC")
_RUN_ID = Column("run_id", "varchar", "The Dagster run that wrote the row.")

DATASET_DAYS = Table(
    name="dataset_days",
    description="One row for each dataset, series and UTC day that was ever asked for: the proof "
    "of what is held of it.",
    key=("dataset", "series", "day"),
    columns=(
        _DATASET,
        _SERIES,
        _DAY,
        Column("state", "varchar", "complete, open, gapped or not_listed."),
        Column("expected", "bigint", "Rows that there must be.", "rows"),
        Column("received", "bigint", "Rows held.", "rows"),
        Column("missing", "bigint", "Rows that the exchange lacks.", "rows"),
        Column("content_hash", "varchar", "BLAKE2b-128 of every value held, in hex."),
        Column("revised", "bigint", "Changes of rows seen so far.", "changes"),
        Column(
            "verdict",
            "varchar",
            "What else is to be said of the day, such as what a comparison with another dataset "
            "found, or that rows are no longer told; empty where there is nothing.",
        ),
        Column(
            "fetched_at",
            "timestamptz",
            "When the exchange last said something new of the day, by its own clock.",
            "UTC",
        ),
        Column("environment", "varchar", "mainnet, testnet or sandbox."),
        Column("source", "varchar", "The API root that answered."),
        _RUN_ID,
        CROSS_CHECK,
        PROOF_HASH,
    ),
    source="counted by this pipeline",
    warnings=("A day without a row was never asked for.",),
)

DATASET_GAPS = Table(
    name="dataset_gaps",
    description="One row for each unbroken stretch of rows that the exchange should have and "
    "lacks.",
    key=("dataset", "series", "day", "gap"),
    columns=(
        _DATASET,
        _SERIES,
        _DAY,
        Column("gap", "varchar", "The keys of the first and the last row that lack."),
        Column("missing", "bigint", "How many rows lack.", "rows"),
        Column("confirmed", "integer", "How many times they were asked for in vain.", "times"),
        Column("confirmed_at", "timestamptz", "When they were last asked for in vain.", "UTC"),
    ),
    source="counted by this pipeline",
)

DATASET_REVISIONS = Table(
    name="dataset_revisions",
    description="One row for each time that the exchange changed a row: what was held before.",
    key=("dataset", "series", "row_key", "replaced_at"),
    columns=(
        _DATASET,
        _SERIES,
        _DAY,
        Column("row_key", "varchar", "The key of the row."),
        Column("held", "json", "The row as it was held, by the names of the table's columns."),
        Column("held_from", "timestamptz", "Since when, at the latest, it was held.", "UTC"),
        Column("replaced_at", "timestamptz", "When the exchange said something else.", "UTC"),
        _RUN_ID,
    ),
    source="counted by this pipeline",
)

_ANY_DATASET = Column("dataset", "varchar", "The dataset by its name, such as candles_1m.")

SERIES_PROOFS = Table(
    name="series_proofs",
    description="One row for each time that days of a series were added or changed, until the next "
    "change merges them: their sums are what candle_days and dataset_days must hold of the series, "
    "so that a day that was removed or added by other means is noticed.",
    key=(),
    columns=(
        _ANY_DATASET,
        _SERIES,
        Column("days", "bigint", "Days that were added.", "days"),
        Column(
            "proofs_hash",
            "varchar",
            "The sum of their proof_hash, less those that they replaced, modulo 2 to the 128, in "
            "hex.",
        ),
    ),
    source="counted by this pipeline",
)

FAILED_DAYS = Table(
    name="failed_days",
    description="One row for each day of a series that was requested and could not be proved; it "
    "goes when the day is proved.",
    key=("dataset", "series", "day"),
    columns=(
        _ANY_DATASET,
        _SERIES,
        Column("day", "date", "The day that was requested.", "UTC"),
        Column("reason", "varchar", "Why it could not be proved."),
        Column("failed_at", "timestamptz", "When it last failed, by this machine's clock.", "UTC"),
        Column("run_id", "varchar", "The Dagster run in which it last failed."),
    ),
    source="counted by this pipeline",
)

TABLES = (DATASET_DAYS, DATASET_GAPS, DATASET_REVISIONS, SERIES_PROOFS, FAILED_DAYS)
