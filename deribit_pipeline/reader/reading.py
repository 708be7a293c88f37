"""Opens a warehouse, selects rows of it, and makes a frame of them: the one way of each function
of the reader."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from deribit_pipeline.datasets.registry import DATASETS, warning_of
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.first_names import first_names
from deribit_pipeline.domain.windows import TimeWindow, spans_of
from deribit_pipeline.engine import selected_series
from deribit_pipeline.engine.selected_series import SelectedRows, span
from deribit_pipeline.errors import IncompleteDays, InputError
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.reader.advice import advised
from deribit_pipeline.reader.frame_kinds import FrameKind, Place
from deribit_pipeline.reader.frames import (
    Rows,
    frame,
    require_extra,
    rows_of,
    rows_of_several,
)
from deribit_pipeline.reader.series_names import Wanted, or_near
from deribit_pipeline.settings import Settings
from deribit_pipeline.variables import variables
from deribit_pipeline.warehouse.nothing_there import nothing_at
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

Select = Callable[[Connection, Warehouse, str, TimeWindow], SelectedRows]
"""Selects the rows of one series in a window."""

MISSING = "missing"
"""The attribute with the numbers that are missing among recorded trades."""

_NAMED = 5


class VerdictWarning(UserWarning):
    """Rows of a day with a verdict were read, such as one on which the candles disagree with the
    exchange's coarser ones."""


class MissingTradesWarning(UserWarning):
    """Trades are missing among recorded ones: they were published while the recorder was not
    connected, or the exchange skipped them. A backfill requests them."""


@dataclass(frozen=True, slots=True)
class How:
    """The options that every function of the reader has."""

    frame: FrameKind
    warehouse: Place | None
    complete_only: bool = True


@contextmanager
def opened(place: Place | None) -> Iterator[tuple[Connection, Warehouse]]:
    """The warehouse at a place, by default the configured one, open for reading.

    One that is named, also by DERIBIT_WAREHOUSE, is read whatever its environment is. Raises
    InputError if it does not exist, WarehouseError if it cannot be read.
    """
    if place is not None and not isinstance(place, str | os.PathLike):
        raise InputError(f"warehouse must be the path of a file, or ducklake:…, was {place!r}.")
    is_named = place is not None or bool(variables().get("DERIBIT_WAREHOUSE"))
    settings = Settings.load(None if place is None else os.fspath(place))
    if isinstance(settings.warehouse, Path):
        settings = replace(settings, warehouse=settings.warehouse.absolute())
    warehouse = warehouse_of(settings)
    if is_named:
        warehouse = warehouse.of_any_environment()
    if not warehouse.exists():
        raise InputError(nothing_at(warehouse.location))
    with warehouse.reading() as connection:
        yield connection, warehouse


def read_rows(select: Callable[[Connection], Rows], how: How) -> Any:
    """A frame of rows that belong to no days."""
    require_extra(how.frame)
    with opened(how.warehouse) as (connection, warehouse):
        found = frame(connection, how.frame, select(connection))
    return attributed(found, how.frame, place_of(warehouse))


def of_dataset(dataset: Dataset, only: Mapping[str, str] | None = None) -> Select:
    """Selects the rows of a dataset but candles as they are stored; see `selected_series.rows`."""

    def select(connection: Connection, _: Warehouse, name: str, part: TimeWindow) -> SelectedRows:
        return selected_series.rows(connection, dataset, name, part, only)

    return select


