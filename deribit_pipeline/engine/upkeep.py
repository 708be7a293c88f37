"""What keeps a warehouse up to date without a manual request: which days to fetch, and when
again."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.incomplete import incomplete_days, settled_days
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.warehouse.warehouse import Warehouse

_WEEK = 7


def unsettled_of_last_week(
    warehouse: Warehouse, series: Sequence[str], dataset: Dataset, today: date
) -> dict[str, list[date]]:
    """The days of the week before `today` that are not settled, by series; of those never fetched,
    the available ones."""
    days = list(days_between(today - timedelta(days=_WEEK), today - timedelta(days=1)))
    with warehouse.reading() as connection:
        proofs = settled_days(connection, dataset, dict.fromkeys(series, days))
        known = proofs_of(connection, dataset, series, days[0], days[-1]) if series else []
    settled = {(proof.series, proof.day) for proof in proofs}
    held = {(proof.series, proof.day) for proof in known}
    available = {day for day in days if dataset.is_kept_whole(day, today)}

    def is_due(name: str, day: date) -> bool:
        return (name, day) not in settled and (day in available or (name, day) in held)

    found = {name: [day for day in days if is_due(name, day)] for name in series}
    return _some(found)


def proved_yesterday(
    warehouse: Warehouse, series: Sequence[str], dataset: Dataset, today: date
) -> dict[str, list[date]]:
    """The days that were proved complete the day before `today`, to be checked once more."""
    day = today - timedelta(days=2)
    return _complete(warehouse, series, dataset, day, day)


def proved_last_week(
    warehouse: Warehouse, series: Sequence[str], dataset: Dataset, today: date
) -> dict[str, list[date]]:
    """The complete days that were proved seven to thirteen days before `today`, to be checked once
    more: with one run a week, no day is skipped."""
    last = today - timedelta(days=_WEEK + 1)
    return _complete(warehouse, series, dataset, last - timedelta(days=_WEEK - 1), last)


def due_for_repair(
    warehouse: Warehouse, series: Sequence[str], dataset: Dataset, now: datetime
) -> dict[str, list[date]]:
    """The days that `repair` would request at `now`."""
    if not series:  # a selection without series selects all of them
        return {}
    selection = Selection((dataset,), tuple(series))
    return incomplete_days(warehouse, now, selection).days.get(dataset, {})


def _complete(
    warehouse: Warehouse,
    series: Sequence[str],
    dataset: Dataset,
    first: date,
    last: date,
) -> dict[str, list[date]]:
    if not series:
        return {}
    with warehouse.reading() as connection:
        proofs = proofs_of(connection, dataset, series, first, last)
    found: dict[str, list[date]] = {name: [] for name in series}
    for proof in proofs:
        if proof.state is DayState.COMPLETE:
            found[proof.series].append(proof.day)
    return _some(found)


def _some(days: Days) -> dict[str, list[date]]:
    return {name: list(some) for name, some in days.items() if some}
