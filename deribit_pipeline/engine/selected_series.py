"""Rows of a series in a window: the query that selects them, and the proofs of their days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.windows import TimeWindow, days_between, spans_of
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.errors import IncompleteDays
from deribit_pipeline.warehouse.place import Connection

# An error names this many spans of days, and counts the remaining days.
_SPANS_NAMED = 4


@dataclass(frozen=True, slots=True)
class SelectedRows:
    """Rows of a series, to be read on the connection on which they were selected.

    `query` returns them, unsorted, with `parameters`; `at` is its column of instants, and `order`
    the sort order. `proofs` are those of all days with rows. `incomplete` has each day that is not
    proved, with its state as text. Candles that open on the days `rolled_up` are aggregated from
    minutes.
    """

    dataset: Dataset
    series: str
    query: str
    parameters: Mapping[str, object]
    at: str
    order: str
    proofs: Sequence[Proof]
    incomplete: Mapping[date, str]
    rolled_up: Sequence[date] = ()

    def require_complete(self) -> None:
        """Raise IncompleteDays if a day is not proved, or if the series was listed on none: an
        empty frame could not be distinguished from a complete one."""
        if self.incomplete:
            raise _incomplete(self.dataset, self.series, self.incomplete)
        if all(proof.state is DayState.NOT_LISTED for proof in self.proofs):
            unlisted = {proof.day: _known_of(proof) for proof in self.proofs}
            raise _incomplete(self.dataset, self.series, unlisted)


def rows(
    connection: Connection,
    dataset: Dataset,
    series: str,
    window: TimeWindow,
    only: Mapping[str, str] | None = None,
) -> SelectedRows:
    """The rows, of any dataset but candles, whose instant is in the window.

    `only` filters by columns, such as the resolution, and omits these columns.
    """
    table, only = dataset.table, only or {}
    columns = [column.name for column in table.columns_but(table.key[0]) if column.name not in only]
    days = days_of(window)
    proofs: dict[date, Proof] = {
        proof.day: proof for proof in proofs_of(connection, dataset, (series,), days[0], days[-1])
    }
    return SelectedRows(
        dataset,
        series,
        f"select {', '.join(columns)} from {table.name} where {table.key[0]} = $series "
        f"and {dataset.at} >= $start and {dataset.at} < $end"
        + "".join(f" and {name} = ${name}" for name in only),
        {"series": series, "start": window.start, "end": window.end, **only},
        dataset.at,
        ", ".join(name for name in dataset.key if name not in only),
        list(proofs.values()),
        incomplete_days({day: proofs.get(day) for day in days}),
    )


def days_of(window: TimeWindow) -> list[date]:
    """Every UTC day that overlaps the window."""
    return list(days_between(window.start.date(), (window.end - timedelta.resolution).date()))


def incomplete_days(days: Mapping[date, Proof | None]) -> dict[date, str]:
    """The days that are not proved, with the state of each as text."""
    return {
        day: _known_of(proof)
        for day, proof in days.items()
        if proof is None or not proof.is_settled
    }


def span(first: date, last: date) -> str:
    """Consecutive days as text."""
    return str(first) if first == last else f"{first} to {last}"


def _known_of(proof: Proof | None) -> str:
    if proof is None:
        return "never requested"
    if proof.state is DayState.GAPPED:
        return f"gapped, {proof.missing:,} missing"
    return proof.state.replace("_", " ")


def _incomplete(dataset: Dataset, series: str, days: Mapping[date, str]) -> IncompleteDays:
    spans = [
        (first, last, known)
        for known in dict.fromkeys(days.values())
        for first, last in spans_of(day for day, state in days.items() if state == known)
    ]
    spans.sort()
    named = [f"{span(first, last)} ({known})" for first, last, known in spans[:_SPANS_NAMED]]
    more = sum((last - first).days + 1 for first, last, _ in spans[_SPANS_NAMED:])
    others = f" and {more:,} more days" if more else ""
    return IncompleteDays(
        f"{series} has no complete {dataset.label} of {', '.join(named)}{others}.",
        dataset=dataset.name,
        series=series,
        days=days,
    )
