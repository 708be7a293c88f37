"""The tables of proofs, and of gaps, arrivals, revisions and failures of days.

Candles have separate tables of the same form: `datasets.candles.proof_tables`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from deribit_pipeline.domain.proofs import ProvedDay
from deribit_pipeline.domain.rows import gaps_of
from deribit_pipeline.domain.tables import CROSS_CHECK, PROOF_HASH, Column, Table

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Noted:
    """A table of gaps, arrivals or revisions of days' rows: `at` is the column with the instant or
    day of the row, `noted_at` the one with the time of recording."""

    table: Table
    at: str
    noted_at: str

    @property
    def day(self) -> str:
        """The UTC day of a row, in SQL."""
        return self.at if self.at == "day" else f"cast(timezone('UTC', {self.at}) as date)"


def _no_rows(day: ProvedDay) -> list[Row]:
    return []


@dataclass(frozen=True, slots=True, eq=False)
class ProofTables:
    """The tables of proofs, and of gaps, arrivals and revisions of proved days: one form, in two
    layouts.

    In each of the tables the column `group` names the dataset and `series` the series; these two
    come first. `gap_rows` makes the rows of a day's gaps, without those two columns and the last
    two, which count confirmations; `gap_name` is the SQL expression that names such a row, and
    `missing` the column that counts its missing rows, if it may be more than one; several names are
    shown as `gap_title`, separated by `gap_separator`. `arrival_rows` makes the rows of a day's
    arrivals, without the first two columns and the last, which is the run's.

    `revised` is the SQL for what a revision stores of a former row: `{dataset}`, `{series}`,
    `{day}` and `{key}` are replaced by the dataset's columns, `whole` is the row. `held_since` is
    the SQL for the time since when such a row `former` was stored, if it was never revised before.
    A warehouse of an older version may not have the tables, unless `is_of_every_version` is set.
    """

    days: Table
    group: str
    series: str
    gaps: Noted
    revisions: Noted
    gap_rows: Callable[[ProvedDay], list[Row]]
    gap_name: str
    revised: str
    missing: str = ""
    gap_title: str = "gaps"
    gap_separator: str = "; "
    held_since: str = "$held_from"
    arrivals: Noted | None = None
    arrival_rows: Callable[[ProvedDay], list[Row]] = _no_rows
    is_of_every_version: bool = False

    @property
    def notes(self) -> tuple[Noted, ...]:
        """The tables of gaps, arrivals and revisions, in the order in which proof hashes cover
        them."""
        arrivals = () if self.arrivals is None else (self.arrivals,)
        return (self.gaps, *arrivals, self.revisions)


_DATASET = Column("dataset", "varchar", "The dataset, by the name of its table.")
_SERIES = Column("series", "varchar", "The instrument, currency or index, by Deribit's name.")
_DAY = Column("day", "date", "The day of the rows.", "UTC")
_RUN_ID = Column("run_id", "varchar", "The Dagster run that wrote the row.")

DATASET_DAYS = Table(
    name="dataset_days",
    description="One row for each dataset, series and UTC day that was ever requested: the "
    "proof of its stored rows.",
    key=("dataset", "series", "day"),
    columns=(
        _DATASET,
        _SERIES,
        _DAY,
        Column("state", "varchar", "complete, open, gapped or not_listed."),
        Column("expected", "bigint", "Rows that must exist.", "rows"),
        Column("received", "bigint", "Rows stored.", "rows"),
        Column("missing", "bigint", "Rows that are missing at the exchange.", "rows"),
        Column("content_hash", "varchar", "BLAKE2b-128 of every stored value, in hex."),
        Column("revised", "bigint", "Changes of rows seen so far.", "changes"),
        Column(
            "verdict",
            "varchar",
            "What else is known of the day, such as the result of a comparison with another "
            "dataset, or that rows are no longer returned; empty if there is nothing.",
        ),
        Column(
            "fetched_at",
            "timestamptz",
            "When the exchange last returned something new for the day, by its clock.",
            "UTC",
        ),
        Column("environment", "varchar", "mainnet, testnet or sandbox."),
        Column("source", "varchar", "The API root that the rows come from."),
        _RUN_ID,
        CROSS_CHECK,
        PROOF_HASH,
    ),
    source="counted by this pipeline",
    warnings=("A day without a row was never requested.",),
)

DATASET_GAPS = Table(
    name="dataset_gaps",
    description="One row for each run of consecutive rows that the exchange should have and that "
    "are missing.",
    key=("dataset", "series", "day", "gap"),
    columns=(
        _DATASET,
        _SERIES,
        _DAY,
        Column("gap", "varchar", "The keys of the first and the last missing row."),
        Column("missing", "bigint", "How many rows are missing.", "rows"),
        Column("confirmed", "integer", "How many times they were requested in vain.", "times"),
        Column("confirmed_at", "timestamptz", "When they were last requested in vain.", "UTC"),
    ),
    source="counted by this pipeline",
)

DATASET_REVISIONS = Table(
    name="dataset_revisions",
    description="One row for each time that the exchange changed a row: its former values.",
    key=("dataset", "series", "row_key", "replaced_at"),
    columns=(
        _DATASET,
        _SERIES,
        _DAY,
        Column("row_key", "varchar", "The key of the row."),
        Column("held", "json", "The row as it was stored, by the names of the table's columns."),
        Column("held_from", "timestamptz", "Since when, at the latest, it was stored.", "UTC"),
        Column("replaced_at", "timestamptz", "When the exchange returned other values.", "UTC"),
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
    "is deleted when the day is proved.",
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


def _gap_rows(day: ProvedDay) -> list[Row]:
    return [(day.proof.day, gap.gap, gap.missing) for gap in gaps_of(day.expected, day.gaps)]


OF_ROWS = ProofTables(
    days=DATASET_DAYS,
    group="dataset",
    series="series",
    gaps=Noted(DATASET_GAPS, "day", "confirmed_at"),
    revisions=Noted(DATASET_REVISIONS, "day", "replaced_at"),
    gap_rows=_gap_rows,
    gap_name="gap",
    missing="missing",
    revised="'{dataset}' as dataset, {series} as series, {day} as day, "
    "concat_ws(' ', {key}) as row_key, to_json(whole) as held",
)
"""For every dataset without separate tables."""
