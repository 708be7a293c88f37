"""Days that were requested and could not be proved, on an open connection."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from deribit_pipeline.datasets.registry import DATASETS, Selection
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proof_tables import FAILED_DAYS
from deribit_pipeline.domain.windows import from_us
from deribit_pipeline.engine.proof_reads import proofs
from deribit_pipeline.warehouse.connections import has_table
from deribit_pipeline.warehouse.place import Connection


@dataclass(frozen=True, slots=True)
class FailedDay:
    """A day that was requested and could not be proved, why, and when it last failed."""

    dataset: Dataset
    series: str
    day: date
    reason: str
    failed_at: datetime
    run_id: str


def failed_days(connection: Connection, selection: Selection) -> list[FailedDay]:
    """The selected failed days that have not been settled since, by dataset, series and day. A file
    of an older version has none."""
    if not has_table(connection, FAILED_DAYS.name):
        return []
    rows = connection.execute(
        """
        select dataset, series, day, arg_max(reason, failed_at), epoch_us(max(failed_at)),
               arg_max(run_id, failed_at)
        from failed_days
        where dataset in $datasets
          and (len($series) = 0 or series in $series)
          and ($first is null or day >= $first) and ($last is null or day <= $last)
        group by all order by all
        """,
        {
            "datasets": [dataset.name for dataset in selection.all_datasets],
            "series": list(selection.series),
            "first": selection.first,
            "last": selection.last,
        },
    ).fetchall()
    found = [
        FailedDay(DATASETS[name], series, day, reason, from_us(us), run_id)
        for name, series, day, reason, us, run_id in rows
    ]
    if not found:
        return []
    settled = _settled(connection, found)
    return [each for each in found if (each.dataset, each.series, each.day) not in settled]


def _settled(
    connection: Connection, failed: Collection[FailedDay]
) -> set[tuple[Dataset, str, date]]:
    """The settled days of these series, from the first of the failed days to the last."""
    selection = Selection(
        tuple({each.dataset for each in failed}),
        tuple({each.series for each in failed}),
        min(each.day for each in failed),
        max(each.day for each in failed),
    )
    return {
        (dataset, proof.series, proof.day)
        for dataset, some in proofs(connection, selection).items()
        for proof in some
        if proof.is_settled
    }


def remembered(connection: Connection, dataset: Dataset) -> set[tuple[str, date]]:
    """The series and days of the dataset that are recorded as failed, settled since or not."""
    rows = connection.execute(
        "select series, day from failed_days where dataset = $name", {"name": dataset.name}
    ).fetchall()
    return set(rows)


def remember(
    connection: Connection,
    dataset: Dataset,
    failures: Mapping[tuple[str, date], tuple[str, str]],
    failed_at: datetime,
) -> None:
    """Record each series' day as failed, with the reason and the run in which it failed."""
    if not failures:
        return
    connection.execute(
        """
        insert into failed_days by name
        select $name as dataset, series, day, reason, $failed_at as failed_at, run_id
        from (select unnest($rows, recursive := true))
        """,
        {
            "name": dataset.name,
            "failed_at": failed_at,
            "rows": [
                {"series": series, "day": day, "reason": reason, "run_id": run_id}
                for (series, day), (reason, run_id) in failures.items()
            ],
        },
    )


def forget(connection: Connection, dataset: Dataset, days: Collection[tuple[str, date]]) -> None:
    """Delete the records of these failed days."""
    if not days:
        return
    connection.execute(
        """
        delete from failed_days using (select unnest($rows, recursive := true)) as gone
        where failed_days.dataset = $name
          and failed_days.series = gone.series and failed_days.day = gone.day
        """,
        {"name": dataset.name, "rows": [{"series": series, "day": day} for series, day in days]},
    )


def by_series(failed: Iterable[FailedDay]) -> dict[tuple[Dataset, str], list[FailedDay]]:
    """The failed days of each dataset and series."""
    found: dict[tuple[Dataset, str], list[FailedDay]] = {}
    for each in failed:
        found.setdefault((each.dataset, each.series), []).append(each)
    return found
