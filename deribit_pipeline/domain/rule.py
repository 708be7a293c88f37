"""A rule: a query for the rows of a dataset that break it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

_PARAMETER = re.compile(r"\$(\w+)")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for the rows of a dataset. A breach is an ERROR if only this side can be at fault and
    a WARN if the exchange may be: `because` explains it. `given` are parameters of the query. In a
    file of an older version without the `table`, no row breaks it."""

    name: str
    description: str
    severity: Literal["ERROR", "WARN"]
    because: str
    query: str
    table: str = ""
    given: tuple[tuple[str, object], ...] = ()

    def parameters(self, values: Mapping[str, object]) -> dict[str, object]:
        """Those of the values, and of the given ones, that occur in the query: see
        `Dataset.rule_values`."""
        known = {**values, **dict(self.given)}
        return {
            name: list(value) if isinstance(value := known[name], tuple) else value
            for name in _PARAMETER.findall(self.query)
        }

    def sql(self, parameters: Mapping[str, object]) -> str:
        """The query with its parameters as literals, to be read and run manually."""
        return _PARAMETER.sub(lambda found: _literal(parameters[found[1]]), self.query).strip()


def _literal(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, date):
        return f"date '{value}'"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