def read_series(
    wanted: Wanted, window: TimeWindow, select: Select, how: How, index: Sequence[str] = ()
) -> Any:
    """A frame of the rows of series; the warehouse is open only while they are selected.

    A pandas frame is indexed by their instants, or by the columns `index`. Raises IncompleteDays
    where a day is not proved complete and `complete_only` is set. Warns at the caller of the public
    function: with VerdictWarning where a day has a verdict, with MissingTradesWarning where numbers
    are missing among recorded trades.
    """
    require_extra(how.frame)
    with opened(how.warehouse) as (connection, warehouse):
        found = {
            name: select(connection, warehouse, name, part)
            for name, part in wanted.series(connection, window).items()
        }
        if how.complete_only:
            _require_complete(connection, found)
        if wanted.is_one:
            [one] = found.values()
            rows = rows_of(one)
        else:
            rows = rows_of_several(found, wanted.dataset.table.key[0])
        made = frame(connection, how.frame, replace(rows, index=index) if index else rows)
    verdicts = {name: said for name, one in found.items() if (said := _verdicts(one))}
    if verdicts:
        warnings.warn(_warning(verdicts), VerdictWarning, stacklevel=3)
    missing = {name: numbers for name, one in found.items() if (numbers := one.notes.get(MISSING))}
    if missing:
        warnings.warn(_missing_warning(missing), MissingTradesWarning, stacklevel=3)
    attributes = place_of(warehouse) | _attributes(found, verdicts, wanted.is_one)
    return attributed(made, how.frame, attributes)


def _require_complete(connection: Connection, found: Mapping[str, SelectedRows]) -> None:
    errors: dict[str, IncompleteDays] = {}
    for name, selected in found.items():
        try:
            for each in selected.all_parts:
                each.require_complete()
        except IncompleteDays as error:
            errors[name] = error
    if not errors:
        return
    first, *others = errors
    raised = errors[first]
    question = or_near(connection, DATASETS[raised.dataset], raised.series)
    named = f" Days of {first_names(others, _NAMED)} are not complete either."
    raised = raised.with_message(f"{raised}{named if others else ''}")
    raise advised(raised, question.strip())


def _verdicts(selected: SelectedRows) -> dict[str, str]:
    return {
        str(proof.day): text
        for each in selected.all_parts
        for proof in each.proofs
        if (text := warning_of(proof))
    }


def _warning(verdicts: Mapping[str, Mapping[str, str]]) -> str:
    series, days = next(iter(verdicts.items()))
    first = next(iter(days))
    more = sum(map(len, verdicts.values())) - 1
    return f"{series} has a verdict on {first}: {days[first]}" + (
        f" and {more:,} more days" if more else ""
    )


def _missing_warning(missing: Mapping[str, Any]) -> str:
    named = [f"{name} {numbers}" for name, holes in missing.items() for numbers in holes]
    return f"Trades are missing until the next backfill: {first_names(named, _NAMED)}"


def _attributes(
    found: Mapping[str, SelectedRows], verdicts: Mapping[str, Mapping[str, str]], is_one: bool
) -> dict[str, object]:
    by_name: dict[str, Mapping[str, object]] = {
        "proved_until": {
            name: _text(one.proved_until) for name, one in found.items() if not one.incomplete
        },
        "rolled_up": {name: _spans(one.rolled_up) for name, one in found.items()},
        "incomplete": {name: _spans(one.incomplete) for name, one in found.items()},
    }
    for key in dict.fromkeys(key for one in found.values() for key in one.notes):
        by_name[key] = {name: one.notes[key] for name, one in found.items()}
    if is_one:
        [name] = found
        attributes: dict[str, object] = {"series": name}
        attributes |= {key: of_name.get(name) for key, of_name in by_name.items()}
        return attributes | ({"verdicts": verdicts[name]} if verdicts else {})
    attributes = {"series": list(found)}
    for key, of_name in by_name.items():
        attributes[key] = {name: value for name, value in of_name.items() if value}
    return attributes | ({"verdicts": dict(verdicts)} if verdicts else {})


def place_of(warehouse: Warehouse) -> dict[str, object]:
    return {"environment": str(warehouse.environment), "warehouse": str(warehouse)}


def attributed(made: Any, kind: FrameKind, attributes: Mapping[str, object]) -> Any:
    """The frame with attributes: pandas and pyarrow keep some, polars none."""
    if kind == "pandas":
        made.attrs = dict(attributes)
    elif kind == "arrow":
        texts = {key: str(value) for key, value in attributes.items()}
        made = made.replace_schema_metadata(texts)
    return made


def _text(moment: datetime) -> str:
    return moment.isoformat(sep=" ")


def _spans(days: Sequence[date] | Mapping[date, str]) -> list[str]:
    return [span(first, last) for first, last in spans_of(days)]
