"""The tables, said once: DDL, the comments inside the file and the data dictionary follow.

No table has a primary key: in DuckDB it makes loading three to ten times slower and the file
three times larger. One row per key rests on writing days whole in one transaction.
"""

from dataclasses import dataclass

SCHEMA_VERSION = 2


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

    def ddl(self) -> str:
        """The statement that makes the table."""
        columns = ",\n    ".join(f"{column.name} {column.type} not null" for column in self.columns)
        return f"create table {self.name} (\n    {columns}\n)"

    def comments(self) -> list[str]:
        """The statements that say inside the file what it holds."""
        comment = " ".join((self.description, *self.warnings))
        return [
            f"comment on table {self.name} is {_quoted(comment)}",
            *(
                f"comment on column {self.name}.{column.name} is {_quoted(column.comment)}"
                for column in self.columns
            ),
        ]


@dataclass(frozen=True, slots=True)
class View:
    """A view, or with `parameters` a macro that answers a table; its columns are described where
    they come from."""

    name: str
    description: str
    query: str
    parameters: tuple[str, ...] = ()

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(self.parameters)})" if self.parameters else self.name

    def ddl(self) -> list[str]:
        """The statements that make the view, again too, and say inside the file what it shows."""
        kind, table, of_table = (
            ("macro", " table", "macro table") if self.parameters else ("view", "", "view")
        )
        return [
            f"create or replace {kind} {self.signature} as{table} {self.query}",
            f"comment on {of_table} {self.name} is {_quoted(self.description)}",
        ]


_CHART = "public/get_tradingview_chart_data"

_INSTRUMENT = Column("instrument_name", "varchar", "The instrument, by Deribit's own name.")
_RESOLUTION = Column(
    "resolution", "varchar", "A candle's length in Deribit's spelling: minutes, or 1D."
)
_DAY = Column("day", "date", "The day on which the candles open.", "UTC")
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
        _DAY,
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

CANDLE_ARRIVALS = Table(
    name="candle_arrivals",
    description="One row for each unbroken stretch of a day's candles that came together: since "
    "when they are held.",
    key=("instrument_name", "resolution", "first_opened_at"),
    columns=(
        _INSTRUMENT,
        _RESOLUTION,
        _DAY,
        Column("first_opened_at", "timestamptz", "When the first of them opens.", "UTC"),
        Column("last_opened_at", "timestamptz", "When the last of them opens.", "UTC"),
        Column("arrived_at", "timestamptz", "When the exchange first told them.", "UTC"),
        _RUN_ID,
    ),
    source="counted by this pipeline",
    warnings=(
        "What a warehouse of version 1 held arrived at its day's last change, at the latest.",
    ),
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

CANDLES_AS_OF = View(
    name="candles_as_of",
    parameters=("moment",),
    description="One row for each candle that was held at a moment, as it was known then: "
    "from candles_as_of('2024-02-01 12:00:00+00').",
    query="""
select candles.*
from candles
join candle_arrivals as arrival using (instrument_name, resolution)
where arrival.day = cast(timezone('UTC', candles.opened_at) as date)
  and candles.opened_at between arrival.first_opened_at and arrival.last_opened_at
  and arrival.arrived_at <= cast(moment as timestamptz)
  and not exists (
      from candle_revisions as revision
      where revision.instrument_name = candles.instrument_name
        and revision.resolution = candles.resolution
        and revision.opened_at = candles.opened_at
        and revision.replaced_at > cast(moment as timestamptz)
  )
union all
select instrument_name, resolution, opened_at, open, high, low, close, volume_base, volume_quote
from candle_revisions
where held_from <= cast(moment as timestamptz) and replaced_at > cast(moment as timestamptz)""",
)

TABLES = (CANDLES, CANDLE_DAYS, CANDLE_GAPS, CANDLE_REVISIONS, CANDLE_ARRIVALS, WAREHOUSE_INFO)
VIEWS = (COMPLETE_CANDLES, CANDLES_AS_OF)

MIGRATIONS: dict[int, tuple[str, ...]] = {
    2: (
        """
        create table candle_arrivals (
            instrument_name varchar not null, resolution varchar not null, day date not null,
            first_opened_at timestamptz not null, last_opened_at timestamptz not null,
            arrived_at timestamptz not null, run_id varchar not null
        )
        """,
        """
        insert into candle_arrivals
        with held as (
            select instrument_name, resolution, opened_at,
                   cast(timezone('UTC', opened_at) as date) as day,
                   if(resolution = '1D', 1440, try_cast(resolution as integer)) as minutes
            from candles
        ), numbered as (
            select *, epoch_ms(opened_at) // 60000 // minutes - row_number() over (
                partition by instrument_name, resolution, day order by opened_at
            ) as stretch
            from held
        ), stretches as (
            select instrument_name, resolution, day, stretch,
                   min(opened_at) as first_opened_at, max(opened_at) as last_opened_at
            from numbered group by all
        )
        select instrument_name, resolution, day, first_opened_at, last_opened_at,
               fetched_at, run_id
        from stretches join candle_days using (instrument_name, resolution, day)
        """,
    )
}
"""Version to the statements that bring the tables of the version before to it. A new file is made
at SCHEMA_VERSION by `ddl`, so an entry here, once released, never changes. Views, macros and
comments are made anew after each."""


def ddl() -> list[str]:
    """The statements that make an empty warehouse of this version."""
    return [table.ddl() for table in TABLES] + describing()


def describing() -> list[str]:
    """The statements that make the views and comments, which a file of any version can take."""
    comments = [statement for table in TABLES for statement in table.comments()]
    return [statement for view in VIEWS for statement in view.ddl()] + comments


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
        kind = "macro" if view.parameters else "view"
        lines += ["", f"## `{view.signature}` ({kind})", "", view.description, "", "```sql"]
        lines += [view.query.strip(), "```"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - the command of `make docs`
