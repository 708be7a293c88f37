"""Selected rows as a frame of pandas, pyarrow or polars."""

from __future__ import annotations

import importlib.util
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from deribit_pipeline.engine.selected_series import SelectedRows
from deribit_pipeline.errors import InputError
from deribit_pipeline.reader.reader_arguments import one_of
from deribit_pipeline.warehouse.place import Connection

# What pip installs with an extra of this project.
_EXTRAS = {"pandas": (), "arrow": ("pyarrow",), "polars": ("pyarrow", "polars")}


@dataclass(frozen=True, slots=True)
class Rows:
    """What a frame is made of: `query`, with its parameters, is sorted by `order`, which may name
    the column `hidden`; a pandas frame is indexed by the columns `index`."""

    query: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    index: Sequence[str] = ()
    order: str = ""
    hidden: str = ""


def rows_of(selected: SelectedRows) -> Rows:
    """The rows of one series."""
    return Rows(selected.query, selected.parameters, (selected.at,), selected.order)


def rows_of_several(found: Mapping[str, SelectedRows], column: str) -> Rows:
    """The rows of several series, sorted by time and then as the series are; the first column has
    the name of the series."""
    parts = []
    parameters: dict[str, object] = {}
    for number, (name, selected) in enumerate(found.items()):
        query = re.sub(r"\$(\w+)", rf"$\1_{number}", selected.query)
        parts.append(
            f"select $series_name_{number}::varchar as {column}, {number} as series_number, * "
            f"from ({query})"
        )
        parameters |= {f"{key}_{number}": value for key, value in selected.parameters.items()}
        parameters[f"series_name_{number}"] = name
    first = next(iter(found.values()))
    return Rows(
        " union all ".join(parts),
        parameters,
        (first.at,),
        f"{first.at}, series_number, {first.order}",
        "series_number",
    )


def frame(connection: Connection, kind: str, rows: Rows) -> Any:
    """The rows, sorted; of pandas, indexed."""
    return fetched(connection, kind, _sorted(rows), rows.parameters, rows.index)


def frames_of(connection: Connection, rows: Rows, most: int) -> Iterator[Any]:
    """The rows, sorted, as pandas frames of `most` rows, the last one shorter; an empty one if
    there are none. Needs pyarrow, and the connection until the last one."""
    reader = connection.execute(_sorted(rows), dict(rows.parameters)).to_arrow_reader(most)
    batches = iter(reader)
    for batch in chain([next(batches, reader.schema.empty_table())], batches):
        yield batch.to_pandas().set_index(list(rows.index))


def _sorted(rows: Rows) -> str:
    columns = f"* exclude ({rows.hidden})" if rows.hidden else "*"
    order = f" order by {rows.order}" if rows.order else ""
    return f"select {columns} from ({rows.query}){order}"


def fetched(
    connection: Connection,
    kind: str,
    query: str,
    parameters: Mapping[str, object],
    index: Sequence[str] = (),
) -> Any:
    """The rows of a query; a pandas frame is indexed by the columns `index`, days at 00:00 UTC."""
    result = connection.execute(query, dict(parameters))
    if kind == "polars":
        return result.pl()
    if kind == "arrow":
        return result.to_arrow_table()
    with warnings.catch_warnings():
        # DuckDB attaches time zones in a way that pandas deprecates.
        warnings.filterwarnings("ignore", "The inplace keyword")
        made = result.df()
    for name in index:
        if made[name].dtype.kind == "M" and getattr(made[name].dtype, "tz", None) is None:
            made[name] = made[name].dt.tz_localize("UTC")
    return made.set_index(list(index)) if index else made


def require_extra(kind: str) -> None:
    """Raise InputError where the kind is unknown, or a library that it needs is not installed."""
    for module in _EXTRAS[one_of(kind, "frame", list(_EXTRAS))]:
        if importlib.util.find_spec(module) is None:
            raise InputError(f"{module} is not installed: pip install {module} brings it.")
