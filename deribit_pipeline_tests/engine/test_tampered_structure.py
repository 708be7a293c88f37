"""Tables with other column types, and macros that would hide rows from `verify`."""

import pytest

from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.engine.test_tampering import held, migrated, sentences, tampered

__all__ = ["held", "migrated"]  # fixtures


@pytest.mark.parametrize(
    ("table", "column", "to"),
    [
        ("candle_arrivals", "arrived_at", "timestamp"),
        ("candle_days", "fetched_at", "timestamp"),
        ("failed_days", "failed_at", "varchar"),
    ],
)
def test_a_column_of_another_type_is_named(
    table: str, column: str, to: str, held: Warehouse
) -> None:
    found = tampered(held, [f"alter table {table} alter {column} type {to}"])
    assert f"the table {table} is not the one that this version makes" in sentences(found)


@pytest.mark.parametrize(
    "listing", ["duckdb_functions", "duckdb_views", "duckdb_columns", "duckdb_tables"]
)
def test_a_macro_that_hides_itself_and_another_is_named(listing: str, held: Warehouse) -> None:
    name = {"duckdb_functions": "function_name", "duckdb_views": "view_name"}.get(
        listing, "table_name"
    )
    found = tampered(
        held,
        [
            "create macro sum(x) as 0",
            f"create macro {listing}() as table select * from system.main.{listing}() "
            f"where {name} not in ('sum', '{listing}')",
        ],
    )
    for macro in ("sum", listing):
        assert f"the macro {macro} takes the place of DuckDB's own function" in sentences(found)


@pytest.mark.parametrize(
    "statement",
    [
        "alter table dataset_days alter day type varchar",
        "alter table candle_days drop column verdict",
        "drop table candle_days",
        "drop table series_proofs",
    ],
)
def test_tables_that_cannot_be_read_are_named_first(statement: str, held: Warehouse) -> None:
    table = statement.split()[2]
    found = tampered(held, [statement])
    assert found.problems[0].startswith(f"the table {table} is ")
    assert len(found.problems) == 2
