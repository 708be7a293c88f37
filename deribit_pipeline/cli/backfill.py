"""`backfill` and `repair`: which days of which dataset, and with what result."""

import logging
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, datetime

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli.backfill_report import print_plan, print_report
from deribit_pipeline.cli.dagster_runs import make
from deribit_pipeline.cli.terminal import stderr, warnings_on
from deribit_pipeline.datasets.registry import DATASETS, Selection
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.estimate import Estimate, Limit, estimate, estimate_rows
from deribit_pipeline.engine.failures import WRONG_INPUT, note_outage
from deribit_pipeline.engine.incomplete import (
    NOTHING_LISTED,
    held_names_resting,
    held_series,
    incomplete_days,
    names_resting,
    settled_days,
)
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.reach import within_reach
from deribit_pipeline.errors import DeribitError
from deribit_pipeline.exchange.session import Exchange, open_exchange
from deribit_pipeline.instruments.listings import exchange_time, index_names, listings
from deribit_pipeline.instruments.relisted import Listings, listed_now
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)


def run(
    wanted: arguments.Wanted, start: str, end: str | None, *, plan: bool, force: bool, twice: bool
) -> int:
    """The command `backfill`; returns its exit code."""
    dataset = wanted.dataset()
    first, last = arguments.window(start, end)
    settings = Settings.load()
    arguments.require_account(dataset, settings)
    names = wanted.names(dataset, settings)
    warehouse = Warehouse(settings.warehouse, settings.environment).pinned()
    warehouse.check()
    assert first is not None
    with ExitStack() as stack:
        stack.enter_context(warnings_on(stderr()))
        exchange: Exchange | None = None
        listed: dict[str, Instrument] = {}
        now: datetime | None = None
        asked = _all(names, first, last or first)
        # Without an end, the exchange has to say which day it is in any case.
        unsettled = _unsettled(warehouse, dataset, asked, force) if last else asked
        resting = [] if force or not last else names_resting(warehouse, dataset, asked)
        if unsettled or resting:
            exchange = stack.enter_context(open_exchange(settings))
            exchange.each_twice = twice
            # Before anything is written: a name that is not listed is a mistake to say at once.
            if dataset.series is SeriesKind.INDEX and wanted.series is not None:
                _require_indexes(exchange, warehouse, dataset, unsettled)
            try:
                listed, now = _listed(exchange, warehouse, dataset, unsettled)
                others = [name for name in resting if name not in listed]
                listed |= exchange.run(listed_now(exchange, warehouse, others))
            except DeribitError as error:
                if unsettled and not plan:
                    note_outage(warehouse, dataset, unsettled, error)
                if unsettled or isinstance(error, WRONG_INPUT):
                    raise
                # Every day is proved, and stays so without an exchange.
                logger.warning("Whether the listings still stand is unknown: %s", error.summary)
            else:
                asked = _all(names, *_not_future(first, last, now.date()))
                unsettled = _unsettled(warehouse, dataset, asked, force, listed)
        if plan:
            counted = _estimate(settings, dataset, listed, asked, unsettled, twice)
            return print_plan(counted, dataset)
        total = make(settings, warehouse, exchange, dataset, asked, unsettled, now=now, force=force)
    return print_report(total, dataset, asked, now)


def repair(wanted: arguments.Wanted, start: str | None, end: str | None) -> int:
    """The command `repair`; returns its exit code."""
    first, last = arguments.window(start, end)
    settings = Settings.load()
    selection = wanted.selection(settings, first, last)
    for dataset in selection.datasets:
        arguments.require_account(dataset, settings)
    named = bool(selection.datasets)
    if not named:
        selection = replace(selection, datasets=within_reach(settings))
    chosen = () if named else selection.datasets
    out_of_reach = tuple(each for each in DATASETS.values() if chosen and each not in chosen)
    warehouse = Warehouse(settings.warehouse, settings.environment).pinned()
    warehouse.check()
    warehouse.require_there()
    wanted.require_held(selection, held_series(warehouse, selection), settings.warehouse)
    code = 0
    with warnings_on(stderr()), open_exchange(settings) as exchange:
        now = exchange.run(exchange_time(exchange.client))
        names = held_names_resting(warehouse, selection)
        listed = exchange.run(listed_now(exchange, warehouse, names))
        found = incomplete_days(warehouse, now, selection, listed)
        if found.resting:
            stderr().print(
                f"Resting: {found.resting:,} gapped days, asked again from "
                f"{found.due_at:%Y-%m-%d %H:%M} UTC on, or now with --start and --end."
            )
        left: list[Dataset] = []
        if out_of_reach:
            left += incomplete_days(warehouse, now, replace(selection, datasets=out_of_reach)).days
        for dataset in left:
            stderr().print(
                f"Not requested: days of the {dataset.label}, of your own account, which are not "
                "complete: no API key is set."
            )
        if not (found.resting or found.days or left):
            stderr().print("Nothing to repair: every day that should be complete is.")
        for dataset, days in found.days.items():
            total = make(settings, warehouse, exchange, dataset, days, days, now=now, force=False)
            code = max(code, print_report(total, dataset, days, now))
    return code


def _all(names: Collection[str], first: date, last: date) -> dict[str, list[date]]:
    return {name: list(days_between(first, last)) for name in names}


def _require_indexes(
    exchange: Exchange, warehouse: Warehouse, dataset: Dataset, names: Collection[str]
) -> None:
    """Raise InputError for a name that is no index. One of which days are held was one, whether or
    not the exchange still names it."""
    told = exchange.run(index_names(exchange.client))
    arguments.require_indexes(names, {*told, *held_series(warehouse, Selection((dataset,)))})


def _listed(
    exchange: Exchange, warehouse: Warehouse, dataset: Dataset, names: Collection[str]
) -> tuple[dict[str, Instrument], datetime]:
    """The instruments among the series, as the exchange lists them, and its clock."""
    if dataset.series is SeriesKind.INSTRUMENT:
        return exchange.run(listings(exchange, warehouse, names))
    return {}, exchange.run(exchange_time(exchange.client))


def _estimate(
    settings: Settings,
    dataset: Dataset,
    listed: dict[str, Instrument],
    asked: Days,
    unsettled: Days,
    each_twice: bool,
) -> Estimate:
    limit = Limit(settings.requests_per_second, settings.burst)
    if dataset.resolution is None:
        return estimate_rows(dataset, asked, unsettled, limit, each_twice=each_twice)
    resolution = dataset.resolution
    return estimate(listed, resolution, asked, unsettled, limit, each_twice=each_twice)


def _not_future(first: date, last: date | None, today: date) -> tuple[date, date]:
    last = last or today
    for option, day in (("--start", first), ("--end", last)):
        if day > today:
            raise arguments.future(option, day, today)
    return first, last


def _unsettled(
    warehouse: Warehouse,
    dataset: Dataset,
    asked: Days,
    force: bool,
    listed: Listings = NOTHING_LISTED,
) -> dict[str, list[date]]:
    """The days that must be asked for, by series; series without any are left out."""
    if force:
        return {name: list(days) for name, days in asked.items()}
    with warehouse.reading() as connection:
        proofs = settled_days(connection, dataset, asked, listed)
    settled = {(proof.series, proof.day) for proof in proofs}
    unsettled = {
        name: [day for day in days if (name, day) not in settled] for name, days in asked.items()
    }
    return {name: days for name, days in unsettled.items() if days}
