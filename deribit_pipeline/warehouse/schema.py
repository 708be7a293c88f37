"""The tables, defined once: DDL, the comments inside the file and the data dictionary are generated
from them.

No table has a primary key: in DuckDB it makes loading three to ten times slower and the file three
times larger. Each key is unique because days are written whole in one transaction.
"""

from deribit_pipeline.datasets import registry
from deribit_pipeline.domain import proof_tables
from deribit_pipeline.domain.tables import Column, Table, View
from deribit_pipeline.warehouse import instrument_tables

SCHEMA_VERSION = 7

WAREHOUSE_INFO = Table(
    name="warehouse_info",
    description="One row for the warehouse: its environment and version.",
    key=(),
    columns=(
        Column("environment", "varchar", "mainnet, testnet or sandbox: they never mix."),
        Column("schema_version", "integer", "The version of these tables."),
    ),
    source="this pipeline",
)

TABLES: tuple[Table, ...] = (
    *registry.tables(),
    *instrument_tables.TABLES,
    *proof_tables.TABLES,
    WAREHOUSE_INFO,
)
VIEWS: tuple[View, ...] = registry.views()

ADDED: tuple[Table, ...] = tuple(table for each in registry.ADDED for table in each.tables)
"""The tables of datasets from other packages, which may be missing in a file of this version."""


def ddl() -> list[str]:
    """The statements that create an empty warehouse of this version."""
    return [table.ddl() for table in TABLES] + describing()


def describing() -> list[str]:
    """The statements that create the views and comments, for a file of any version."""
    comments = [statement for table in TABLES for statement in table.comments()]
    return _views() + comments


def without_comments() -> list[str]:
    """The statements that create the tables and views without comments: a third of the time of
    `ddl`."""
    return [table.ddl() for table in TABLES] + _views()


def _views() -> list[str]:
    return [statement for view in VIEWS for statement in view.ddl()]


def markdown() -> str:
    """The data dictionary."""
    lines = [
        "# Data dictionary",
        "",
        "Every table and view of the warehouse, generated from "
        "`deribit_pipeline/warehouse/schema.py` and the folders of `deribit_pipeline/datasets` by "
        "`make docs`. The same descriptions are comments inside the file: "
        "`select * from duckdb_columns()`. A column is null only if its type includes it.",
    ]
    for table in TABLES:
        lines += ["", f"## `{table.name}`", "", f"{table.description} Source: {table.source}."]
        if table.key:
            lines += ["", "Key: " + ", ".join(f"`{name}`" for name in table.key) + "."]
        lines += [""] + [f"- {warning}" for warning in table.warnings]
        lines += [""] if table.warnings else []
        lines += ["| column | type | unit | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{column.name}` | {column.type}{' or null' if column.is_nullable else ''} "
            f"| {column.unit} | {column.description} |"
            for column in table.columns
        ]
    for view in VIEWS:
        lines += ["", f"## `{view.signature}` ({view.label})", "", view.description, "", "```sql"]
        lines += [view.query.strip(), "```"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - the command of `make docs`
