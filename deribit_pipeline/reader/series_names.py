"""The series that a call names: one name, several, or selectors of instruments."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeAlias

from deribit_pipeline import selection
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.registry import DATASETS, series_of
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.specification import (
    INSTRUMENT_NAME,
    Specification,
    settlement_currency,
)
from deribit_pipeline.domain.windows import END_OF_TIME, TimeWindow, day_window
from deribit_pipeline.engine.proof_reads import series_held
from deribit_pipeline.engine.selected_series import SelectedRows
from deribit_pipeline.engine.universe import CURRENT
from deribit_pipeline.errors import InputError
from deribit_pipeline.instruments.history import requested_at, universe
from deribit_pipeline.selection import Selector, choice
from deribit_pipeline.warehouse.place import Connection

Names: TypeAlias = str | Iterable[str]

_PLURALS = {
    SeriesKind.INSTRUMENT: ("instruments", "BTC-PERPETUAL"),
    SeriesKind.CURRENCY: ("currencies", "BTC"),
    SeriesKind.INDEX: ("index_names", "btc_usd"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The series of a dataset that a call names; `is_one` if it is one name, whose frame then has
    no column with the series."""

    dataset: Dataset
    names: tuple[str, ...]
    selectors: tuple[Selector, ...]
    is_one: bool

    def series(self, connection: Connection, window: TimeWindow) -> dict[str, TimeWindow]:
        """The names, each with its window: those named, and the instruments that the selectors
        select, in the part of the window in which they were listed.

        Raises InputError if a selector selects nothing that was listed in the window.
        """
        found = dict.fromkeys(self.names, window)
        for selector in self.selectors:
            require_lists(connection, selector, window)
            selected = _selected(connection, selector, window)
            of_dataset = series_of(self.dataset, [each.instrument_name for each in selected])
            if not of_dataset:
                raise InputError(_nothing_of(selector, window))
            for each in selected:
                if each.instrument_name in of_dataset:
                    found.setdefault(each.instrument_name, _listed_in(each, window))
        return found


def wanted(series: Names, dataset: Dataset) -> Wanted:
    """The series that the argument names. Raises InputError for one that the dataset cannot
    have."""
    plural, example = _PLURALS[dataset.series]
    texts = [series] if isinstance(series, str) else series
    if not isinstance(texts, Iterable) or isinstance(texts, bytes):
        raise InputError(f"{plural} must be a name such as {example}, or several, was {series!r}.")
    names: list[str] = []
    selectors: list[Selector] = []
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"{plural} must be names such as {example}, one was {text!r}.")
        if dataset.series is SeriesKind.INSTRUMENT:
            chosen = choice(text, plural)
            names += chosen.names
            selectors += chosen.selectors
        else:
            names += [selection.series_name(part.strip()) for part in text.split(",")]
    if not names and not selectors:
        raise InputError(f"{plural} names nothing: name one such as {example}.")
    for name in names:
        _require_available(dataset, name)
    is_one = isinstance(series, str) and len(names) == 1 and not selectors
    return Wanted(dataset, tuple(dict.fromkeys(names)), tuple(dict.fromkeys(selectors)), is_one)


def or_near(connection: Connection, dataset: Dataset, name: str) -> str:
    """A question that names the series that an unknown one resembles; empty if it is known to any
    dataset or list of instruments, or resembles none.

    Raises InputError if the exchange lists no such instrument.
    """
    listed = _listed_names(connection)
    held = {kind: _held(connection, kind) for kind in SeriesKind}
    if name in listed.union(*held.values()):
        return ""
    is_instrument = dataset.series is SeriesKind.INSTRUMENT
    question = selection.or_near(name, held[dataset.series] | (listed if is_instrument else set()))
    currency = settlement_currency(name)
    listed_at = requested_at(connection).get(currency)
    if is_instrument and listed_at:
        raise InputError(
            f"{name} is not in the list of {currency}'s instruments of {listed_at:%Y-%m-%d %H:%M} "
            f"UTC.{question}"
        )
    return question


