"""Selected rows as a frame: of pandas, pyarrow or polars."""

import importlib.util
from typing import Any, Literal, TypeAlias

from deribit_pipeline.engine.reader_arguments import one_of
from deribit_pipeline.engine.selected_series import Excerpt
from deribit_pipeline.errors import InputError
from deribit_pipeline.warehouse.place import Connection

FrameKind: TypeAlias = Literal["pandas", "arrow", "polars"]

# What pip installs with an extra of this project.
_EXTRAS = {"pandas": (), "arrow": ("pyarrow",), "polars": ("pyarrow", "polars")}


def frame(connection: Connection, kind: FrameKind, excerpt: Excerpt) -> Any:
    """The excerpt's rows, sorted; of pandas, indexed by their instants."""
    at, columns = excerpt.at, "*"
    if kind == "pandas":
        # Without a time zone: DuckDB attaches it to pandas in a way that pandas warns of.
        columns = f"* replace (timezone('UTC', {at}) as {at})"
    answer = connection.execute(
        f"select {columns} from ({excerpt.query}) order by {excerpt.order}",
        excerpt.parameters,
    )
    if kind == "pandas":
        return answer.df().set_index(at).tz_localize("UTC")
    return answer.pl() if kind == "polars" else answer.to_arrow_table()


def require_extra(kind: str) -> None:
    """Raise InputError where the kind is not known, or what it needs is not installed."""
    for module in _EXTRAS[one_of(kind, "frame", list(_EXTRAS))]:
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"{module} is not installed: pip install 'deribit-pipeline[{kind}]' brings it."
            )
