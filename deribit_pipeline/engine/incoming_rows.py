"""Inserts rows that are arrays into a table, by a query that reads them."""

from collections.abc import Mapping

from deribit_pipeline.domain.rows import Columns
from deribit_pipeline.domain.tables import Column, Table
from deribit_pipeline.warehouse.place import Connection


def insert_from(
    connection: Connection,
    table: Table,
    query: str,
    parameters: Mapping[str, object],
    rows: Columns,
) -> None:
    """Insert the result of a query, with the table's columns in their order, which reads the rows
    as the relation `incoming`.

    DuckDB finds the variable of this name. A registered relation, with the memory of its rows,
    would be kept until the transaction ends.
    """
    incoming = readable(rows)  # noqa: F841
    connection.sql(query, params=dict(parameters)).insert_into(table.name)


def readable(rows: Columns) -> object:
    """Rows as DuckDB reads them: arrays, or a frame if there are texts or dates."""
    if not any(v.dtype.kind in "OU" or v.dtype.str.endswith("[D]") for v in rows.values()):
        return rows
    import pandas as pd  # takes most of a second, and candles do not need it

    return pd.DataFrame(
        {
            column: pd.Series(
                values.astype("datetime64[s]") if values.dtype.str.endswith("[D]") else values,
                dtype=object if values.dtype.kind == "O" else None,
            )
            for column, values in rows.items()
        },
        copy=False,
    )


def as_stored(column: Column) -> str:
    """A column of arrays in the representation of the table."""
    if column.type == "double" and column.is_nullable:
        return f"case when isnan({column.name}) then null else {column.name} end"
    return f"cast({column.name} as {column.type})"