def require_listed(connection: Connection, name: str, settlements: SelectedRows) -> None:
    """Raise InputError for an instrument that never settled and is not listed, although the
    settlements are complete, or that the exchange lists under another name."""
    settled = connection.execute(
        "select 1 from settlements where instrument_name = $name limit 1", {"name": name}
    ).fetchall()
    if settled:
        return
    question = or_near(connection, CANDLES[Resolution.MINUTE_1], name)
    is_complete = not settlements.incomplete
    if is_complete and (question or name not in _listed_names(connection)):
        raise InputError(f"The warehouse has no settlement of {name}.{question}")


def _held(connection: Connection, kind: SeriesKind) -> set[str]:
    """The series of any dataset of this kind of which any day was ever requested."""
    datasets = [dataset for dataset in DATASETS.values() if dataset.series is kind]
    return {name for dataset in datasets for name in series_held(connection, dataset)}


def _listed_names(connection: Connection) -> set[str]:
    rows = connection.execute("select distinct instrument_name from instruments").fetchall()
    return {name for (name,) in rows}


def _require_available(dataset: Dataset, name: str) -> None:
    """Raise InputError unless the dataset is available for the series of this name."""
    plural, example = _PLURALS[dataset.series]
    if not INSTRUMENT_NAME.fullmatch(name):
        raise InputError(f"{plural} must be names such as {example}, one was {name!r}.")
    if dataset.currencies and name not in dataset.currencies:
        raise InputError(
            f"{dataset.name} is available for {', '.join(dataset.currencies)}, not for {name}."
        )
    if dataset.is_of_perpetuals and not series_of(dataset, (name,)):
        raise InputError(
            f"{dataset.name} is available for perpetuals only; {name} is not a perpetual."
        )


def _selected(
    connection: Connection, selector: Selector, window: TimeWindow
) -> list[Specification]:
    """The instruments that were listed at any time in the window, expired since or not."""
    ever = replace(selector, is_with_expired=False)
    return universe(connection, ever, window.start, window.end - datetime.resolution)


def _listed_in(listed: Specification, window: TimeWindow) -> TimeWindow:
    """The days of the window on which an instrument was listed."""
    begins = max(window.start, day_window(listed.listed_at.date()).start)
    ends = window.end
    if listed.expires_at is not None:
        last = day_window(listed.expires_at.date()).end
        is_over = last <= datetime.now(UTC)
        ends = min(ends, last) if is_over or ends < END_OF_TIME else ends
    return TimeWindow(begins, ends)


def require_lists(connection: Connection, selector: Selector, window: TimeWindow) -> None:
    """Raise InputError if instruments of the window may be missing from the lists of instruments: a
    list was never requested, or not since the window ended."""
    requested = requested_at(connection)
    fetch = (
        "fetch the lists with deribit-pipeline instruments, or materialize the asset instruments"
    )
    if never := [currency for currency in selector.lists if currency not in requested]:
        raise InputError(f"The instruments of {', '.join(never)} were never listed: {fetch}.")
    oldest = min(requested[currency] for currency in selector.lists)
    until = window.end if window.end < END_OF_TIME else window.start
    if oldest < min(until, datetime.now(UTC) - CURRENT):
        raise InputError(
            f"The lists of instruments are of {oldest:%Y-%m-%d %H:%M} UTC and may be missing some "
            f"that {selector} selects until {until:%Y-%m-%d %H:%M}: {fetch}."
        )


def _nothing_of(selector: Selector, window: TimeWindow) -> str:
    until = "" if window.end == END_OF_TIME else f" and before {window.end:%Y-%m-%d %H:%M}"
    return (
        f"{selector} selects no instrument that was listed from {window.start:%Y-%m-%d %H:%M} "
        f"on{until}."
    )
