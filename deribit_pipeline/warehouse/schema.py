"""The tables, said once: DDL, the comments inside the file and the data dictionary follow.

No table has a primary key: in DuckDB it makes loading three to ten times slower and the file
three times larger. One row per key rests on writing days whole in one transaction.
"""

from dataclasses import dataclass

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `unit` is empty for what has none."""

    name: str
    type: str
    description: str
    unit: str = ""

    @property
    def comment(self) -> str:
        return f"{self.description} [{self.unit}]" if self.unit else self.description


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Its description starts with the grain; `key` names a row."""

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    source: str
    warnings: tuple[str, ...] = ()

    def ddl(self) -> list[str]:
        """The statements that make the table and say inside the file what it holds."""
        comment = " ".join((self.description, *self.warnings))
        columns = ",\n    ".join(f"{column.name} {column.type} not null" for column in self.columns)
        return [
            f"create table {self.name} (\n    {columns}\n)",
            f"comment on table {self.name} is {_quoted(comment)}",
            *(
                f"comment on column {self.name}.{column.name} is {_quoted(column.comment)}"
                for column in self.columns
            ),
        ]


@dataclass(frozen=True, slots=True)
class View:
    """A view; its columns are described where they come from."""

    name: str
    description: str
    query: str

    def ddl(self) -> list[str]:
        """The statements that make the view and say inside the file what it shows."""
        return [
            f"create view {self.name} as {self.query}",
            f"comment on view {self.name} is {_quoted(self.description)}",
        ]


_CHART = "public/get_tradingview_chart_data"

_INSTRUMENT = Column("instrument_name", "varchar", "The instrument, by Deribit's own name.")
_RESOLUTION = Column(
    "resolution", "varchar", "A candle's length in Deribit's spelling: minutes, or 1D."
)
_OPENED_AT = Column(
    "opened_at", "timestamptz", "When the candle opens; the key is the opening.", "UTC"
)
_VALUES = (
    Column("open", "double", "Price of the first trade of the candle.", "quote currency"),
    Column("high", "double", "Highest price traded.", "quote currency"),
    Column("low", "double", "Lowest price traded.", "quote currency"),
    Column("close", "double", "Price of the last trade of the candle.", "quote currency"),
    Column("volume_base", "double", "Amount traded: the exchange's `volume`.", "base currency"),
    Column("volume_quote", "double", "Value traded: the exchange's `cost`.", "quote currency"),
)
_RUN_ID = Column("run_id", "varchar", "The Dagster run that wrote the row.")

CANDLES = Table(
    name="candles",
    description="One row for each closed candle of an instrument and resolution.",
    key=("instrument_name", "resolution", "opened_at"),
    columns=(_INSTRUMENT, _RESOLUTION, _OPENED_AT, *_VALUES),
    source=_CHART,
    warnings=(
        "A minute without a trade repeats the last close with volume 0, as the exchange fills it.",
        "A 1D candle opens at 08:00 UTC.",
        "Days that are not complete are in here too: complete_candles leaves them out.",
    ),
)

CANDLE_DAYS = Table(
    name="candle_days",
    description="One row for each instrument, resolution and UTC day that was ever asked for: the "
    "proof of what is held of the candles that open on that day.",
    key=("instrument_name", "resolution", "day"),
    columns=(
        _INSTRUMENT,
        _RESOLUTION,
        Column("day", "date", "The day on which the candles open.", "UTC"),
        Column("state", "varchar", "complete, open, gapped or not_listed."),
        Column(
            "expected", "integer", "Candles that open while the instrument is listed.", "candles"
        ),
        Column("received", "integer", "Candles held, all of them closed.", "candles"),
        Column("missing", "integer", "Closed candles that the exchange lacks.", "candles"),
        Column("without_trades", "integer", "Held candles in which nobody traded.", "candles"),
        Column("content_hash", "varchar", "BLAKE2b-128 of every value held, in hex."),
        Column("revised", "integer", "Changes of closed candles seen so far.", "changes"),
        Column(
            "fetched_at",
            "timestamptz",
            "When the exchange last said something new of the day, by its own clock.",
            "UTC",
        ),
        Column("environment", "varchar", "mainnet, testnet or sandbox."),
        Column("source", "varchar", "The API root that answered."),
        _RUN_ID,
    ),
    source="counted by this pipeline",
    warnings=("A day without a row was never asked for.",),
)

