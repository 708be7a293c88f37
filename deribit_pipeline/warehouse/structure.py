"""Compares a warehouse's tables, views and macros with those of this version."""

import functools
import re
from collections.abc import Mapping

from deribit_pipeline.warehouse import schema
from deribit_pipeline.warehouse.empty_warehouse import empty_warehouse
from deribit_pipeline.warehouse.place import Connection

_TABLES = """
    select table_name, list((column_name, data_type) order by column_index)
    from system.main.duckdb_columns()
    join system.main.duckdb_tables() using (database_name, schema_name, table_name)
    where database_name = current_database() and schema_name = 'main' and not temporary
    group by all
"""

# Until DuckDB has read a view from its file, it quotes types, but not the names of a pivot.
_QUOTES = str.maketrans("", "", "\"'")

# Once it has read a macro from its file, it spells `lambda x:` as `x ->`, and `lambda x, y:` as
# `row(x, y) ->`.
_LAMBDA = re.compile(r"lambda (\w+(?:, \w+)*): ")

_VIEWS = """
    select view_name, sql from system.main.duckdb_views()
    where database_name = current_database() and schema_name = 'main' and not internal
"""
_MACROS = """
    select function_name, concat(cast(parameters as varchar), ' ', macro_definition)
    from system.main.duckdb_functions()
    where database_name = current_database() and schema_name = 'main' and not internal
"""
_SHADOWING = """
    select distinct function_name from system.main.duckdb_functions()
    where database_name = current_database() and not internal and function_name in (
        select function_name from system.main.duckdb_functions() where internal
    )
    order by all
"""


_KINDS = {"table": _TABLES, "view": _VIEWS, "macro": _MACROS}

_Definitions = Mapping[str, Mapping[str, str]]
"""Definitions by kind and name."""


def deviations(connection: Connection) -> list[str]:
    """How the tables, views and macros of a warehouse differ from those of a new one, as sentences.
    Additional views and macros are ignored, unless DuckDB would use them in place of its own
    functions."""
    found = [
        f"the macro {name} takes the place of DuckDB's own function"
        for (name,) in connection.execute(_SHADOWING).fetchall()
    ]
    held = _definitions(connection)
    for kind, made in _made(tuple(schema.without_comments())).items():
        for name, definition in sorted(made.items()):
            if name not in held[kind]:
                found.append(f"the {kind} {name} is missing")
            elif held[kind][name] != definition:
                found.append(f"the {kind} {name} is not the one that this version makes")
    return found


@functools.lru_cache(maxsize=1)
def _made(statements: tuple[str, ...]) -> _Definitions:
    """The definitions that these statements, those of this version, make."""
    with empty_warehouse() as connection:
        return _definitions(connection)


def _definitions(connection: Connection) -> _Definitions:
    return {
        kind: {
            name: _LAMBDA.sub(_arrow, str(definition).translate(_QUOTES))
            for name, definition in connection.execute(query).fetchall()
        }
        for kind, query in _KINDS.items()
    }


def _arrow(found: re.Match[str]) -> str:
    names = found[1]
    return f"row({names}) -> " if "," in names else f"{names} -> "
