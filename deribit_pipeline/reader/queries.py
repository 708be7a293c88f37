"""Queries in SQL, and connections for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Unpack, overload

from deribit_pipeline.errors import InputError
from deribit_pipeline.reader.frame_kinds import Arrow, Frame, FrameKind, Pandas, Place, Polars
from deribit_pipeline.reader.frames import fetched, require_extra
from deribit_pipeline.reader.reading import attributed, opened, place_of
from deribit_pipeline.warehouse.connections import query_errors
from deribit_pipeline.warehouse.place import Connection

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@overload
def sql(
    query: str, parameters: Mapping[str, object] | None = ..., **how: Unpack[Pandas]
) -> pd.DataFrame: ...
@overload
def sql(
    query: str, parameters: Mapping[str, object] | None = ..., **how: Unpack[Arrow]
) -> pa.Table: ...
@overload
def sql(
    query: str, parameters: Mapping[str, object] | None = ..., **how: Unpack[Polars]
) -> pl.DataFrame: ...
def sql(
    query: str,
    parameters: Mapping[str, object] | None = None,
    *,
    frame: FrameKind = "pandas",
    warehouse: Place | None = None,
) -> Frame:
    """The rows of a query in DuckDB's SQL, in a session whose time zone is UTC.

    All stored rows are visible, also those of days that are not complete: the view
    `complete_candles` and the tables `candle_days` and `dataset_days` distinguish them.

    Parameters
    ----------
    query : str
        One query, such as `from candle_days`; docs/data-dictionary.md has the tables,
        docs/queries.md examples.
    parameters : dict, optional
        Values of parameters such as `$day`.
    frame : {"pandas", "arrow", "polars"}
        The library of the frame. Instants of a pandas frame are in UTC.
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    frame, shape (n, k)
        The rows and columns of the query, in its order.

    Raises
    ------
    InputError
        The query or another argument is wrong, or the warehouse does not exist.
    WarehouseError
        The warehouse cannot be read.

    Examples
    --------
    >>> read.sql("select max(close) as highest from candles where opened_at < $until",
    ...          {"until": "2024-01-02"}).columns
    Index(['highest'], dtype='str')
    """
    require_extra(frame)
    with opened(warehouse) as (connection, held), query_errors():
        require_query(connection, query)
        found = fetched(connection, frame, query, parameters or {})
    return attributed(found, frame, place_of(held))


def require_query(connection: Connection, query: object) -> None:
    """Raise InputError unless the text is one query."""
    if not isinstance(query, str) or not query.strip():
        raise InputError(f"query must be a query in SQL, was {query!r}.")
    kinds = [statement.type.name for statement in connection.extract_statements(query)]
    if kinds.count("SELECT") > 1:  # DuckDB divides a pivot into several statements
        raise InputError(f"query must be one query, and has {len(kinds)} statements.")


@contextmanager
def connect(*, warehouse: Place | None = None) -> Iterator[Any]:
    """A connection of DuckDB to the warehouse for a `with` block, read-only and in UTC.

    It waits for a writer, reads one consistent state, and is closed at the end of the block. Other
    processes cannot write meanwhile, so keep the block short.

    Parameters
    ----------
    warehouse : path or str, optional
        Spelled like DERIBIT_WAREHOUSE, which is the default.

    Returns
    -------
    duckdb.DuckDBPyConnection

    Raises
    ------
    InputError
        The warehouse does not exist, or the argument is wrong.
    WarehouseError
        The warehouse cannot be read, or a query failed.

    Examples
    --------
    >>> with read.connect() as connection:
    ...     connection.sql("select count(*) from candle_days").fetchone()
    (28,)
    """
    with opened(warehouse) as (connection, _):
        yield connection
