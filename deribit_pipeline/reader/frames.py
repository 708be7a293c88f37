"""Selected rows as a frame of pandas, pyarrow or polars."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from deribit_pipeline.datasets.registry import warning_of
from deribit_pipeline.domain.windows import spans_of
from deribit_pipeline.engine.selected_series import SelectedRows, span
from deribit_pipeline.errors import IncompleteDays, InputError
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.reader.backfill_command import with_command
from deribit_pipeline.reader.reader_arguments import one_of
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

FrameKind: TypeAlias = Literal["pandas", "arrow", "polars"]
Place: TypeAlias = Path | str
"""A warehouse, spelled as DERIBIT_WAREHOUSE is."""

Frame: TypeAlias = "pd.DataFrame | pa.Table | pl.DataFrame"

# What pip installs with an extra of this project.
_EXTRAS = {"pandas": (), "arrow": ("pyarrow",), "polars": ("pyarrow", "polars")}


class VerdictWarning(UserWarning):
    """Rows of a day with a verdict were read, such as one on which the candles disagree with the
    exchange's coarser ones."""


def read_frame(
    select: Callable[[Connection, Warehouse], SelectedRows],
    complete_only: bool,
    kind: FrameKind,
    place: Place | None,
) -> Any:
    """The selected rows of a warehouse; the file is open only while they are selected.

    Raises IncompleteDays where a day is not proved complete and `complete_only` is set, InputError
    for a wrong kind or place, WarehouseError where the warehouse cannot be read. Warns with
    VerdictWarning, at the caller of the public function, where a day has a verdict.
    """
    require_extra(kind)
    if place is not None and not isinstance(place, str | os.PathLike):
        raise InputError(
            f"warehouse must be the path of a file, or ducklake:postgres:…, was {place!r}."
        )
    settings = Settings.load(None if place is None else os.fspath(place))
    warehouse = warehouse_of(settings)
    if not warehouse.exists():
        raise InputError(f"{warehouse} does not exist: nothing was backfilled into it yet.")
    with warehouse.reading() as connection:
        selected = select(connection, warehouse)
        if complete_only:
            _require_complete(selected)
        found = frame(connection, kind, selected)
    verdicts = {str(proof.day): text for proof in selected.proofs if (text := warning_of(proof))}
    if verdicts:
        warnings.warn(_verdict(selected.series, verdicts), VerdictWarning, stacklevel=3)
    if kind == "pandas":
        found.attrs = {
            "series": selected.series,
            "rolled_up": _spans(selected.rolled_up),
            "incomplete": _spans(selected.incomplete),
        } | ({"verdicts": verdicts} if verdicts else {})
    return found


def frame(connection: Connection, kind: FrameKind, selected: SelectedRows) -> Any:
    """Selected rows, sorted; of pandas, indexed by their instants."""
    at, columns = selected.at, "*"
    if kind == "pandas":
        # Without a time zone: DuckDB attaches it to pandas in a way that pandas warns of.
        columns = f"* replace (make_timestamp(epoch_us({at})) as {at})"
    result = connection.execute(
        f"select {columns} from ({selected.query}) order by {selected.order}",
        selected.parameters,
    )
    if kind == "pandas":
        return result.df().set_index(at).tz_localize("UTC")
    return result.pl() if kind == "polars" else result.to_arrow_table()


def require_extra(kind: str) -> None:
    """Raise InputError where the kind is unknown, or a library that it needs is not installed."""
    for module in _EXTRAS[one_of(kind, "frame", list(_EXTRAS))]:
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"{module} is not installed: pip install 'deribit-pipeline[{kind}]' brings it."
            )


def _require_complete(selected: SelectedRows) -> None:
    try:
        selected.require_complete()
    except IncompleteDays as error:
        otherwise = "read the stored rows with complete_only=False"
        raise with_command(error, otherwise) from None


def _verdict(series: str, verdicts: Mapping[str, str]) -> str:
    first = next(iter(verdicts))
    more = f" and {len(verdicts) - 1:,} more days" if len(verdicts) > 1 else ""
    return f"{series} has a verdict on {first}: {verdicts[first]}{more}"


def _spans(days: Iterable[date]) -> list[str]:
    return [span(first, last) for first, last in spans_of(days)]
