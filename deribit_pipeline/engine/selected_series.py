"""Rows of a series in a window: the query that selects them, and the proofs of their days."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.windows import (
    END_OF_TIME,
    ONE_DAY,
    TimeWindow,
    day_window,
    days_between,
    from_ms,
    spans_of,
)
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
    minutes. If `incomplete` is empty, every row until `proved_until` is returned.
    `also` are rows of other series or datasets from which the query computes. `notes` are further
    attributes of a frame of the rows.
    """

    dataset: Dataset
    series: str
    query: str
    parameters: Mapping[str, object]
    at: str
    order: str
    proofs: Sequence[Proof]
    incomplete: Mapping[date, str]
    proved_until: datetime
    rolled_up: Sequence[date] = ()
    also: tuple["SelectedRows", ...] = ()
    notes: Mapping[str, object] = field(default_factory=dict)

    @property
    def all_parts(self) -> tuple["SelectedRows", ...]:
        """These rows, and those of other series from which the query computes."""
        return (self, *self.also)

    def require_complete(self) -> None:
        """Raise IncompleteDays if a day is not proved, or if the series was listed on none: an
        empty frame could not be distinguished from a complete one."""
        if self.incomplete:
            raise _incomplete(self.dataset, self.series, self.incomplete)
        if all(proof.state is DayState.NOT_LISTED for proof in self.proofs):
            unlisted = {proof.day: state_as_text(proof) for proof in self.proofs}
            raise _incomplete(self.dataset, self.series, unlisted)


def rows(
    connection: Connection,
    dataset: Dataset,
    series: str,
    window: TimeWindow,
    only: Mapping[str, str] | None = None,
) -> SelectedRows:
    """The rows, of any dataset but candles, whose instant is in the window.

    A window that ends at END_OF_TIME ends with the newest day that was ever requested. `only`
    filters by columns, such as the resolution, and omits these columns.
    """
    table, only = dataset.table, only or {}
    columns = [column.name for column in table.columns_but(table.key[0]) if column.name not in only]
    proofs = proofs_within(connection, dataset, series, window)
    window, is_endless = ending(window, proofs), window.end == END_OF_TIME
    days = days_of(window)
    last, proved_until = proofs.get(days[-1]), window.end
    partial: set[date] = set()
    if last is not None and is_open_without_gaps(last):
        newest = newest_row(connection, dataset, series, last.day)
        proved_until = newest if is_endless else window.end
        partial = {last.day} if is_endless or newest >= window.end else set()
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
        incomplete_days({day: proofs.get(day) for day in days if day not in partial}),
        proved_until,
    )


def proofs_within(
    connection: Connection, dataset: Dataset, series: str, window: TimeWindow
) -> dict[date, Proof]:
    """The proofs of the days that overlap the window, by day."""
    first, last = window.start.date(), (window.end - timedelta.resolution).date()
    found = proofs_of(connection, dataset, (series,), first, last)
    return {proof.day: proof for proof in found}


def ending(window: TimeWindow, days: Collection[date]) -> TimeWindow:
    """The window; one that ends at END_OF_TIME ends with the last of these days instead, or with
    its first day if there are none."""
    if window.end < END_OF_TIME:
        return window
    last = max(days, default=window.start.date())
    return TimeWindow(window.start, day_window(last).end)


def is_open_without_gaps(proof: Proof) -> bool:
    """Whether the day is not over, and every row of it that was closed is stored."""
    return proof.state is DayState.OPEN and not proof.missing


def newest_row(connection: Connection, dataset: Dataset, series: str, day: date) -> datetime:
    """The instant of the newest stored row of a day; the day's beginning if it has none."""
    begins = day_window(day).start
    where = {dataset.table.key[0]: series, **dict(dataset.constants)}
    [(newest_ms,)] = connection.execute(
        f"select epoch_ms(max({dataset.at})) from {dataset.table.name} "
        f"where {' and '.join(f'{name} = ${name}' for name in where)} "
        f"and {dataset.at} >= $begins and {dataset.at} < $ends",
        {**where, "begins": begins, "ends": begins + ONE_DAY},
    ).fetchall()
    return begins if newest_ms is None else from_ms(newest_ms)


def days_of(window: TimeWindow) -> list[date]:
    """Every UTC day that overlaps the window."""
    return list(days_between(window.start.date(), (window.end - timedelta.resolution).date()))


def incomplete_days(days: Mapping[date, Proof | None]) -> dict[date, str]:
    """The days that are not proved, with the state of each as text."""
    return {
        day: state_as_text(proof)
        for day, proof in days.items()
        if proof is None or not proof.is_settled
    }


def state_as_text(proof: Proof | None) -> str:
    """The state of a day in a sentence; without a proof it was never requested."""
    if proof is None:
        return "never requested"
    if proof.missing:
        return f"{proof.state}, {proof.missing:,} missing"
    return proof.state.replace("_", " ")


def span(first: date, last: date) -> str:
    """Consecutive days as text."""
    return str(first) if first == last else f"{first} to {last}"


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