CANDLE_GAPS = Table(
    name="candle_gaps",
    description="One row for each closed candle that the exchange should have and lacks.",
    key=("instrument_name", "resolution", "opened_at"),
    columns=(
        _INSTRUMENT,
        _RESOLUTION,
        _OPENED_AT,
        Column(
            "confirmed",
            "integer",
            "How many times it was asked again in vain, in another window.",
            "times",
        ),
        Column("confirmed_at", "timestamptz", "When it was last asked again in vain.", "UTC"),
    ),
    source=_CHART,
)

CANDLE_REVISIONS = Table(
    name="candle_revisions",
    description="One row for each time that the exchange changed a closed candle: what was held "
    "before.",
    key=("instrument_name", "resolution", "opened_at", "replaced_at"),
    columns=(
        _INSTRUMENT,
        _RESOLUTION,
        _OPENED_AT,
        *_VALUES,
        Column(
            "held_from", "timestamptz", "Since when, at the latest, these values were held.", "UTC"
        ),
        Column("replaced_at", "timestamptz", "When the exchange said something else.", "UTC"),
        _RUN_ID,
    ),
    source=_CHART,
)

WAREHOUSE_INFO = Table(
    name="warehouse_info",
    description="One row for the file: what it is.",
    key=(),
    columns=(
        Column("environment", "varchar", "mainnet, testnet or sandbox: they never mix."),
        Column("schema_version", "integer", "The version of these tables."),
    ),
    source="this pipeline",
)

COMPLETE_CANDLES = View(
    name="complete_candles",
    description="One row for each candle of a complete day: what research should read.",
    query="""
select candles.*
from candles
join candle_days using (instrument_name, resolution)
where candle_days.day = cast(timezone('UTC', candles.opened_at) as date)
  and candle_days.state = 'complete'""",
)

TABLES = (CANDLES, CANDLE_DAYS, CANDLE_GAPS, CANDLE_REVISIONS, WAREHOUSE_INFO)
VIEWS = (COMPLETE_CANDLES,)

MIGRATIONS: dict[int, tuple[str, ...]] = {}
"""Version to the statements that bring a file of the version before to it. A new file is made at
SCHEMA_VERSION by `ddl`, so an entry here, once released, never changes."""


def ddl() -> list[str]:
    """The statements that make an empty warehouse of this version."""
    return [statement for item in (*TABLES, *VIEWS) for statement in item.ddl()]


def markdown() -> str:
    """The data dictionary."""
    lines = [
        "# Data dictionary",
        "",
        "Every table and view of the warehouse, generated from "
        "`deribit_pipeline/warehouse/schema.py` by `make docs`. The same words stand as comments "
        "inside the file: `select * from duckdb_columns()`. No column is ever null.",
    ]
    for table in TABLES:
        lines += ["", f"## `{table.name}`", "", f"{table.description} Source: {table.source}."]
        if table.key:
            lines += ["", "Key: " + ", ".join(f"`{name}`" for name in table.key) + "."]
        lines += [""] + [f"- {warning}" for warning in table.warnings]
        lines += [""] if table.warnings else []
        lines += ["| column | type | unit | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{column.name}` | {column.type} | {column.unit} | {column.description} |"
            for column in table.columns
        ]
    for view in VIEWS:
        lines += ["", f"## `{view.name}` (view)", "", view.description, "", "```sql"]
        lines += [view.query.strip(), "```"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - the command of `make docs`
