"""The schedules that keep the universe up to date, hour by hour, day by day, week by week.

A tick asks for exactly the days that need it. Two that overlap do no harm: whoever comes second
finds the days settled, or is told the same by the exchange.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

import dagster as dg

from deribit_pipeline.datasets.registry import CANDLES_REBUILT, ROW_DATASETS, TRADES
from deribit_pipeline.defs.partitions import partition_key
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.windows import spans_of
from deribit_pipeline.engine import upkeep
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.settings import Settings

# Minutes past the hour at which nobody else begins, and of a day that has surely ended; what is
# made of trades after the trades.
_CRONS_OF_CANDLES = {
    "candles_hourly": "10 * * * *",
    "candles_daily": "20 0 * * *",
    "candles_weekly": "40 1 * * 1",
}
# Soon after 08:00 UTC, when instruments expire and are listed.
_CRON_OF_INSTRUMENTS = {"instruments_daily": "25 8 * * *"}
# When the night's days are written.
_CRON_OF_MAINTENANCE = {"maintain_warehouse": "50 5 * * *"}
_HOUR_OF_TRADES, _HOUR_OF_REBUILT = 1, 4

BY_HAND = (TRADES, CANDLES_REBUILT)
"""The datasets whose schedules stay off until somebody switches them on: nobody should find a
million trades a day on his disk for having switched schedules on."""


def schedule_name(dataset: Dataset) -> str:
    """The one schedule of a dataset that is not of candles: what the exchange forgets is asked for
    every hour."""
    return f"{dataset.name}_{'hourly' if dataset.is_rolling else 'daily'}"


def _cron(dataset: Dataset, number: int) -> str:
    minute = 12 + 3 * number
    if dataset.is_rolling:
        return f"{minute} * * * *"
    hours = {TRADES.name: _HOUR_OF_TRADES, CANDLES_REBUILT.name: _HOUR_OF_REBUILT}
    return f"{minute} {hours.get(dataset.name, 0)} * * *"


CRONS = (
    _CRONS_OF_CANDLES
    | _CRON_OF_INSTRUMENTS
    | _CRON_OF_MAINTENANCE
    | {
        schedule_name(dataset): _cron(dataset, number)
        for number, dataset in enumerate(ROW_DATASETS)
    }
)
"""When each schedule ticks, in UTC."""

# Dagster gives a tick a minute. A file that is busy for longer is read by the next tick.
_PATIENCE = 20.0

_Ticks = Iterator[dg.RunRequest | dg.SkipReason]


def candles_schedules(
    settings: Settings,
    asset: dg.AssetsDefinition,
    dataset: Dataset,
    universe: Sequence[str],
    crons: Mapping[str, str] = CRONS,
) -> list[dg.ScheduleDefinition]:
    """The schedules of one candles asset, running by themselves where the settings say so."""
    warehouse = warehouse_of(settings, patience=_PATIENCE)
    runs = functools.partial(_runs, universe, asset, settings.partitions_since)

    def hourly(now: datetime) -> _Ticks:
        yield from runs({name: [now.date()] for name in universe}, now)

    def daily(now: datetime) -> _Ticks:
        held = (warehouse, universe, dataset, now.date())
        yield from runs(upkeep.unsettled_of_last_week(*held), now)
        yield from runs(upkeep.proved_yesterday(*held), now, again=True)

    def weekly(now: datetime) -> _Ticks:
        held = (warehouse, universe, dataset)
        yield from runs(upkeep.due_for_repair(*held, now), now)
        looks = upkeep.proved_last_week(*held, now.date())
        yield from runs(looks, now, again=True)

    described = {
        "candles_hourly": (hourly, "Today so far, of every instrument."),
        "candles_daily": (
            daily,
            "The days of the last week that are not complete yet; and the day that was proved "
            "yesterday once more, for the exchange may have changed its mind.",
        ),
        "candles_weekly": (
            weekly,
            "Every day that should be complete and is not, gaps at growing distances; and the days "
            "that were proved a week ago once more.",
        ),
    }
    return [
        _schedule(name, crons[name], asks, description, asset, is_on=settings.schedules)
        for name, (asks, description) in described.items()
    ]


def rows_schedule(
    settings: Settings,
    asset: dg.AssetsDefinition,
    dataset: Dataset,
    universe: Sequence[str],
    crons: Mapping[str, str] = CRONS,
) -> dg.ScheduleDefinition:
    """The schedule of any other dataset's asset: what is not settled of the last week, gaps at
    growing distances, and today so far of what the exchange forgets."""
    warehouse = warehouse_of(settings, patience=_PATIENCE)
    runs = functools.partial(_runs, universe, asset, settings.partitions_since)

    def polled(now: datetime) -> _Ticks:
        today = now.date()
        days = upkeep.unsettled_of_last_week(warehouse, universe, dataset, today)
        if dataset.is_rolling:
            days = {name: [*days.get(name, ()), today] for name in universe}
        for name, due in upkeep.due_for_repair(warehouse, universe, dataset, now).items():
            days[name] = sorted({*days.get(name, ()), *due})
        yield from runs(days, now)

    name = schedule_name(dataset)
    description = (
        "Today so far and what is not complete yet: the exchange tells the newest rows alone, and "
        "what is not asked for in time is lost."
        if dataset.is_rolling
        else "The days of the last week that are not complete yet, and gaps at growing distances."
    )
    is_on = settings.schedules and dataset not in BY_HAND
    if dataset in BY_HAND:
        description += " Off until it is switched on in the UI: a day may have a million trades."
    return _schedule(name, crons[name], polled, description, asset, is_on=is_on)


def default_status(*, is_on: bool) -> dg.DefaultScheduleStatus:
    """What a schedule is until somebody switches it in the UI."""
    return dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED


def _schedule(
    name: str,
    cron: str,
    asks: Callable[[datetime], _Ticks],
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
            asked = list(asks(context.scheduled_execution_time.astimezone(UTC)))
        except WarehouseError as error:
            yield dg.SkipReason(f"The next tick will see to it: {error}")
            return
        yield from asked or [dg.SkipReason("Every day that has a partition is as it should be.")]

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
    for names, (first, last) in stretches(universe, within):
        start, end = partition_key(names[0], first), partition_key(names[-1], last)
        yield dg.RunRequest(
            run_key=f"{now:%Y-%m-%dT%H:%M} {start}...{end}{' again' if again else ''}",
            run_config={"ops": {asset.op.name: {"config": {"force": again}}}},
            tags={
                "dagster/asset_partition_range_start": start,
                "dagster/asset_partition_range_end": end,
            },
        )


def stretches(universe: Sequence[str], days: Days) -> list[tuple[list[str], tuple[date, date]]]:
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
