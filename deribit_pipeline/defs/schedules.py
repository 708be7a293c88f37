"""The schedules that keep the universe up to date, hour by hour, day by day, week by week.

A tick asks for exactly the days that need it. Two that overlap do no harm: whoever comes second
finds the days settled, or is told the same by the exchange.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

import dagster as dg

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.defs.partitions import partition_key
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.schedule import Again, Due, Schedule
from deribit_pipeline.domain.windows import spans_of
from deribit_pipeline.engine import upkeep
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse

CRONS = {
    "instruments_daily": "25 8 * * *",  # soon after instruments expire and are listed
    "maintain_warehouse": "50 5 * * *",  # when the night's days are written
} | {
    dataset.schedule_name(schedule): schedule.cron
    for dataset in DATASETS.values()
    for schedule in dataset.schedules
}
"""When each schedule ticks, in UTC. Minutes past the hour at which nobody else begins, and of a day
that has surely ended."""

# Dagster gives a tick a minute. A file that is busy for longer is read by the next tick.
_PATIENCE = 20.0

_Ticks = Iterator[dg.RunRequest | dg.SkipReason]


def dataset_schedules(
    settings: Settings,
    asset: dg.AssetsDefinition,
    dataset: Dataset,
    universe: Sequence[str],
    crons: Mapping[str, str] = CRONS,
) -> list[dg.ScheduleDefinition]:
    """The schedules of a dataset's asset, running by themselves where the settings say so."""
    warehouse = warehouse_of(settings, patience=_PATIENCE)
    runs = functools.partial(_runs, universe, asset, settings.partitions_since)

    def requested(schedule: Schedule, now: datetime) -> _Ticks:
        yield from runs(_due(schedule.due, warehouse, universe, dataset, now), now)
        if schedule.again is not None:
            proved = _AGAIN[schedule.again](warehouse, universe, dataset, now.date())
            yield from runs(proved, now, again=True)

    return [
        _schedule(
            dataset.schedule_name(schedule),
            crons[dataset.schedule_name(schedule)],
            functools.partial(requested, schedule),
            _description(dataset, schedule),
            asset,
            is_on=settings.schedules and not dataset.is_scheduled_by_hand,
        )
        for schedule in dataset.schedules
    ]


_AGAIN = {
    Again.PROVED_YESTERDAY: upkeep.proved_yesterday,
    Again.PROVED_LAST_WEEK: upkeep.proved_last_week,
}

_DESCRIBED = {
    Due.TODAY: "today so far",
    Due.LAST_WEEK: "the days of the last week that are not complete yet",
    Due.REPAIR: "every day that should be complete and is not, gaps at growing distances",
    Again.PROVED_YESTERDAY: "the day that was proved yesterday once more, for the exchange may "
    "have changed its mind",
    Again.PROVED_LAST_WEEK: "the days that were proved a week ago once more",
}


def _description(dataset: Dataset, schedule: Schedule) -> str:
    parts = [_DESCRIBED[due] for due in schedule.due]
    parts += [_DESCRIBED[schedule.again]] if schedule.again else []
    text = "; ".join(parts)
    text = f"{text[:1].upper()}{text[1:]}."
    if dataset.is_rolling:
        text += " The exchange tells the newest rows alone: what is not asked for in time is lost."
    if dataset.is_scheduled_by_hand:
        text += " Off until it is switched on in the UI: a day may have a million trades."
    return text


def _due(
    due: Due, warehouse: Warehouse, universe: Sequence[str], dataset: Dataset, now: datetime
) -> Days:
    """The days that are to be requested where they are not settled, by series."""
    found = {name: {now.date()} if Due.TODAY in due else set[date]() for name in universe}
    if Due.LAST_WEEK in due:
        unsettled = upkeep.unsettled_of_last_week(warehouse, universe, dataset, now.date())
        for name, days in unsettled.items():
            found[name].update(days)
    if Due.REPAIR in due:
        for name, days in upkeep.due_for_repair(warehouse, universe, dataset, now).items():
            found[name].update(days)
    return {name: sorted(days) for name, days in found.items() if days}


def default_status(*, is_on: bool) -> dg.DefaultScheduleStatus:
    """What a schedule is until somebody switches it in the UI."""
    return dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED


def _schedule(
    name: str,
    cron: str,
    due_ticks: Callable[[datetime], _Ticks],
    description: str,
    asset: dg.AssetsDefinition,
    *,
    is_on: bool,
) -> dg.ScheduleDefinition:
    # Every hour is too often for checks, which look at all that is held.
    selection: dg.AssetSelection = dg.AssetSelection.assets(asset.key)
    if name.endswith("_hourly"):
        selection = selection.without_checks()

    # A target and no job: jobs over partitions lose some of them (dagster-io/dagster#28861).
    @dg.schedule(
        name=name,
        cron_schedule=cron,
        execution_timezone="UTC",
        target=selection,
        default_status=default_status(is_on=is_on),
        description=description,
    )
    def ticks(context: dg.ScheduleEvaluationContext) -> _Ticks:
        try:
            requested = list(due_ticks(context.scheduled_execution_time.astimezone(UTC)))
        except WarehouseError as error:
            yield dg.SkipReason(f"The next tick will see to it: {error}")
            return
        yield from requested or [
            dg.SkipReason("Every day that has a partition is as it should be.")
        ]

    return ticks


def _runs(
    universe: Sequence[str],
    asset: dg.AssetsDefinition,
    since: date,
    days: Days,
    now: datetime,
    *,
    again: bool = False,
) -> Iterator[dg.RunRequest]:
    """One run for each stretch of series and days; `again` asks for settled days too.

    Days before `since` have no partitions: the command line repairs them.
    """
    within = {name: [day for day in some if day >= since] for name, some in days.items()}
    for names, (first, last) in spans(universe, within):
        start, end = partition_key(names[0], first), partition_key(names[-1], last)
        yield dg.RunRequest(
            run_key=f"{now:%Y-%m-%dT%H:%M} {start}...{end}{' again' if again else ''}",
            run_config={"ops": {asset.op.name: {"config": {"force": again}}}},
            tags={
                "dagster/asset_partition_range_start": start,
                "dagster/asset_partition_range_end": end,
            },
        )


def spans(universe: Sequence[str], days: Days) -> list[tuple[list[str], tuple[date, date]]]:
    """The days as few rectangles: series that stand side by side in the universe,
    as the range of a run holds all between its ends, and the same unbroken span of days."""
    found: list[tuple[list[str], tuple[date, date]]] = []
    alike: dict[tuple[date, date], list[str]] = {}
    for name in universe:
        for span in spans_of(days.get(name, ())):
            alike.setdefault(span, []).append(name)
    for span, names in sorted(alike.items()):
        run: list[str] = []
        for name in names:
            if run and universe.index(name) != universe.index(run[-1]) + 1:
                found.append((run, span))
                run = []
            run.append(name)
        found.append((run, span))
    return found
