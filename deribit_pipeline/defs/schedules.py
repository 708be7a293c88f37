"""The schedules that keep the universe up to date, every few minutes, hour, day and week.

A tick requests exactly the days that need it. Overlapping ticks are harmless: the second one finds
the days settled, or receives the same rows.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.defs.asset_names import schedule_name
from deribit_pipeline.defs.grouped_series import GroupedSeries
from deribit_pipeline.defs.partitions import partition_key
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.schedule import Again, Due, Schedule
from deribit_pipeline.domain.windows import spans_of
from deribit_pipeline.engine import upkeep
from deribit_pipeline.engine.group_members import PLAIN
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.exchange.session import spool_of
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool, stream_of
from deribit_pipeline.warehouse.warehouse import Warehouse

CRONS = {
    "instruments_daily": "25 8 * * *",  # soon after instruments expire and are listed
    "maintain_warehouse": "50 5 * * *",  # when the night's days are written
} | {
    dataset.schedule_name(schedule): schedule.cron
    for dataset in DATASETS.values()
    for schedule in dataset.schedules
}
"""The cron of each schedule, in UTC: at minutes at which few other clients send requests, and late
enough for the previous day to be over."""

# In seconds. Dagster stops a tick after a minute; a file that is locked for longer is read by the
# next tick.
_PATIENCE = 20.0

_Ticks = Iterator[dg.RunRequest | dg.SkipReason]


def dataset_schedules(
    settings: Settings,
    asset: dg.AssetsDefinition,
    grouped: GroupedSeries,
    crons: Mapping[str, str] = CRONS,
) -> list[dg.ScheduleDefinition]:
    """The schedules of an asset; the settings decide whether they run by default."""
    dataset, universe = grouped.dataset, grouped.series
    warehouse = warehouse_of(settings, patience=_PATIENCE)
    runs = functools.partial(_runs, universe, asset, grouped.since)

    spool = spool_of(settings)

    def requested(schedule: Schedule, now: datetime) -> _Ticks:
        due = _due(schedule.due, warehouse, universe, dataset, now)
        if Due.RECORDED in schedule.due:
            due = _with_recorded(due, spool, universe, dataset)
        yield from runs(due, now)
        if schedule.again is not None:
            proved = _AGAIN[schedule.again](warehouse, universe, dataset, now.date())
            yield from runs(proved, now, again=True)

    return [
        _schedule(
            schedule_name(dataset, schedule, grouped.group),
            crons[dataset.schedule_name(schedule)],
            functools.partial(requested, schedule),
            _description(dataset, schedule),
            asset,
            is_on=is_on_by_default(settings, dataset),
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
    Due.REPAIR: "every day that should be complete and is not, gaps with growing back-off",
    Due.RECORDED: "the days of which the spool has recordings",
    Again.PROVED_YESTERDAY: "the day that was proved yesterday once more, because the exchange "
    "may have revised it",
    Again.PROVED_LAST_WEEK: "the days that were proved a week ago once more",
}


def _description(dataset: Dataset, schedule: Schedule) -> str:
    parts = [_DESCRIBED[due] for due in schedule.due]
    parts += [_DESCRIBED[schedule.again]] if schedule.again else []
    text = "; ".join(parts)
    text = f"{text[:1].upper()}{text[1:]}."
    if dataset.is_rolling:
        text += " The exchange returns only the newest rows: what is not fetched in time is lost."
    if dataset.is_scheduled_by_hand:
        text += " Off until it is started in the UI: a day may have a million trades."
    return text


def _due(
    due: Due, warehouse: Warehouse, universe: Sequence[str], dataset: Dataset, now: datetime
) -> Days:
    """The days to request unless they are settled, by series."""
    found = {name: {now.date()} if Due.TODAY in due else set[date]() for name in universe}
    if Due.LAST_WEEK in due:
        unsettled = upkeep.unsettled_of_last_week(warehouse, universe, dataset, now.date())
        for name, days in unsettled.items():
            found[name].update(days)
    if Due.REPAIR in due:
        for name, days in upkeep.due_for_repair(warehouse, universe, dataset, now).items():
            found[name].update(days)
    return {name: sorted(days) for name, days in found.items() if days}


def _with_recorded(days: Days, spool: Spool, universe: Sequence[str], dataset: Dataset) -> Days:
    """The days, and those of which the spool has recordings."""
    if not spool.exists():
        return days
    streams = {name: stream_of(dataset.name, dataset.recorded_as(name)) for name in universe}
    days_of = {stream: spool.days(stream) for stream in set(streams.values())}
    recorded = {name: days_of[stream] for name, stream in streams.items()}
    found = {name: sorted({*days.get(name, ()), *recorded[name]}) for name in universe}
    return {name: some for name, some in found.items() if some}


def is_on_by_default(settings: Settings, dataset: Dataset) -> bool:
    """Whether the schedules of a dataset run until they are started or stopped in the UI."""
    return settings.schedules and not dataset.is_scheduled_by_hand


def is_kept(
    instance: dg.DagsterInstance, dataset: Dataset, group: str = PLAIN, *, is_on: bool
) -> bool:
    """Whether a schedule of the dataset's asset is running: by default if `is_on`, or since it was
    started in the UI."""
    status = {}
    if instance.schedule_storage is not None:  # an instance in memory has none
        states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        status = {state.instigator_name: state.status for state in states}
    declared = InstigatorStatus.DECLARED_IN_CODE
    names = [schedule_name(dataset, each, group) for each in dataset.schedules]
    found = [status.get(name, declared) for name in names]
    return InstigatorStatus.RUNNING in found or (is_on and declared in found)


def default_status(*, is_on: bool) -> dg.DefaultScheduleStatus:
    """The status of a schedule until it is started or stopped in the UI."""
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
    # Checks read all stored rows: every hour is too often.
    selection: dg.AssetSelection = dg.AssetSelection.assets(asset.key)
    if name.endswith(("_minutes", "_hourly")):
        selection = selection.without_checks()

    # A target instead of a job: jobs over partitions skip some (dagster-io/dagster#28861).
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
            yield dg.SkipReason(f"The next tick tries again: {error}")
            return
        yield from requested or [dg.SkipReason("Every day that has a partition is up to date.")]

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
    """One run for each span of series and days; `again` requests settled days too.

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
    """The days as few rectangles: series that are neighbours in the universe, because the range of
    a run includes everything between its ends, with the same unbroken span of days."""
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
