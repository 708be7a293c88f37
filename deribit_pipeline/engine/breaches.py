"""The rows that break a rule, found in a warehouse."""

from collections.abc import Mapping
from dataclasses import dataclass

from deribit_pipeline.domain.rule import Rule
from deribit_pipeline.warehouse.connections import has_table
from deribit_pipeline.warehouse.place import Connection


@dataclass(frozen=True, slots=True)
class Breaches:
    """The rows that break a rule: how many, and the first of them, their values as text."""

    columns: tuple[str, ...]
    first: list[tuple[str, ...]]
    count: int


def breaches(
    connection: Connection, rule: Rule, parameters: Mapping[str, object], first: int = 10
) -> Breaches:
    """The rows that break a rule."""
    if rule.table and not has_table(connection, rule.table):
        return Breaches((), [], 0)
    found = connection.sql(rule.query, params=dict(parameters))
    rows = found.project("columns(*)::varchar").limit(first + 1).fetchall()
    # If all rows fit, which is the usual case, no second query is needed to count them.
    count = len(rows) if len(rows) <= first else found.aggregate("count(*)").fetchall()[0][0]
    texts = [tuple("" if value is None else value for value in row) for row in rows[:first]]
    return Breaches(tuple(found.columns), texts, count)
