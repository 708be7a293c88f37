"""The days of a backfill as a table: by series and state."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from deribit_pipeline.cli.printed_tables import Column, print_table
from deribit_pipeline.cli.terminal import stdout
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.outcome import Key

_MOST = 20
"""Of more series than this, the sum is printed, and at most this many that are not complete."""

Row = tuple[str, Sequence[int]]
"""A series with its days by state, those not proved, and its rows, missing and revised."""


def all_done(proofs: Collection[Proof]) -> str:
    """The sentence for days that were all proved before the command began."""
    states = Counter(proof.state for proof in proofs)
    days = "The day is" if len(proofs) == 1 else f"All {len(proofs):,} days are"
    if set(states) == {DayState.COMPLETE}:
        return f"{days} already complete."
    by_state = [f"{states[state]:,} {_heading(state)}" for state in DayState if states[state]]
    return f"{days} already proved: {', '.join(by_state)}."


def print_days(dataset: Dataset, requested: Days, proved: Mapping[Key, Proof]) -> None:
    """Print the days of each series by state; of many series, their sum and those that are not
    complete, the worst first."""
    series = dataset.series.label
    rows = [
        _row(name, len(days), [proved[name, day] for day in days if (name, day) in proved])
        for name, days in requested.items()
    ]
    others = 0
    if len(rows) > _MOST:
        incomplete = sorted(filter(_shortfall, rows), key=_shortfall, reverse=True)
        others = len(incomplete[_MOST:])
        total = (
            f"all {len(rows):,}",
            [sum(one) for one in zip(*(counts for _, counts in rows), strict=True)],
        )
        rows = [total, *incomplete[:_MOST]]
    columns = [
        Column(series, is_number=False),
        *(Column(_heading(each), may_fold=each is not DayState.COMPLETE) for each in DayState),
        Column("not proved", may_fold=True),
        Column(dataset.rows),
        Column("missing", may_fold=True),
        Column("revised", may_fold=True),
    ]
    title = f"{dataset.label} by {series}-day"
    print_table(stdout(), title, columns, [(name, *counts) for name, counts in rows])
    if others:
        stdout().print(f"{others:,} more are not complete: see deribit-pipeline coverage.")


def _row(name: str, requested: int, proofs: Sequence[Proof]) -> Row:
    by_state = Counter(proof.state for proof in proofs)
    return name, [
        *(by_state[state] for state in DayState),
        requested - len(proofs),
        sum(proof.received for proof in proofs),
        sum(proof.missing for proof in proofs),
        sum(proof.revised for proof in proofs),
    ]


def _shortfall(row: Row) -> tuple[int, ...]:
    """The days of a series that are not proved, gapped and open; empty if there are none."""
    *states, not_proved, _, _, _ = row[1]
    by_state = dict(zip(DayState, states, strict=True))
    counts = (not_proved, by_state[DayState.GAPPED], by_state[DayState.OPEN])
    return counts if any(counts) else ()


def _heading(state: DayState) -> str:
    return state.replace("_", " ")
